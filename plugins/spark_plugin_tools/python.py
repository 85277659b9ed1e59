"""`python`: runs a program in an interpreter that has no files, no network and no clock of its own."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

from pydantic import Field

from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolContext, ToolError, hookimpl

SECONDS = 1.0
MEMORY_BYTES = 64 << 20
MAX_PRINTED = 4000  # characters kept; more than any model is shown
MODULES = (
    "math, decimal, datetime, itertools, collections, functools, random, re, json, time, dataclasses, bisect, copy"
)
NOTHING_PRINTED = "the program printed nothing; use print()"
TIMEOUT = f"timeout: the program ran longer than {SECONDS:g} s"


class Python(Tool):
    """Runs a program in pydantic-monty's worker processes: a Python subset with limits on time, memory and recursion.

    The clock stands still and `random` starts from the call's seed, so that a program always prints the same.
    Answers with what was printed, or with the value of a closing expression where nothing was.
    """

    name = "python"
    description = (
        "Runs a short Python program and returns what it prints. Standard modules such as math and itertools only."
    )

    class Config(ComponentConfig):
        workers: int = Field(default=2, ge=1, le=64)
        """Programs that run at the same time."""

    class Args(ToolArgs):
        code: str = Field(max_length=8000, description="for example print(sum(range(10)))")

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._pool: Any = None
        self._owner = 0

    def call(self, args: Any, context: ToolContext) -> str:
        import pydantic_monty

        printed = _Printed()
        try:
            with self._open().checkout(limits=_limits(), os_policy=_policy(context.seed)) as session:
                value = session.feed_run(args.code, print_callback=printed)
        except pydantic_monty.MontyError as error:
            raise ToolError(_reason(error)) from None
        return printed.text() or _closing_value(value)

    def _open(self) -> Any:
        """The pool of workers, started on the first call."""
        import pydantic_monty

        with self._lock:
            if self._pool is not None and self._owner != os.getpid():
                # Its threads are gone, a second pool would hang (pydantic-monty 1.4), and dropping this one crashes.
                raise ToolError("programs cannot run in a process forked after the first call; start it with spawn")
            if self._pool is None:
                self._pool = pydantic_monty.Monty(
                    max_processes=self.config.workers,
                    request_timeout=4 * SECONDS,
                    feed_duration_limit_grace=0.25,
                    max_checkouts_per_worker=500,
                )
                self._pool.__enter__()
                self._owner = os.getpid()
            return self._pool

    def close(self) -> None:
        with self._lock:
            if self._pool is not None and self._owner == os.getpid():
                pool, self._pool = self._pool, None
                pool.__exit__(None, None, None)


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


def _limits() -> Any:
    return {
        "max_feed_duration_secs": SECONDS,
        "max_memory": MEMORY_BYTES,
        "max_recursion_depth": 400,
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


def _closing_value(value: Any) -> str:
    if value is None:
        raise ToolError(NOTHING_PRINTED)
    return (value if isinstance(value, str) else repr(value))[:MAX_PRINTED] or "''"


def _reason(error: Any) -> str:
    """One line for the model: kind, message and line of the program."""
    import pydantic_monty

    if isinstance(error, pydantic_monty.MontyCrashedError):
        return TIMEOUT  # one long operation cannot be interrupted, so its worker is killed
    if not isinstance(error, pydantic_monty.MontyRuntimeError | pydantic_monty.MontySyntaxError):
        return "the program could not be run"
    kind, _, message = "".join(filter(str.isprintable, error.display("type-msg"))).partition(": ")
    if kind == "TimeoutError":
        return TIMEOUT
    if kind == "MemoryError":
        return f"MemoryError: the program used more than {MEMORY_BYTES >> 20} MB"
    if kind == "ModuleNotFoundError":
        return f"{kind}: {message}; there are {MODULES}"
    line = ""
    with contextlib.suppress(IndexError):
        line = f" (line {error.traceback()[-1].line})"
    return f"{kind}: {message}{line}"[:300]


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Python]
