"""The judge-sensitivity study in words: first the noise of each judge, then what exceeds it."""

from __future__ import annotations

import numpy as np

from ...stats.intervals import EstimateWithInterval
from ...stats.tables import Cell, Table
from .comparison import JudgeRecord
from .data import StudyData

HEADLINES = {
    "scores": ("Spearman", "alpha (interval)"),
    "decisions": ("same best", "viable Jaccard"),
    "selections": ("other choice (frozen)", "other choice (replayed)"),
    "rewards": ("advantage changes sign",),
    "mix": ("best (bits)",),
}
"""The columns that the summary shows of each table, by how their heads begin."""


def summary(data: StudyData, tables: dict[str, Table]) -> str:
    """Markdown."""
    questions = len({state.cluster for state in data.states})
    heading = (
        f"# Judges on {data.folder.path.name}\n\n"
        f"{len(data.states)} states of {questions} questions, {len(data.records)} judges; the run's own "
        f"verdicts are `{data.own}`. Intervals: 95 %, {data.resamples:,} resamples of whole questions."
    )
    overview = _overview(tables)
    same = [row for row in overview.rows if row[0] == row[1]]
    cross = [row for row in overview.rows if row[0] != row[1]]
    noise = Table("", "Noise floor: each judge against itself, in another order", overview.heads, tuple(same))
    between = Table("", "Between judges", overview.heads, tuple(cross), tables["selections"].note)
    parts = [
        heading, noise.markdown() if same else f"### {noise.title}",
        _bullets([_noise_words(v) for v in data.records]), between.markdown(),
        _bullets([_beyond_words(row, overview.heads, {str(row[0]) for row in same}) for row in cross]),
        tables["judges"].markdown(),
        *(tables[name].markdown() for name in ("missing", "cost") if tables[name].rows),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def _overview(tables: dict[str, Table]) -> Table:
    """The headline columns of all tables of pairs, side by side."""
    picked = [
        (table, i)
        for name, starts in HEADLINES.items()
        for table in [tables[name]]
        for i, head in enumerate(table.heads)
        if head.startswith(starts)
    ]
    keys = [row[:2] for row in tables["scores"].rows]
    rows = tuple((*key, *(table.rows[p][i] for table, i in picked)) for p, key in enumerate(keys))
    return Table("overview", "", ("a", "b", *(_named(table, i) for table, i in picked)), rows)


def _named(table: Table, i: int) -> str:
    return f"mix of {table.heads[i]}" if table.name == "mix" else table.heads[i]


def _noise_words(record: JudgeRecord) -> str:
    if len(record.passes) == 1:
        return f"`{record.label}` was asked once: its noise is not known."
    if np.isnan(record.noise):
        return f"`{record.label}` judged no state twice: its noise is not known."
    if record.noise == 0:
        return f"`{record.label}` gave the same scores each time: it does not depend on chance or on the order."
    return f"`{record.label}` gives a candidate another score when asked again: standard deviation {record.noise:.2f}."


def _beyond_words(row: tuple[Cell, ...], heads: tuple[str, ...], asked_again: set[str]) -> str:
    """Which differences between two judges exceed their noise, and whose noise is not known."""
    figures = [(head, cell) for head, cell in zip(heads, row, strict=True) if isinstance(cell, EstimateWithInterval)]
    known = [(head, cell) for head, cell in figures if cell.beyond_noise is not None]
    beyond = [head for head, cell in known if cell.beyond_noise]
    which = f"{len(beyond)} of {len(known)} figures: {'; '.join(beyond)}" if beyond else f"none of {len(known)} figures"
    asked_once = [f"`{label}`" for label in map(str, row[:2]) if label not in asked_again]
    doubt = f" The noise of {' and '.join(asked_once)} is not known." if asked_once else ""
    return f"`{row[0]}` and `{row[1]}`: beyond noise in {which}.{doubt}"


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
