"""pydantic-monty: an interpreter of a Python subset, in worker processes without files, network or a clock."""

from __future__ import annotations

import contextlib
import os
import shlex
import threading
from typing import Any

from spark_framework.api import ToolError, UserError

from ..interpreter import COULD_NOT_RUN, MAX_PRINTED, NOTHING_PRINTED, exception_line, out_of_memory, out_of_time
from .source_rewrite import MODULES, adapt

SECONDS = 1.0
MEMORY_BYTES = 64 << 20
PROGRAM = "<python-input-1>"  # the second text of a session, after the prelude


class Monty:
    """A pool of workers, started with the first program."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._lock = threading.Lock()
        self._pool: Any = None
        self._owner = 0
        self._launcher: int | None = None

    def prepare(self) -> None:
        try:
            self._open()
        except OSError as error:
            raise UserError(f"python: pydantic-monty does not start ({error}); install it again") from None

    def run(self, code: str, seed: int) -> str:
        import pydantic_monty

        prelude, program = adapt(code)
        printed = _Printed()
        closing = None
        try:
            with self._open().checkout(limits=_limits(), os_policy=_policy(seed)) as session:
                session.feed_run(prelude)
                closing = session.feed_run(program, print_callback=printed)
        except pydantic_monty.MontyError as error:
            if not _left_on_purpose(error):
                raise ToolError(_reason(error)) from None
        shown = printed.text()
        if not shown and not isinstance(closing, str):  # a program that `adapt` could not read may end in anything
            return NOTHING_PRINTED
        return shown or str(closing)[:MAX_PRINTED] or "''"

    def _open(self) -> Any:
        import pydantic_monty

        with self._lock:
            if self._pool is not None and self._owner != os.getpid():
                # Its threads are gone, a second pool would hang (pydantic-monty 1.4), and dropping this one crashes.
                raise ToolError("programs cannot run in a process forked after the first call; start it with spawn")
            if self._launcher is None:
                self._launcher = _quiet_launcher()
            if self._pool is None:
                pool = pydantic_monty.Monty(
                    binary_path=None if self._launcher is None else f"/proc/self/fd/{self._launcher}",
                    max_processes=self.workers,
                    request_timeout=4 * SECONDS,
                    feed_duration_limit_grace=0.25,
                    max_checkouts_per_worker=500,
                )
                pool.__enter__()
                self._pool, self._owner = pool, os.getpid()
            return self._pool

    def close(self) -> None:
        with self._lock:
            if self._pool is not None and self._owner == os.getpid():
                pool, self._pool = self._pool, None
                pool.__exit__(None, None, None)
                if self._launcher is not None:
                    os.close(self._launcher)
                    self._launcher = None


class _Printed:
    """Collects what a program prints. It cannot stop the program: a flood ends with the time limit."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.length = 0

    def __call__(self, stream: str, text: str) -> None:
        kept = text[: MAX_PRINTED - self.length]
        self.length += len(kept)
        if kept:
            self.parts.append(kept)

    def text(self) -> str:
        return "".join(self.parts).strip()


def _quiet_launcher() -> int | None:
    """An open file with a script that starts a worker without our standard error, to which it would report refused
    allocations. None if such a file cannot be made: then the reports are printed."""
    from pydantic_monty._binary import find_monty_binary

    if not hasattr(os, "memfd_create"):
        return None
    with contextlib.suppress(OSError):
        file = os.memfd_create("monty", 0)  # inherited: the shell reads it
        os.write(file, f'#!/bin/sh\nexec {shlex.quote(find_monty_binary())} "$@" 2>/dev/null\n'.encode())
        if os.access(f"/proc/self/fd/{file}", os.X_OK):
            return file
        os.close(file)
    return None


def _limits() -> Any:
    return {
        "max_feed_duration_secs": SECONDS,
        "max_memory": MEMORY_BYTES,
        "max_recursion_depth": 1000,
        "max_suspensions": 100,
    }


def _policy(seed: int) -> Any:
    from datetime import datetime

    return {
        "datetime": datetime(2026, 1, 1),
        "sleep": "zero",
        "process_time": "zero",
        "random_start": {"seed": seed},
    }


def _left_on_purpose(error: Any) -> bool:
    """`exit()`, without a message."""
    return type(error.exception()) is SystemExit and error.display("msg") in ("", "0")


def _reason(error: Any) -> str:
    import pydantic_monty

    if isinstance(error, pydantic_monty.MontyCrashedError) and error.timed_out:
        return out_of_time(SECONDS)  # one long operation cannot be interrupted, so its worker is killed
    if not isinstance(error, pydantic_monty.MontyRuntimeError | pydantic_monty.MontySyntaxError):
        return COULD_NOT_RUN
    kind, _, message = error.display("type-msg").partition(": ")
    if kind == "TimeoutError":
        return out_of_time(SECONDS)
    if kind == "MemoryError":
        return out_of_memory(MEMORY_BYTES)
    if kind == "ModuleNotFoundError":
        return f"{exception_line(kind, message, None)}; there are {', '.join(MODULES)}"
    lines = [frame.line for frame in error.traceback() if frame.filename == PROGRAM]
    return exception_line(kind, message, lines[-1] if lines else None)
