"""Which rows share a forward pass, and what such a pass reads.

Rows are joined into one token tree without padding. A common beginning (instructions, solved examples, the tools) is in
it once: the hidden states of a token depend on the tokens before it and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .token_tree import TokenTree

TOKENS = {"cpu": 2048, "gpu": 4096}
"""Tokens of a forward pass where the config says nothing, by kind of device."""
MIN_SHARED_PREFIX = {"cpu": 0.1, "gpu": 0.0}
"""Share of a row that it has to have in common with a pass in order to join it. A GPU is kept busy by any row; a CPU
reads rows that have nothing in common faster one by one."""


def plan_batches(rows: Sequence[TokenTree], budget: int, alike: float = 0.0) -> list[list[int]]:
    """Indices of rows that go together: rows that begin alike, at most `budget` tokens (or one row that is longer)."""
    groups: list[list[int]] = []
    room = 0
    for i in sorted(range(len(rows)), key=lambda i: rows[i].ids):
        length = len(rows[i].ids)
        common = _common(rows[groups[-1][-1]], rows[i]) if groups else 0
        if not groups or length - common > room or common < alike * length:
            groups.append([])
            common, room = 0, budget
        groups[-1].append(i)
        room -= length - common
    return groups


def _common(one: TokenTree, other: TokenTree) -> int:
    """How many tokens two rows have in common before the first that differs."""
    count = 0
    for a, b, p, q in zip(one.ids, other.ids, one.parents, other.parents, strict=False):
        if a != b or p != q:
            break
        count += 1
    return count


def merge_trees(rows: Sequence[TokenTree]) -> tuple[TokenTree, list[list[int]]]:
    """Several rows as one tree, for one forward pass; decisions and tokens stand in the rows' order. With it, where
    each row's tokens are."""
    whole = TokenTree(name=", ".join(row.name for row in rows))
    known: dict[tuple[int, int], int] = {}
    """A token of the tree by its parent and its id."""
    places = []
    for row in rows:
        at: list[int] = []
        for token, position, parent in zip(row.ids, row.positions, row.parents, strict=True):
            key = (at[parent] if parent >= 0 else -1, token)
            if key not in known:
                known[key] = len(whole.ids)
                whole.ids.append(token)
                whole.positions.append(position)
                whole.parents.append(key[0])
            at.append(known[key])
        whole.decisions += [
            replace(
                d,
                state_position=at[d.state_position],
                first_position=at[d.first_position],
                token_positions=[at[t] for t in d.token_positions],
            )
            for d in row.decisions
        ]
        places.append(at)
    return whole, places


def truncate_to_states(row: TokenTree) -> TokenTree:
    """The row up to its last state: all that a value function reads of it."""
    end = max(decision.state_position for decision in row.decisions) + 1
    # The actions are cut off.
    decisions = [
        replace(d, first_position=d.state_position, token_positions=[], constrained=False) for d in row.decisions
    ]
    return TokenTree(row.name, row.ids[:end], row.positions[:end], row.parents[:end], decisions)
