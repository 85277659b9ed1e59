"""Slices of a question set, with a clear error if the set is too small."""

from __future__ import annotations

from collections.abc import Sequence

from spark_framework.errors import DataError
from spark_framework.records import Question


def take(questions: Sequence[Question], start: int, count: int, what: str) -> list[Question]:
    """`questions[start : start + count]`; DataError where that would be fewer than `count`."""
    if start < 0 or count < 0:
        raise DataError(f"{what}: start {start} and count {count} must not be negative")
    if start + count > len(questions):
        raise DataError(
            f"{what}: {count} questions from number {start} on are not there, it has {len(questions)}; ask for fewer"
        )
    return list(questions[start : start + count])
