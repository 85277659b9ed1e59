"""The released behaviour of StepTool, written a second time from its formulas: padded rows, position by position.

`python -m tests.steptool.released_reference` writes `released.json` beside this file, with invented numbers in the form
of the fixtures that `test_checking.py` reads.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("released.json")
GAMMA, LAM, KL_COEF, CLIP = 0.99, 0.95, 0.3, 0.2
TokenTree = list[float]


def ends(mask: list[int]) -> list[int]:
    return [t for t, one in enumerate(mask) if one and not (t + 1 < len(mask) and mask[t + 1])]


def rewards(mask: list[int], scores: TokenTree, logprobs: TokenTree, ref: TokenTree) -> TokenTree:
    row = [-KL_COEF * (p - q) for p, q in zip(logprobs, ref, strict=True)]
    last = ends(mask)
    for back in range(1, min(len(last), len(scores)) + 1):
        row[last[-back]] += scores[-back] * (back - 1)
    return row


def gae(mask: list[int], reward: TokenTree, values: TokenTree) -> tuple[TokenTree, TokenTree]:
    r, v = ([x * one for x, one in zip(row, mask, strict=True)] for row in (reward, values))
    advantage, carried = [0.0] * len(mask), 0.0
    for t in reversed(range(len(mask))):
        ahead = v[t + 1] if t + 1 < len(mask) else 0.0
        carried = r[t] + GAMMA * ahead - v[t] + GAMMA * LAM * carried
        advantage[t] = carried
    return advantage, [a + x for a, x in zip(advantage, v, strict=True)]


def whitened(masks: list[list[int]], rows: list[TokenTree]) -> list[TokenTree]:
    kept = [x for mask, row in zip(masks, rows, strict=True) for one, x in zip(mask, row, strict=True) if one]
    mean = sum(kept) / len(kept)
    scale = 1 / math.sqrt(sum((x - mean) ** 2 for x in kept) / (len(kept) - 1) + 1e-8)
    return [[(x - mean) * scale for x in row] for row in rows]


def losses(example: dict[str, Any]) -> dict[str, Any]:
    """Over all masked positions of all rows."""
    names = ("mask", "new_logprobs", "logprobs", "adv", "vpreds", "values", "returns")
    policy, value, clipped, value_clipped = [], [], [], []
    for row in zip(*(example[name] for name in names), strict=True):
        for one, new, old, advantage, v, v_old, goal in zip(*row, strict=True):
            if one:
                ratio = math.exp(new - old)
                plain, cut = -advantage * ratio, -advantage * min(max(ratio, 1 - CLIP), 1 + CLIP)
                near = min(max(v, v_old - CLIP), v_old + CLIP)
                policy.append(max(plain, cut))
                clipped.append(cut > plain)
                value.append(0.5 * max((v - goal) ** 2, (near - goal) ** 2))
                value_clipped.append((near - goal) ** 2 > (v - goal) ** 2)
    n = len(policy)
    return {
        "loss_policy": sum(policy) / n, "loss_value_times_coef": 0.1 * sum(value) / n,
        "stats": {"policy/clipfrac": sum(clipped) / n, "val/clipfrac": sum(value_clipped) / n},
    }  # fmt: skip


def example(masks: list[list[int]], scores: list[TokenTree], seed: int) -> dict[str, Any]:
    rng = random.Random(seed)

    def rows(low: float, high: float) -> list[TokenTree]:
        return [[round(rng.uniform(low, high), 2) for _ in mask] for mask in masks]

    made: dict[str, Any] = {"mask": masks, "scores": scores, "logprobs": rows(-3, 0), "values": rows(-1, 1)}
    made["ref"] = [[p + round(rng.uniform(-0.5, 0.5), 2) for p in row] for row in made["logprobs"]]
    made["rewards"] = [rewards(*row) for row in zip(masks, scores, made["logprobs"], made["ref"], strict=True)]
    both = [gae(*row) for row in zip(masks, made["rewards"], made["values"], strict=True)]
    made["raw_adv"], made["returns"] = ([row[k] for row in both] for k in (0, 1))
    made["adv"] = whitened(masks, made["raw_adv"])
    made["new_logprobs"] = [[p + round(rng.uniform(-0.6, 0.6), 2) for p in row] for row in made["logprobs"]]
    made["vpreds"] = [[v + round(rng.uniform(-0.6, 0.6), 2) for v in row] for row in made["values"]]
    return made | losses(made)


def fixtures() -> dict[str, Any]:
    one = [0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1]
    other = [1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    return {
        "gamma": GAMMA, "lam": LAM, "kl_coef": KL_COEF,
        "one_row": example([one], [[0.9, 0.3, 1.0]], 1),
        "two_rows": example([one, other], [[0.9, 0.3, 1.0], [0.6, 0.5]], 2),
        "first_steps_cut_off": example([one], [[0.1, 0.2, 0.4, 0.8, 1.0]], 3),
        "one_score_for_three_steps": example([one], [[1.0]], 4),
    }  # fmt: skip


def rounded(value: Any) -> Any:
    """To nine decimals: the last bits of exp() differ between machines."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 9)


if __name__ == "__main__":
    FILE.write_text(json.dumps(rounded(fixtures())) + "\n", encoding="utf-8")
