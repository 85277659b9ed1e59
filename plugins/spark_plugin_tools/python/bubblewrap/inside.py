"""The side of `sandbox.py` that lies inside the sandbox: imports the libraries once, and forks for each program.

It reads one line of JSON and writes one, and is started as a script, so it imports nothing of its package. A fork first
gives up what would let it reach this process, the next program or the outside, and only then looks at the program.
The host does not trust its output, its report or its exit status.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import datetime
import gc
import importlib
import json
import os
import random
import resource
import select
import signal
import sys
import time
import types
import warnings
from collections.abc import Callable
from time import monotonic  # the real one: `freeze_clock` replaces the module's
from typing import Any, NoReturn

NOW = 1767225600  # 2026-01-01 UTC, as in the other interpreter
PROGRAM = "program"  # the file name of the program's frames
LIBRARIES = """
    numpy numpy.linalg numpy.random numpy.polynomial numpy.fft
    scipy.constants scipy.integrate scipy.interpolate scipy.linalg scipy.optimize scipy.special scipy.stats
    sympy sympy.stats sympy.physics.units
    calendar cmath collections csv dataclasses decimal enum fractions functools heapq itertools math operator re
    statistics string textwrap traceback typing
"""
OUTPUT, REPORT = 1, 3  # file descriptors of a program
REPORTS = {"v": "value", "e": "error"}  # how a report begins
OUT_OF_MEMORY = 'e["MemoryError", "", null]'  # a constant: there may be no memory left to build it
MESSAGE = 1000  # characters of an exception's message that the host gets to see
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2


def main() -> None:
    """Answer lines until the host closes the pipe."""
    limits = json.loads(sys.argv.pop())
    sys.path += limits["paths"]
    load_libraries()
    freeze_clock()
    gc.freeze()
    os.write(1, b"{}\n")
    for line in sys.stdin.buffer:
        os.write(1, json.dumps(run_apart(json.loads(line), limits)).encode() + b"\n")


def load_libraries() -> None:
    """Import them, and fill sympy's caches, which every fork would fill again."""
    for name in LIBRARIES.split():
        importlib.import_module(name)
    import sympy

    x = sympy.Symbol("x")
    sympy.solve(x**2 - 2, x)
    sympy.integrate(sympy.exp(-x) * sympy.sin(x), (x, 0, sympy.oo))
    sympy.simplify(sympy.diff(sympy.sin(x) ** 2 + sympy.cos(x) ** 2, x))


def freeze_clock() -> None:
    """Fix the standard library's clocks, so that a program prints the same each time. Clocks of C code still run."""
    still: dict[str, Callable[..., Any]] = {"sleep": lambda seconds: None}
    for name in ("time", "monotonic", "perf_counter"):
        still |= {name: lambda: float(NOW), f"{name}_ns": lambda: NOW * 10**9}
    for name in ("process_time", "thread_time"):
        still |= {name: lambda: 0.0, f"{name}_ns": lambda: 0}
    gmtime, ctime, strftime = time.gmtime, time.ctime, time.strftime
    still["gmtime"] = still["localtime"] = lambda seconds=None: gmtime(NOW if seconds is None else seconds)
    still["ctime"] = lambda seconds=None: ctime(NOW if seconds is None else seconds)
    still["strftime"] = lambda form, moment=None: strftime(form, moment or gmtime(NOW))
    for name, function in still.items():
        setattr(time, name, function)

    # `datetime` is a type of C: a subclass in its place would break isinstance and repr, so its own table is changed.
    methods = gc.get_referents(datetime.datetime.__dict__)[0]
    methods["now"] = classmethod(lambda cls, tz=None: cls.fromtimestamp(NOW, tz))
    methods["utcnow"] = classmethod(lambda cls: cls.fromtimestamp(NOW))  # the sandbox's zone is UTC
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))


