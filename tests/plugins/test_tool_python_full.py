"""`python` with `backend: full`: all of Python, in a sandbox that refuses everything but computing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from python_programs import Program, programs
from tool_calls import call

from spark_framework.api import ToolContext, ToolError, UserError
from spark_plugin_tools.python import Python
from spark_plugin_tools.python.bubblewrap import sandbox


def sandbox_can_be_made() -> bool:
    bubblewrap = shutil.which("bwrap")
    if sys.platform != "linux" or bubblewrap is None or importlib.util.find_spec("pyseccomp") is None:
        return False
    trial = [bubblewrap, "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "true"]
    return subprocess.run(trial, stderr=subprocess.DEVNULL).returncode == 0


needs_sandbox = pytest.mark.skipif(
    not sandbox_can_be_made(), reason="no sandbox; `apt install bubblewrap libseccomp2`, and allow user namespaces"
)


def full_python(workers: int = 1) -> Python:
    return Python(Python.Config(backend="full", workers=workers))


@pytest.fixture(scope="module")
def python() -> Iterator[Python]:
    tool = full_python()
    yield tool
    tool.close()


@pytest.fixture(scope="module")
def hasty() -> Iterator[Python]:
    """With one second for a program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "SECONDS", 1.0)
        tool = full_python()
        yield tool
        tool.close()


def printed(tool: Python, code: str, seed: int = 0) -> str:
    return call(tool, {"code": code}, seed)


# -- where there is no sandbox -------------------------------------------------------------------------------------


def refusal(tool: Python) -> str:
    """What `prepare` says; a call says the same."""
    with pytest.raises(UserError) as refused:
        tool.prepare()
    with pytest.raises(ToolError) as failed:
        tool.call(tool.Args(code="print(1)"), ToolContext())
    assert str(failed.value) == str(refused.value)
    assert "\n" not in str(refused.value)
    assert "choose `backend: monty`" in str(refused.value)
    tool.close()
    return str(refused.value)


def fake_bubblewrap(folder: Path, script: str) -> None:
    file = folder / "bwrap"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_without_bubblewrap_it_refuses_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    text = refusal(full_python())
    assert "bubblewrap; `apt install bubblewrap`" in text or "needs Linux" in text


