"""StepTool's training data: the tab-separated `step_grained_for_ppo*.csv`.

A file is read completely or not at all: the first fault is reported in one line that names the row.
"""

from __future__ import annotations

import ast
import csv
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...records import Record
from ...util.files import write_atomic

COLUMNS = ("prompt", "response", "reward")
MAX_CHARACTERS = 50_000
"""Maximum length of one prompt or response. StepTool truncates observations to 1,024 characters and responses to 1,200
tokens."""
LONGEST_CELL = 20
"""Maximum length of a cell, as a multiple of `max_characters`; a longer one is refused before it is parsed."""


class PpoExample(Record):
    """One row: a trajectory as text. Step i is `prompts[i]` (what came before), then `responses[i]`."""

    prompts: tuple[str, ...]
    responses: tuple[str, ...]
    rewards: tuple[float, ...]


def read_ppo_csv(path: Path, *, max_characters: int = MAX_CHARACTERS) -> list[PpoExample]:
    """All rows of a tab-separated file `prompt response reward` whose cells are Python lists.

    Args:
        max_characters: a longer prompt or response is a fault; so is a cell of more than 20 times as many.

    Raises:
        DataError: the file cannot be read, or a row is not valid. Rows are counted from 1, without the
            header.
    """
    examples = []
    for number, cells in enumerate(_rows(path, LONGEST_CELL * max_characters), 1):
        try:
            examples.append(_example(cells, max_characters))
        except DataError as exc:
            raise DataError(f"{path}, row {number}: {exc}") from None
    if not examples:
        raise DataError(f"{path} holds no rows")
    return examples


def write_ppo_csv(path: Path, examples: Sequence[PpoExample]) -> None:
    """Write examples in the format of StepTool's loader, completely or not at all. Raises `RunError` if the file cannot
    be written."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in examples:
        writer.writerow([repr(list(part)) for part in (one.prompts, one.responses, one.rewards)])
    write_atomic(path, out.getvalue())


def _rows(path: Path, longest_cell: int) -> Iterator[list[str]]:
    """The cells of each row after the header."""
    before, number = csv.field_size_limit(longest_cell), 0  # the limit is global to the process
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter="\t", strict=True)
            header = next(rows, [])
            if tuple(header) != COLUMNS:
                raise DataError(f"{path} has no header `prompt response reward`, separated by tabs")
            for number, cells in enumerate(rows, 1):  # noqa: B007 (the last row that could be read)
                yield cells
    except OSError as exc:
        raise DataError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise DataError(f"{path} is not UTF-8 text: {exc.reason} at byte {exc.start}") from exc
    except csv.Error as exc:
        raise DataError(f"{path}, row {number + 1}: {exc} (line {rows.line_num})") from exc
    finally:
        csv.field_size_limit(before)


def _example(cells: list[str], max_characters: int) -> PpoExample:
    if len(cells) != len(COLUMNS):
        raise DataError(f"{len(cells)} cells; {len(COLUMNS)} are needed, separated by tabs")
    lists = [_list(name, cell) for name, cell in zip(COLUMNS, cells, strict=True)]
    lengths = [len(one) for one in lists]
    if len(set(lengths)) > 1:
        counts = ", ".join(f"{n} {name}s" for n, name in zip(lengths, COLUMNS, strict=True))
        raise DataError(f"{counts}; every step needs one of each")
    if not lengths[0]:
        raise DataError("no steps")
    prompts, responses, rewards = lists
    for name, texts in (("prompt", prompts), ("response", responses)):
        for step, text in enumerate(texts, 1):
            _check_text(f"{name} of step {step}", text, max_characters)
    for step, reward in enumerate(rewards, 1):
        if not _is_number(reward):
            raise DataError(f"the reward of step {step} is {_short(reward)}, not a number")
    return PpoExample(prompts=tuple(prompts), responses=tuple(responses), rewards=tuple(map(float, rewards)))


def _list(name: str, cell: str) -> list[Any]:
    try:
        with warnings.catch_warnings(action="ignore"):  # about escapes like \d, which Python accepts
            value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if name == "reward":
            raise DataError(f"the reward cell {_short(cell)} is not a list of numbers") from None
        raise DataError(f"the {name} cell is not a Python list of strings") from None
    if not isinstance(value, list):
        raise DataError(f"the {name} cell holds {type(value).__name__}, not a list")
    return value


def _check_text(what: str, text: Any, max_characters: int) -> None:
    if not isinstance(text, str):
        raise DataError(f"the {what} is {type(text).__name__}, not a string")
    if not text.strip():
        raise DataError(f"the {what} is empty")
    if len(text) > max_characters:
        raise DataError(f"the {what} has {len(text):,} characters; at most {max_characters:,} are allowed")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError(f"the {what} holds half of a surrogate pair, which is not a character")


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer that is too large for a float
        return False


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