def run_apart(request: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    """Run a program in a fork, and return its outcome.

    Returns: `printed`; `late` where its time was up; else `value` or `error` where it reported one; else `signal`, the
    number, where one ended it.
    """
    output, output_end = os.pipe()
    report, report_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            become_program(request, limits, output_end, report_end)
        finally:
            os._exit(1)
    os.close(output_end)
    os.close(report_end)
    process = os.pidfd_open(pid)
    texts, ended = read_both(output, report, process, limits)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    for file in (output, report, process):
        os.close(file)
    shown, report_text = (texts[file][: limits["output"]].decode("utf-8", "replace") for file in (output, report))
    reply: dict[str, Any] = {"printed": shown}
    if ended == "late":
        reply["late"] = True
    elif report_text[:1] in REPORTS:
        reply[REPORTS[report_text[0]]] = report_text[1:]
    elif ended == "over" and os.WIFSIGNALED(status):
        reply["signal"] = os.WTERMSIG(status)
    return reply


def read_both(output: int, report: int, process: int, limits: dict[str, Any]) -> tuple[dict[int, bytes], str]:
    """Read until the program has ended, has written enough, or its time is up: `over`, `full` or `late`."""
    texts = {output: b"", report: b""}
    waiting = {output, report, process}
    end = monotonic() + limits["seconds"]
    while waiting:
        ready, _, _ = select.select(waiting, [], [], max(0.0, end - monotonic()))
        if not ready:
            return texts, "late"
        for file in ready:
            piece = b"" if file == process else os.read(file, 65536)
            if not piece:
                waiting.discard(file)
                continue
            texts[file] += piece
            if len(texts[file]) > limits["output"]:
                return texts, "full"
    return texts, "over"


def become_program(request: dict[str, Any], limits: dict[str, Any], output: int, report: int) -> NoReturn:
    """The body of the fork."""
    keep_only(output, report)
    limit_resources(limits["seconds"], limits["memory"])
    install_filter(bytes.fromhex(limits["filter"]))
    seed_generators(request["seed"])
    warnings.simplefilter("ignore")
    sys.stdout.reconfigure(encoding="utf-8", errors="replace", line_buffering=False)  # type: ignore[union-attr]
    sys.stderr = sys.stdout
    report_text = execute(request["code"])
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
    os.write(REPORT, report_text.encode("utf-8", "replace")[: limits["output"]])
    os._exit(0)


def keep_only(output: int, report: int) -> None:
    """An empty input, the output, the report, and no other file: not the channel to the host. What C code writes to
    its standard error has nowhere to go."""
    nothing, end = os.pipe()
    os.close(end)
    os.dup2(output, OUTPUT)
    os.dup2(nothing, 2)
    os.dup2(nothing, 0)
    os.dup2(report, REPORT)
    os.closerange(REPORT + 1, 256)


def limit_resources(seconds: float, memory: int) -> None:
    for name, limit in {
        "AS": memory,
        "CPU": int(seconds) + 1,  # should this process not wake up in time
        "FSIZE": 0,
        "NOFILE": 32,
        "NPROC": 0,
        "CORE": 0,
    }.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install_filter(instructions: bytes) -> None:
    """From here on the kernel refuses what is not in the filter. Nothing is run where it cannot be installed."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = _FilterProgram(len(instructions) // 8, instructions)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the system call filter cannot be installed")


def seed_generators(seed: int) -> None:
    import numpy
    import sympy.core.random

    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    sympy.core.random.seed(seed)
    real = numpy.random.default_rng
    unseeded: Any = lambda given=None: real(seed % 2**64 if given is None else given)  # noqa: E731
    numpy.random.default_rng = unseeded


def execute(code: str) -> str:
    """Run the program as a main module.

    Returns: the report. `v` and the closing value, `e` and an error as JSON, or nothing.
    """
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        tree = ast.parse(code, PROGRAM)
        closing = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, PROGRAM, "exec"), module.__dict__)
        value = None
        if isinstance(closing, ast.Expr):
            value = eval(compile(ast.Expression(closing.value), PROGRAM, "eval"), module.__dict__)
        return "" if value is None else f"v{value if isinstance(value, str) else repr(value)}"
    except MemoryError:
        return OUT_OF_MEMORY
    except BaseException as error:
        finished = isinstance(error, SystemExit) and not error.code
        return "" if finished else f"e{json.dumps(describe(error))}"


def describe(error: BaseException) -> tuple[str, str, int | None]:
    """Kind, message, and the line of the program that was being run."""
    kind, line = type(error).__name__, None
    trace = error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == PROGRAM else line
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and line is None:
        return kind, error.msg[:MESSAGE], error.lineno
    try:
        return kind, str(error)[:MESSAGE], line
    except BaseException as second:
        return kind, f"its message ends in {type(second).__name__}", line


if __name__ == "__main__":
    main()