@pytest.mark.skipif(sys.platform != "linux", reason="another reason comes first")
def test_without_pyseccomp_it_refuses_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_bubblewrap(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    assert "pip install 'spark-framework[full]'" in refusal(full_python())


@needs_sandbox
def test_without_user_namespaces_it_says_what_bubblewrap_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_bubblewrap(tmp_path, "echo 'bwrap: No permissions to create a new namespace' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    text = refusal(full_python())
    assert "(bwrap: No permissions to create a new namespace)" in text
    assert "kernel.unprivileged_userns_clone" in text


@needs_sandbox
def test_a_sandbox_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_bubblewrap(
        tmp_path, f'while [ "$1" != -s ]; do shift; done; shift 5; exec {sys.executable} {sandbox.CHILD} "$@"'
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not tight, a program in it could read files of the host" in refusal(full_python())


@needs_sandbox
def test_a_filter_that_lets_everything_through_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_all = bytes.fromhex("060000000000ff7f")
    monkeypatch.setattr(sandbox, "filter_program", lambda: allow_all)
    tool = full_python()
    with pytest.raises(UserError, match="a program in it could open a socket, start a process, start a thread, signal"):
        tool.prepare()
    tool.close()


@needs_sandbox
def test_a_filter_that_cannot_be_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "filter_program", lambda: b"\xff" * 8)
    assert "not tight" in refusal(full_python())


@needs_sandbox
def test_a_folder_that_can_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sandbox.sandbox_command
    monkeypatch.setattr(sandbox, "sandbox_command", lambda: with_tmpfs(right()))
    assert "could write files;" in refusal(full_python())


def with_tmpfs(command: list[str]) -> list[str]:
    place = command.index("--remount-ro")
    return [*command[:place], "--tmpfs", "/var/tmp", *command[place:]]


# -- what it computes ----------------------------------------------------------------------------------------------


@needs_sandbox
@pytest.mark.parametrize("program", programs(), ids=lambda program: program.name)
def test_runs_what_a_model_writes(python: Python, program: Program) -> None:
    assert printed(python, program.code) == program.printed


@needs_sandbox
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("3 * 4", "12"),
        ("'abc'", "abc"),
        ("''", "''"),
        ("print(1)\n2", "1"),
        ("import sys\nprint('a')\nprint('b', file=sys.stderr)\nprint('c')", "a\nb\nc"),
        ("import numpy as np\nprint(np.linalg.solve([[3, 1], [1, 2]], [9, 8]))", "[2. 3.]"),
        (
            "import numpy as np\na = np.random.rand(300, 300)\nprint(np.allclose(a @ np.linalg.inv(a), np.eye(300)))",
            "True",
        ),
        ("from scipy.integrate import quad\nprint(round(quad(lambda x: x**2, 0, 3)[0], 6))", "9.0"),
        ("from scipy.integrate import solve_ivp\nprint(solve_ivp(lambda t, y: -y, (0, 1), [1.0]).success)", "True"),
        ("from scipy.optimize import brentq\nprint(round(brentq(lambda x: x**3 - 2, 0, 2), 6))", "1.259921"),
        ("from sympy import *\nx = symbols('x')\nprint(integrate(exp(-x**2), (x, -oo, oo)))", "sqrt(pi)"),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1\nP()", "P(x=1)"),
        ("class A:\n    @property\n    def x(self): return 5\nclass B(A): pass\nB().x", "5"),
        ("if __name__ == '__main__':\n    print('main')", "main"),
        ("import warnings, math\nwarnings.warn('x')\nprint(1)", "1"),
        ("print(1)\nraise SystemExit", "1"),
        ("import sys\nprint(1)\nsys.exit(0)", "1"),
        ("x = 5", "the program ran and printed nothing; use print()"),
        ("import os\nos._exit(3)", "the program ran and printed nothing; use print()"),
    ],
)
def test_answers_with_what_was_printed(python: Python, code: str, expected: str) -> None:
    assert printed(python, code) == expected


@needs_sandbox
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print(1)\n1/0", "ZeroDivisionError: division by zero (line 2)"),
        ("import math\ndef f(x):\n    return math.sqrt(x)\n\nf(-1)", "ValueError: math domain error (line 3)"),
        ("import statistics\n\nstatistics.mean([])", "StatisticsError: mean requires at least one data point (line 3)"),
        ("print(5", "SyntaxError: '(' was never closed (line 1)"),
        ("import pandsa", "ModuleNotFoundError: No module named 'pandsa' (line 1)"),
        ("1\x00", "SyntaxError: source code string cannot contain null bytes"),
        ("input()", "EOFError: EOF when reading a line (line 1)"),
        ("import sys\nsys.exit('why')", "SystemExit: why (line 2)"),
    ],
)
def test_failures_in_one_line(python: Python, code: str, message: str) -> None:
    assert printed(python, code) == f"error: {message}"


@needs_sandbox
def test_the_same_seed_prints_the_same(python: Python) -> None:
    code = (
        "import datetime, random, time\n"
        "import numpy as np, scipy.stats\n"
        "print(random.random(), np.random.rand(), np.random.default_rng().random(), scipy.stats.norm.rvs())\n"
        "print(hash('a'), {'b', 'a', 'c'}, datetime.datetime.now(), datetime.date.today())\n"
        "print(time.time(), time.strftime('%Y'))"
    )
    first = printed(python, code, seed=1)
    assert first.endswith("2026-01-01 00:00:00 2026-01-01\n1767225600.0 2026")
    assert printed(python, code, seed=1) == first
    other = printed(python, code, seed=2)
    assert other.splitlines()[0] != first.splitlines()[0]
    assert other.splitlines()[1:] == first.splitlines()[1:]
    assert printed(python, "import numpy as np\nprint(np.random.default_rng(3).integers(100))", seed=1) == "81"


@needs_sandbox
def test_the_model_is_told_of_the_libraries() -> None:
    assert "numpy, scipy and sympy" in full_python().description
    assert "numpy" not in Python.description
    assert Python().description == Python.description
    assert full_python().fingerprint() != Python().fingerprint()


