"""The system calls that a program in the sandbox may make; everything else fails with "Operation not permitted".

A list of what is allowed, because a list of what is dangerous is out of date with every kernel. It is what CPython,
numpy, scipy and sympy need for computing in one thread: memory, reading files, clocks and signal handlers.
"""

from __future__ import annotations

import errno
import tempfile

ALLOWED = """
    read readv pread64 write writev pwrite64 close lseek dup dup2 dup3 pipe pipe2
    open openat access faccessat faccessat2 stat fstat lstat newfstatat statx readlink readlinkat getcwd getdents64
    poll ppoll select pselect6
    brk mmap munmap mremap mprotect madvise
    futex sched_yield sched_getaffinity
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall alarm setitimer getitimer
    time gettimeofday clock_gettime clock_getres nanosleep clock_nanosleep times getrusage
    getpid getppid gettid getuid geteuid getgid getegid getpgrp getrandom uname sysinfo
    exit exit_group
"""
TCGETS = 0x5401  # isatty(); others could push input into a terminal or have signals sent
FCNTL = (0, 1, 2, 3, 1030)  # duplicate a file, its flags; not F_SETOWN and F_SETSIG, which send signals


def filter_program() -> bytes:
    """The filter as the kernel takes it (an array of `sock_filter`).

    A call under another architecture's numbers (i386, x32) kills the process: a filter by numbers does not apply there.

    Raises:
        ImportError: pyseccomp is not installed.
        RuntimeError: libseccomp is not installed.
    """
    import pyseccomp

    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    for name in ALLOWED.split():  # a name that this architecture lacks resolves to a number that no call has
        rules.add_rule(pyseccomp.ALLOW, name)
    rules.add_rule(pyseccomp.ALLOW, "ioctl", pyseccomp.Arg(1, pyseccomp.EQ, TCGETS))
    for command in FCNTL:
        rules.add_rule(pyseccomp.ALLOW, "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, command))
    own = pyseccomp.Arg(0, pyseccomp.EQ, 0)  # not the limits of another process
    rules.add_rule(pyseccomp.ALLOW, "prlimit64", own)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
