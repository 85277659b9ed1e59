"""The judge-sensitivity study in words: the noise of each judge first, then what lies beyond it."""

from __future__ import annotations

import numpy as np

from ...stats.tables import Cell, Figure, Table
from .comparison import Voice
from .tables import Sheet

HEADLINES = {
    "scores": ("Spearman", "alpha (interval)"),
    "decisions": ("same best", "viable Jaccard"),
    "selections": ("other choice (frozen)", "other choice (replayed)"),
    "rewards": ("advantage changes sign",),
    "mix": ("best (bits)",),
}
"""What the summary shows of each table: the columns that begin so."""


def summary(sheet: Sheet) -> str:
    """Markdown."""
    tables, material = sheet.tables(), sheet.material
    questions = len({state.cluster for state in material.states})
    heading = (
        f"# Judges on {material.folder.path.name}\n\n"
        f"{len(material.states)} states of {questions} questions, {len(material.voices)} judges; the run's own "
        f"verdicts are `{material.own}`. Intervals: 95 %, {sheet.resamples:,} resamples of whole questions."
    )
    overview = _overview(tables)
    same = [row for row in overview.rows if row[0] == row[1]]
    cross = [row for row in overview.rows if row[0] != row[1]]
    noise = Table("", "Noise floor: each judge against itself, in another order", overview.heads, tuple(same))
    between = Table("", "Between judges", overview.heads, tuple(cross), sheet.selections.note)
    parts = [
        heading, noise.markdown() if same else f"### {noise.title}",
        _bullets([_noise_words(v) for v in material.voices]), between.markdown(),
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


def _noise_words(voice: Voice) -> str:
    if len(voice.tracks) == 1:
        return f"`{voice.label}` was asked once: its noise is not known."
    if np.isnan(voice.noise):
        return f"`{voice.label}` judged no state twice: its noise is not known."
    if voice.noise == 0:
        return f"`{voice.label}` gave the same scores each time: it does not depend on chance or on the order."
    return f"`{voice.label}` gives a candidate another score when asked again: standard deviation {voice.noise:.2f}."


def _beyond_words(row: tuple[Cell, ...], heads: tuple[str, ...], heard_again: set[str]) -> str:
    """What lies beyond noise between two judges, and whose noise is not known."""
    figures = [(head, cell) for head, cell in zip(heads, row, strict=True) if isinstance(cell, Figure)]
    known = [(head, cell) for head, cell in figures if cell.beyond_noise is not None]
    beyond = [head for head, cell in known if cell.beyond_noise]
    which = f"{len(beyond)} of {len(known)} figures: {'; '.join(beyond)}" if beyond else f"none of {len(known)} figures"
    unheard = [f"`{label}`" for label in map(str, row[:2]) if label not in heard_again]
    doubt = f" The noise of {' and '.join(unheard)} is not known." if unheard else ""
    return f"`{row[0]}` and `{row[1]}`: beyond noise in {which}.{doubt}"


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
