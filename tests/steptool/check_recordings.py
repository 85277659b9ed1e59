"""Compares recorded numbers of the released code with what `compat: released` computes.

A file of recordings is a JSON object with `gamma`, `lam`, `kl_coef`, and any number of examples of two kinds:

* padded batches: objects with `mask`, `scores`, `logprobs`, `ref`, `values` and what came out (`rewards`, `returns`,
  `raw_adv`, `adv`; with `new_logprobs` and `vpreds` also `loss_policy`, `loss_value_times_coef`, `stats`);
* `real_rows_byte_tokenizer.rows`: rows of StepTool's CSV, read with the tokenizer `list(text.encode())`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from spark_framework.training.algorithms.steptool import advantages, token_rewards, whiten
from spark_framework.training.data.ppo_csv import read_ppo_csv
from spark_plugin_algorithms.steptool import StepToolSection
from spark_plugin_algorithms.steptool.rows import csv_row, step_tree
from tests.steptool.padded import padded_advantages, padded_loss

TOLERANCE = 1e-5
VALUE_COEF = 0.1
"""Weight of the value loss in the recordings."""
LIMITS = StepToolSection(compat="released", max_context=4096, max_response=1024)
"""With which the rows of the CSV were recorded."""


class Comparison(NamedTuple):
    """One recorded figure, or list of figures."""

    example: str
    figure: str
    difference: float | None
    """The largest absolute one; infinite where the number of figures differs; None where the CSV is not there."""

    @property
    def agrees(self) -> bool:
        return self.difference is not None and self.difference <= TOLERANCE


def compare_with(path: Path, data: Path | None = None) -> list[Comparison]:
    """Compare all examples of a file of recordings.

    Args:
        data: where the CSV files of the recorded rows are: a clone of StepTool's repository, or a folder that holds
            `qwen2_step_grained_for_ppo_example.csv` and the like; None: the folder of `path`.
    """
    recorded = json.loads(path.read_text(encoding="utf-8"))
    return list(_compared(recorded, data or path.parent))


def _compared(recorded: dict[str, Any], data: Path) -> Iterator[Comparison]:
    settings = {name: recorded[name] for name in ("gamma", "lam", "kl_coef")}
    for name, example in recorded.items():
        if isinstance(example, dict) and "mask" in example:
            for figure, difference in _batch(example, settings):
                yield Comparison(name, figure, difference)
    for row in recorded.get("real_rows_byte_tokenizer", {}).get("rows", ()):
        name, file = f"{row['file']}, row {row['row']}", _csv(data, row["file"])
        if file is None:
            yield Comparison(name, "all", None)
            continue
        for figure, ours in _csv_row(file, row, settings):
            yield Comparison(name, figure, _difference(ours, row[figure]))


def _batch(example: dict[str, Any], settings: dict[str, Any]) -> Iterator[tuple[str, float]]:
    mask = torch.tensor(example["mask"]).bool()
    inputs = (example[name] for name in ("mask", "scores", "logprobs", "ref", "values"))
    found = padded_advantages(*inputs, compat="released", **settings)
    ours = {"rewards": found.reward_BT, "returns": found.return_BT, "raw_adv": found.advantage_BT,
            "adv": found.whitened_BT}  # fmt: skip
    for name, values in ours.items():
        if name in example:
            yield name, _difference(values[mask].tolist(), torch.tensor(example[name])[mask].tolist())
    if "new_logprobs" in example:
        loss = padded_loss(
            mask, example["new_logprobs"], example["logprobs"], found.whitened_BT, example["vpreds"],
            example["values"], found.return_BT,
        )  # fmt: skip
        yield "loss_policy", _difference(float(loss.policy), example["loss_policy"])
        value = VALUE_COEF * float(loss.value)
        yield "loss_value_times_coef", _difference(value, example["loss_value_times_coef"])
        total = example["loss_policy"] + example["loss_value_times_coef"]
        yield "total loss", _difference(float(loss.total(VALUE_COEF)), total)
        stats = {"policy/clipfrac": loss.clip_fraction, "val/clipfrac": loss.value_clip_fraction}
        for name, share in stats.items():
            if name in example.get("stats", {}):
                yield name, _difference(float(share), example["stats"][name])


def _csv_row(file: Path, row: dict[str, Any], settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What this framework makes of a row of the CSV, by the names of the recording."""
    example = read_ppo_csv(file)[row["row"]]
    built = csv_row(f"{file}, row {row['row']}", example, lambda text, _: list(text.encode()), LIMITS, 1 << 30)
    label = torch.tensor(example.rewards).half().float()
    found = step_tree(built, label.tolist())
    zero_T = torch.zeros(len(found.before_T))
    reward_T = token_rewards(
        found.score_S, zero_T, zero_T, found.places, kl_coef=settings["kl_coef"], compat="released"
    )
    advantage_T, _ = advantages(
        reward_T, zero_T, found.places, gamma=settings["gamma"], lam=settings["lam"], compat="released"
    )
    step_T = found.places.step_T
    ends = [(step_T == step).nonzero()[[0, -1], 0] for step in range(len(built.decisions))]
    yield "label_fp16", label.tolist()
    yield "n_mask", len(zero_T)
    yield "spans_in_shifted_mask", [found.before_T[pair].tolist() for pair in ends]
    yield "reward_positions", [[int(found.before_T[i]), float(reward_T[i])] for i in reward_T.nonzero()[:, 0]]
    yield "raw_adv_span_first_last", [advantage_T[pair].tolist() for pair in ends]
    yield "adv_span_first_last", [whiten(advantage_T)[pair].tolist() for pair in ends]
    yield "raw_mean", float(advantage_T.mean())
    yield "raw_var_unbiased", float(advantage_T.var())


def _csv(data: Path, name: str) -> Path | None:
    """`data_train/MODEL/FILE` in a clone, or `MODEL_FILE` in a plain folder."""
    parts = Path(name).parts
    return next((file for file in (data / name, data / "_".join(parts[-2:])) if file.is_file()), None)


def _difference(ours: Any, recorded: Any) -> float:
    one, other = _flat(ours), _flat(recorded)
    if len(one) != len(other):
        return float("inf")
    return max((abs(a - b) if a == a and b == b else float("inf") for a, b in zip(one, other, strict=True)), default=0)


def _flat(value: Any) -> list[float]:
    if isinstance(value, Sequence):
        return [number for part in value for number in _flat(part)]
    return [float(value)]
