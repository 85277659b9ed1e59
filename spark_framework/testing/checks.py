"""Helpers of the contracts. Nothing here needs pytest: `plugins check` runs the same checks without it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ..contracts.components import Component

Check = TypeVar("Check", bound=Callable[..., None])
Result = TypeVar("Result")
_STATIC = "_is_static_check"


def static(check: Check) -> Check:
    """Mark a static check, which needs no test of the author's and makes no calls: `plugins check` runs it, too."""
    setattr(check, _STATIC, True)
    return check


def static_checks(contract: object) -> Iterator[tuple[str, Callable[[Component], None]]]:
    """The static checks of a contract, each with what it asserts in words."""
    names = [name for cls in reversed(type(contract).__mro__) for name in vars(cls)]
    for name in dict.fromkeys(names):
        if name.startswith("test_") and getattr(getattr(contract, name), _STATIC, False):
            yield name.removeprefix("test_").replace("_", " "), getattr(contract, name)


def require(condition: object, problem: str) -> None:
    """Fail with a text that says what to change."""
    __tracebackhide__ = True
    if not condition:
        raise AssertionError(problem)


def within(seconds: float, doing: str, function: Callable[[], Result]) -> Result:
    """The function's result; a failure if it takes too long, so that a hanging call does not hang pytest."""
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["value"] = function()
        except BaseException as exc:
            outcome["error"] = exc

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    require(outcome, f"{doing} took more than {seconds:g} s: bound the work, or raise `time_limit` in the test")
    if "error" in outcome:
        raise outcome["error"]
    value: Result = outcome["value"]
    return value


def short(value: object, limit: int = 80) -> str:
    """A value's repr for a message."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
