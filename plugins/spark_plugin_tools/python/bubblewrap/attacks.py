"""A program that tries what no program in the sandbox may do, and prints what it could: `nothing` is right.

`sandbox.py` runs it in each new sandbox before the first real program. Each attempt is harmless should it succeed.
"""

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

ENVIRONMENT = {"LANG", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED", "PWD"}
FOLDERS = "/ /dev /dev/shm /etc /home /proc /root /run /tmp /usr /usr/lib /var /var/tmp"
libc = ctypes.CDLL(None, use_errno=True)


def attempt(function: Callable[..., Any], *arguments: Any) -> bool:
    """Call it; an exception is a refusal, and so is -1 from C."""
    try:
        return bool(function(*arguments) != -1)
    except Exception:
        return False


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


attempts = {
    "read files of the host": any(attempt(open, path) for path in ("/etc/passwd", "/etc/hostname")),
    "read /proc": any(attempt(open, f"/proc/{name}/environ") for name in ("self", os.getppid(), 1)),
    "see devices": any(attempt(os.listdir, path) for path in ("/dev", "/sys")),
    "write files": any(os.access(folder, os.W_OK) for folder in FOLDERS.split()),
    "see the environment": bool(set(os.environ) - ENVIRONMENT),
    "reach open files": any(attempt(os.fstat, number) for number in range(4, 256)),
    "open a socket": any(
        attempt(socket.socket, family) for family in (socket.AF_INET, socket.AF_UNIX, socket.AF_NETLINK)
    ),
    "start a process": attempt(fork),
    "start a thread": attempt(threading.Thread(target=int).start),
    "signal a process": any(attempt(os.kill, pid, 0) for pid in (os.getppid(), 1, -1)),
    "trace a process": attempt(libc.ptrace, 0, 0, 0, 0),
    "make namespaces": attempt(libc.unshare, 0x10000000),
    "make hidden files": attempt(libc.memfd_create, b"x", 0),
    "change what the kernel lets it do": attempt(libc.prctl, 4, 1, 0, 0, 0),
}
print(", ".join(name for name, possible in attempts.items() if possible) or "nothing", flush=True)
replaced = attempt(os.execv, "/usr/bin/env", ["env"])  # which would print more