# -- what it refuses -----------------------------------------------------------------------------------------------

REFUSED = {
    "fork": ("import os\nwhile True: os.fork()", "PermissionError"),
    "posix_spawn": ("import os\nos.posix_spawn('/usr/bin/env', ['env'], {})", "PermissionError"),
    "exec": ("import os\nos.execv('/usr/bin/env', ['env'])", "PermissionError"),
    "subprocess": ("import subprocess\nprint(subprocess.run(['env'], capture_output=True))", "Error"),
    "multiprocessing": ("import multiprocessing\nmultiprocessing.Process(target=print).start()", "PermissionError"),
    "thread": ("import threading\nthreading.Thread(target=print).start()", "RuntimeError: can't start new thread"),
    "kill all": ("import os\nos.kill(-1, 9)", "PermissionError"),
    "kill parent": ("import os\nos.kill(os.getppid(), 9)", "PermissionError"),
    "kill group": ("import os\nos.killpg(0, 9)", "PermissionError"),
    "passwd": ("print(open('/etc/passwd').read())", "FileNotFoundError"),
    "environ of the process": ("print(open('/proc/self/environ').read())", "FileNotFoundError"),
    "memory of the parent": ("import os\nopen(f'/proc/{os.getppid()}/mem', 'rb')", "FileNotFoundError"),
    "this test": (f"print(open({__file__!r}).read())", "FileNotFoundError"),
    "write /tmp": ("open('/tmp/x', 'w').write('x')", "Error"),
    "write /dev/shm": ("open('/dev/shm/x', 'w').write('x')", "Error"),
    "write here": ("open('x', 'w').write('x')", "Read-only file system"),
    "write the libraries": ("import numpy\nopen(numpy.__file__, 'a').write('x')", "Error"),
    "write the child": ("open('/zygote.py', 'a').write('x')", "Error"),
    "make a folder": ("import os\nos.mkdir('/x')", "Error"),
    "shared memory": ("from multiprocessing import shared_memory as s\ns.SharedMemory('x', True, 9)", "Error"),
    "memfd": ("import os\nos.memfd_create('x')", "PermissionError"),
    "socket": ("import socket\nsocket.create_connection(('127.0.0.1', 80))", "PermissionError"),
    "socket pair": ("import socket\nsocket.socketpair()", "PermissionError"),
    "web": ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1')", "Error"),
    "segfault": ("import ctypes\nctypes.string_at(0)", "the program was ended by SIGSEGV"),
    "abort": ("import os\nos.abort()", "the program was ended by SIG"),
    "ptrace": ("import ctypes\nassert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0", "AssertionError"),
    "own signals by fcntl": ("import fcntl, os\nfcntl.fcntl(1, fcntl.F_SETOWN, os.getppid())", "PermissionError"),
    "limits of the parent": (
        "import resource, os\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0))",
        "PermissionError",
    ),
    "priority": ("import os\nos.nice(5)", "PermissionError"),
    "more memory": ("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "ValueError"),
    "memory": ("kept = []\nwhile True: kept.append(bytes(10**7))", "MemoryError"),
    "array": ("import numpy as np\nnp.ones(10**10)", "MemoryError: the program used more than 1024 MB"),
    "long text": ("x = 'a' * 10**10", "MemoryError"),
    "parser": ("-" * 7000 + "1", "Error"),
    "recursion": ("def f(n): return f(n + 1)\nf(0)", "RecursionError"),
    "100 MB message": ("raise ValueError('x' * 100_000_000)", "ValueError: xxx"),
    "message that fails": ("class E(Exception):\n    def __str__(self): return 1/0\nraise E", "E: its message ends in"),
    "forged report": ("import os\nos.write(3, b'e' + b'[' * 15000)", "the program could not be run"),
}  # fmt: skip


@needs_sandbox
@pytest.mark.parametrize("name", REFUSED)
def test_refuses(python: Python, name: str) -> None:
    code, message = REFUSED[name]
    text = printed(python, code)
    assert text.startswith("error: ")
    assert message in text
    assert text.isprintable()
    assert len(text) < 320
    assert printed(python, "print(6 * 7)") == "42"


LATE = {
    "loop": "while True: pass",
    "big number": "print(len(str(9**9**9)))",
    "sleep in C": "import select\nselect.select([], [], [])",
    "signals ignored": (
        "import signal\n"
        "for s in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT, signal.SIGXCPU): signal.signal(s, signal.SIG_IGN)\n"
        "while True: pass"
    ),
    "exit refused": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "all closed": "import os\nprint(1, flush=True)\nfor fd in range(4): os.close(fd)\nwhile True: pass",
}


@needs_sandbox
@pytest.mark.parametrize("name", LATE)
def test_stops(hasty: Python, name: str) -> None:
    assert printed(hasty, LATE[name]) == "error: timeout: the program ran longer than 1 s"
    assert printed(hasty, "print(6 * 7)") == "42"


@needs_sandbox
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("while True: print('x' * 99)", "x" * 99 + "\n"),
        ("print('x' * 100_000_000)", "x" * 2000),
        ("import os\nwhile True: os.write(1, b'y' * 100)", "y" * 2000),
        ("'z' * 100_000_000", "z" * 2000),
        ("import time\ntime.sleep(1000)\nprint('awake')", "awake"),
        ("print('a\\ud800b')", "a?b"),
        ("print('a\\x00b')", "a\x00b"),
        ("import os\nprint('gone')\nos._exit(0)", "the program ran and printed nothing; use print()"),
        ("import os\nprint('kept', flush=True)\nos._exit(7)", "kept"),
    ],
)  # fmt: skip
def test_output_is_cut_and_kept(python: Python, code: str, expected: str) -> None:
    assert printed(python, code).startswith(expected)
    assert printed(python, "print(6 * 7)") == "42"


