"""Tables of figures with intervals, as CSV for programs and Markdown for people."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..util.files import write_atomic
from .bootstrap import Interval

DASH = "–"
"""Stands for what is not defined."""


class Figure(NamedTuple):
    """A number with its 95 % interval, and whether it tells more than noise."""

    value: float
    low: float = math.nan
    high: float = math.nan
    beyond_noise: bool | None = None
    """Whether it differs from what the same judge says when asked again; None where that is not known."""

    @classmethod
    def of(cls, interval: Interval, *index: int, beyond_noise: bool | None = None) -> Figure:
        """One entry of an interval of arrays."""
        return cls(float(interval.value[index]), float(interval.low[index]), float(interval.high[index]), beyond_noise)

    def __str__(self) -> str:
        if math.isnan(self.value):
            return DASH
        interval = "" if math.isnan(self.low) else f" [{_short(self.low)}, {_short(self.high)}]"
        return f"{_short(self.value)}{interval}{' ≈' if self.beyond_noise is False else ''}"


Cell = str | int | float | Figure | None


@dataclass(frozen=True)
class Table:
    """Rows under heads. `name` is the files' name, `note` is read below the table."""

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """A pipe table that also reads well in a terminal, with its title and its note."""
        lines = [self.heads, *(tuple(map(_text, row)) for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.heads))]
        cells = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        ]
        cells.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join([f"### {self.title}", "", *cells, *(["", self.note] if self.note else [])])

    def csv(self) -> str:
        """One line a row; a figure takes four columns: value, low, high, beyond_noise. What is not defined is empty."""
        wide = [any(isinstance(row[i], Figure) for row in self.rows) for i in range(len(self.heads))]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        names = [_machine(head) for head in self.heads]
        parts = ("", "_low", "_high", "_beyond_noise")
        writer.writerow([n + part for n, w in zip(names, wide, strict=True) for part in (parts if w else ("",))])
        for row in self.rows:
            writer.writerow([v for cell, w in zip(row, wide, strict=True) for v in _values(cell, w)])
        return buffer.getvalue()

    def write(self, folder: Path) -> None:
        """`NAME.csv` and `NAME.md`."""
        write_atomic(folder / f"{self.name}.csv", self.csv())
        write_atomic(folder / f"{self.name}.md", self.markdown() + "\n")


def _text(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return DASH
    return _short(cell) if isinstance(cell, float) else str(cell).replace("|", "\\|")


def _short(value: float) -> str:
    text = f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
    return "0.000" if text == "-0.000" else text


def _machine(head: str) -> str:
    """`viable Jaccard, 6` -> `viable_jaccard_6`."""
    return "_".join("".join(c if c.isalnum() or c == "." else " " for c in head.lower()).split())


def _values(cell: Cell, wide: bool) -> Sequence[object]:
    if not wide:
        return [_plain(cell)]
    return [_plain(part) for part in (cell if isinstance(cell, Figure) else (cell, None, None, None))]


def _plain(value: object) -> object:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
