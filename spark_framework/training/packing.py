"""Which rows share a forward pass, and what such a pass reads.

Rows stand side by side in one sequence without padding. Position ids start again with each row; where one of them
branches, a block mask keeps every token to its ancestors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .rows import Row

GPU_TOKENS = 4096
"""Tokens of a forward pass on a GPU where the config says nothing: enough to keep it busy."""


def packs(lengths: Sequence[int], budget: int | None) -> list[list[int]]:
    """Indices of rows that go together: rows of like length, at most `budget` tokens (or one row that is longer).

    None: one row at a time, which is faster on a CPU.
    """
    if budget is None:
        return [[i] for i in range(len(lengths))]
    groups: list[list[int]] = []
    room = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not groups or lengths[i] > room:
            groups.append([])
            room = budget
        groups[-1].append(i)
        room -= lengths[i]
    return groups


def joined(rows: Sequence[Row]) -> Row:
    """Several rows as one, for one forward pass; decisions and tokens stand in the rows' order."""
    if len(rows) == 1:
        return rows[0]
    whole = Row(name=", ".join(row.name for row in rows))
    for row in rows:
        by = len(whole.ids)
        whole.ids += row.ids
        whole.positions += row.positions
        whole.parents += [parent + by if parent >= 0 else -1 for parent in row.parents]
        whole.decisions += [
            replace(d, state_at=d.state_at + by, first_at=d.first_at + by, tokens_at=[t + by for t in d.tokens_at])
            for d in row.decisions
        ]
    return whole


def to_last_state(row: Row) -> Row:
    """The row up to its last state: all that a value function reads of it."""
    end = max(decision.state_at for decision in row.decisions) + 1
    return Row(row.name, row.ids[:end], row.positions[:end], row.parents[:end], row.decisions)