@needs_sandbox
def test_the_channel_to_the_host_is_out_of_reach(python: Python) -> None:
    forged = '{"printed": "forged"}\\n{}\\n'
    everywhere = (
        "import gc, io, os\n"
        "for fd in range(200):\n"
        "    try: os.write(fd, b'" + forged + "')\n"
        "    except OSError: pass\n"
        "for thing in gc.get_objects():\n"
        "    if isinstance(thing, io.IOBase):\n"
        "        try: thing.write(b'" + forged + "' if isinstance(thing, io.RawIOBase) else '" + forged + "')\n"
        "        except Exception: pass\n"
        "print('done', flush=True)"
    )
    assert "done" in printed(python, everywhere)
    assert printed(python, "print('mine')") == "mine"
    assert printed(python, "import os\nprint([fd for fd in range(99) if os.path.exists(f'/dev/fd/{fd}')])") == "[]"
    assert printed(python, "import os\nos.fstat(4)") == "error: OSError: [Errno 9] Bad file descriptor (line 2)"


@needs_sandbox
@pytest.mark.skipif(platform.machine() != "x86_64", reason="tests the other numberings of x86-64")
@pytest.mark.parametrize(
    "code",
    [
        "import ctypes\nprint(ctypes.CDLL(None).syscall(0x40000000 + 39))",  # getpid of x32
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, prot=7)\n"
        "page.write(bytes.fromhex('b814000000cd80c3'))\n"  # getpid of i386: mov eax, 20; int 0x80; ret
        "print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())",
    ],
    ids=["x32", "i386"],
)
def test_no_other_numbering_of_system_calls_leads_around_the_filter(python: Python, code: str) -> None:
    assert printed(python, code) == "error: the program was ended by SIGSYS"


@needs_sandbox
def test_programs_share_nothing(python: Python) -> None:
    spoil = (
        "import builtins, json, math, os, sys, time, numpy as np\n"
        "builtins.leak = math.leak = np.leak = 1\n"
        "math.pi, builtins.print, json.dumps, os.write = 3, None, None, None\n"
        "sys.modules['fractions'] = None\n"
        "sys.path.clear()\n"
        "sys.setrecursionlimit(50)\n"
        "os.environ['LEAK'] = '1'\n"
        "time.time = None\n"
        "del sys.stdout"
    )
    printed(python, spoil)
    look = (
        "import builtins, fractions, json, math, os, sys, numpy as np\n"
        "found = [hasattr(m, 'leak') for m in (builtins, math, np)]\n"
        "print(found, math.pi, json.dumps(1), len(sys.path) > 0, sys.getrecursionlimit(), 'LEAK' in os.environ)"
    )
    assert printed(python, look) == "[False, False, False] 3.141592653589793 1 True 1000 False"


