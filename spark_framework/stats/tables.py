"""Tables: as Markdown and aligned text for people, as CSV for programs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .intervals import UNDEFINED, EstimateWithInterval, short

Cell = str | int | float | EstimateWithInterval | None


def plain_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns, two spaces apart."""
    return "\n".join("  ".join(line).rstrip() for line in _aligned(heads, rows))


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A pipe table that also reads well in a terminal."""
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in (heads, *rows)]
    lines = _aligned(escaped[0], escaped[1:])
    rule = "|" + "|".join("-" * (len(cell) + 2) for cell in lines[0]) + "|"
    head, *body = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([head, rule, *body])


@dataclass(frozen=True)
class Table:
    """Rows under heads. `name` is a name for files, `note` follows the table."""

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """A pipe table with its title and its note."""
        table = markdown_table(self.heads, [[*map(_text, row)] for row in self.rows])
        return "\n".join([f"### {self.title}", "", table, *(["", self.note] if self.note else [])])

    def csv(self) -> str:
        """One line a row. A column with intervals takes four: value, low, high, beyond_noise. Undefined is empty."""
        wide = [any(isinstance(row[i], EstimateWithInterval) for row in self.rows) for i in range(len(self.heads))]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        names = [_machine(head) for head in self.heads]
        parts = ("", "_low", "_high", "_beyond_noise")
        writer.writerow([n + part for n, w in zip(names, wide, strict=True) for part in (parts if w else ("",))])
        for row in self.rows:
            writer.writerow([v for cell, w in zip(row, wide, strict=True) for v in _values(cell, w)])
        return buffer.getvalue()


def _aligned(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """All lines, the heads first, with each cell as wide as the longest of its column."""
    lines = [heads, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]


def _text(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return UNDEFINED
    return short(cell) if isinstance(cell, float) else str(cell)


def _machine(head: str) -> str:
    """`viable Jaccard, 6` -> `viable_jaccard_6`."""
    return "_".join("".join(c if c.isalnum() or c == "." else " " for c in head.lower()).split())


def _values(cell: Cell, wide: bool) -> Sequence[object]:
    if not wide:
        return [_plain(cell)]
    return [_plain(part) for part in (cell if isinstance(cell, EstimateWithInterval) else (cell, None, None, None))]


def _plain(value: object) -> object:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
