"""Common parts of the interpreters of `python`: limits on text, and the wording of results."""

from __future__ import annotations

from typing import Protocol

MAX_PRINTED = 4000  # characters kept; more than any model is shown
NOTHING_PRINTED = "the program ran and printed nothing; use print()"
COULD_NOT_RUN = "the program could not be run"


class Interpreter(Protocol):
    """Runs programs. Safe to use from many threads."""

    def prepare(self) -> None:
        """Start a worker. Raises UserError if that is impossible on this machine."""

    def run(self, code: str, seed: int) -> str:
        """What a program printed, or the value of its closing expression. Raises ToolError."""

    def close(self) -> None:
        """Stop the workers; the interpreter can be used again."""


def out_of_time(seconds: float) -> str:
    return f"timeout: the program ran longer than {seconds:g} s"


def out_of_memory(limit: int) -> str:
    return f"MemoryError: the program used more than {limit >> 20} MB"


def exception_line(kind: str, message: str, line: int | None) -> str:
    """An exception for the model: `ValueError: math domain error (line 3)`."""
    shown = "".join(filter(str.isprintable, f"{kind}: {message}"))[:280]
    return f"{shown} (line {line})" if line else shown