@needs_sandbox
def test_no_variable_and_no_argument_of_the_host_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    tool = full_python()
    text = printed(tool, "import os, sys\nprint(dict(os.environ), sys.argv, os.uname().nodename)")
    tool.close()
    assert text == (
        "{'LANG': 'C.UTF-8', 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'PYTHONHASHSEED': '0', 'PWD': '/'} "
        "['/zygote.py'] sandbox"
    )


# -- its processes -------------------------------------------------------------------------------------------------


def descendants(pid: int) -> set[int]:
    """Living processes below one."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(") ")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state != "Z":
            children.setdefault(int(parent), []).append(int(name.split(" ")[0]))
    found, todo = set(), [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found |= set(below)
        todo += below
    return found


def gone(pids: set[int]) -> bool:
    for _ in range(200):
        if not pids & descendants(1):
            return True
        time.sleep(0.05)
    return False


@needs_sandbox
def test_two_workers_answer_four_threads() -> None:
    tool = full_python(workers=2)
    before = descendants(os.getpid())
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda n: printed(tool, f"print({n} ** 2)"), range(40)))
    assert answers == [str(n**2) for n in range(40)]
    assert 2 * 2 <= len(descendants(os.getpid()) - before) <= 2 * 3  # bubblewrap, its init, the process that forks
    tool.close()


@needs_sandbox
def test_a_sandbox_outlives_the_thread_that_asked_first() -> None:
    tool = full_python()
    before = descendants(os.getpid())
    thread = threading.Thread(target=printed, args=(tool, "print(1)"))
    thread.start()
    thread.join()
    started = descendants(os.getpid()) - before
    assert started
    assert printed(tool, "print(2)") == "2"
    assert descendants(os.getpid()) - before == started
    tool.close()
    assert gone(started)


@needs_sandbox
def test_a_dead_sandbox_is_replaced() -> None:
    tool = full_python()
    before = descendants(os.getpid())
    assert printed(tool, "print(1)") == "1"
    started = descendants(os.getpid()) - before
    os.kill(max(started), signal.SIGKILL)  # the innermost
    assert gone(started)
    assert printed(tool, "print(2)") == "2"
    tool.close()


@needs_sandbox
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_a_sandbox_of_its_own() -> None:
    tool = full_python()
    before = descendants(os.getpid())
    assert printed(tool, "print(1)") == "1"
    started = descendants(os.getpid()) - before
    child = os.fork()
    if child == 0:  # never returns to pytest
        good = printed(tool, "print(2)") == "2"
        tool.close()
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert printed(tool, "print(3)") == "3"
    assert descendants(os.getpid()) - before == started
    tool.close()


@needs_sandbox
@pytest.mark.parametrize("end", ["kill", "leave"])
def test_no_sandbox_outlives_its_host(tmp_path: Path, end: str) -> None:
    """Not even while a program runs, and without `close`."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, threading\n"
        "from spark_framework.api import ToolContext\n"
        "from spark_plugin_tools.python import Python\n"
        "tool = Python(Python.Config(backend='full', workers=2))\n"
        "run = lambda code: tool.call(tool.Args(code=code), ToolContext())\n"
        "run('print(1)')\n"
        "if sys.argv[1] == 'kill':\n"
        "    threading.Thread(target=run, args=['while True: pass'], daemon=True).start()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    host = subprocess.Popen([sys.executable, str(script), end], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert host.stdin is not None
    assert host.stdout is not None
    assert host.stdout.readline() == b"ready\n"
    started = descendants(host.pid)
    assert len(started) >= 2
    if end == "kill":
        host.kill()
    host.stdin.close()
    host.wait()
    host.stdout.close()
    assert gone(started)
