"""Decides which rows share a forward pass, and merges them.

Rows are merged into one token tree without padding. A common prefix (instructions, solved examples, the tools) occurs
once: the hidden states of a token depend on the tokens before it and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .token_tree import TokenTree

TOKENS = {"cpu": 2048, "gpu": 4096}
"""Default number of tokens of a forward pass, by kind of device."""
MIN_SHARED_PREFIX = {"cpu": 0.1, "gpu": 0.0}
"""Share of its tokens that a row needs in common with a pass in order to join it. On a GPU any row may join; a CPU
reads rows without a common prefix faster one by one."""


def plan_batches(rows: Sequence[TokenTree], budget: int, min_shared: float = 0.0) -> list[list[int]]:
    """Indices of the rows of each forward pass: rows with a common prefix, at most `budget` tokens (or one longer
    row)."""
    groups: list[list[int]] = []
    room = 0
    for i in sorted(range(len(rows)), key=lambda i: rows[i].ids):
        length = len(rows[i].ids)
        common = _common(rows[groups[-1][-1]], rows[i]) if groups else 0
        if not groups or length - common > room or common < min_shared * length:
            groups.append([])
            common, room = 0, budget
        groups[-1].append(i)
        room -= length - common
    return groups


def _common(one: TokenTree, other: TokenTree) -> int:
    """Length of the common prefix of two rows, in tokens."""
    count = 0
    for a, b, p, q in zip(one.ids, other.ids, one.parents, other.parents, strict=False):
        if a != b or p != q:
            break
        count += 1
    return count


def merge_trees(rows: Sequence[TokenTree]) -> tuple[TokenTree, list[list[int]]]:
    """Merge several rows into one tree for one forward pass; decisions and free tokens keep the rows' order. Returns
    the tree and, for each row, the index of each of its tokens in the tree."""
    merged = TokenTree(name=", ".join(row.name for row in rows))
    known: dict[tuple[int, int], int] = {}
    """A token of the tree by its parent and its id."""
    places = []
    for row in rows:
        at: list[int] = []
        for token, position, parent in zip(row.ids, row.positions, row.parents, strict=True):
            key = (at[parent] if parent >= 0 else -1, token)
            if key not in known:
                known[key] = len(merged.ids)
                merged.ids.append(token)
                merged.positions.append(position)
                merged.parents.append(key[0])
            at.append(known[key])
        merged.decisions += [
            replace(
                d,
                state_position=at[d.state_position],
                first_position=at[d.first_position],
                token_positions=[at[t] for t in d.token_positions],
            )
            for d in row.decisions
        ]
        places.append(at)
    return merged, places


def truncate_to_states(row: TokenTree) -> TokenTree:
    """The row up to its last state, which is all that a value function reads."""
    end = max(decision.state_position for decision in row.decisions) + 1
    # The tokens of the last actions are removed.
    decisions = [
        replace(d, first_position=d.state_position, token_positions=[], constrained=False) for d in row.decisions
    ]
    return TokenTree(row.name, row.ids[:end], row.positions[:end], row.parents[:end], decisions)
