"""Recorded numbers of the released code, and those of a second implementation, agree with `compat: released`."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from spark_framework.steptool import write_ppo_csv
from tests.steptool.check_recordings import compare_with
from tests.steptool.episodes import EXAMPLES
from tests.steptool.padded import padded_advantages, padded_loss
from tests.steptool.released_reference import FILE, fixtures, rounded
from tests.steptool.shared import SHARED

OWN: dict[str, Any] = rounded(fixtures())


def test_the_projects_own_fixture_is_what_the_reference_gives() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8")) == OWN


@pytest.mark.parametrize("path", [FILE, *sorted(SHARED.glob("fixtures*.json"))], ids=lambda path: path.parent.name)
def test_released_gives_the_recorded_rewards_returns_advantages_and_losses(path: Path) -> None:
    found = compare_with(path)
    assert [one for one in found if one.difference is not None and not one.agrees] == []
    figures = {one.figure for one in found}
    assert figures >= {"rewards", "returns", "raw_adv", "adv", "loss_policy", "loss_value_times_coef"}
    if path != FILE:
        compared = {one.example for one in found if one.difference is not None}
        assert sum("row" in name for name in compared) >= 20  # all rows of the files that are there
        assert figures >= {"label_fp16", "spans_in_shifted_mask", "reward_positions", "adv_span_first_last"}


@pytest.mark.parametrize("figure", ["rewards", "returns", "raw_adv", "adv", "loss_policy", "loss_value_times_coef"])
def test_a_figure_that_is_off_by_little_is_found(tmp_path: Path, figure: str) -> None:
    changed = json.loads(json.dumps(OWN))
    one = changed["one_row"]
    if isinstance(one[figure], list):
        one[figure][0][one["mask"][0].index(1)] += 1e-4
    else:
        one[figure] += 1e-4
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(changed))
    off = {(found.example, found.figure): found.difference for found in compare_with(path) if not found.agrees}
    assert off["one_row", figure] == pytest.approx(1e-4, rel=0.01)
    assert off.keys() <= {("one_row", figure), ("one_row", "total loss")}


def test_a_row_whose_csv_is_missing_is_not_called_right(tmp_path: Path) -> None:
    row = {"file": "data_train/mine/train.csv", "row": 0}
    settings = {name: OWN[name] for name in ("gamma", "lam", "kl_coef")}
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({**settings, "real_rows_byte_tokenizer": {"rows": [row]}}))
    (found,) = compare_with(path)
    assert (found.example, found.difference) == ("data_train/mine/train.csv, row 0", None)
    assert not found.agrees


def test_rows_are_read_from_a_clone_or_from_a_plain_folder(tmp_path: Path) -> None:
    labels = [0.7998046875, 1.0]  # 0.8 and 1 in half precision
    spans = [[len(EXAMPLES[0].prompts[0]) - 1, len(EXAMPLES[0].prompts[0]) + len(EXAMPLES[0].responses[0]) - 2]]
    second = spans[0][1] + len(EXAMPLES[0].prompts[1]) + 1
    spans.append([second, second + len(EXAMPLES[0].responses[1].encode()) - 1])
    row = {
        "file": "data_train/mine/train.csv", "row": 0, "label_fp16": labels, "n_mask": sum(b - a + 1 for a, b in spans),
        "spans_in_shifted_mask": spans, "reward_positions": [[spans[0][1], labels[0]]],
        "raw_adv_span_first_last": [[labels[0] * 0.9405 ** (spans[0][1] - spans[0][0]), labels[0]], [0, 0]],
    }  # fmt: skip
    for name in ("adv_span_first_last", "raw_mean", "raw_var_unbiased"):
        row[name] = 0.0
    settings = {name: OWN[name] for name in ("gamma", "lam", "kl_coef")}
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({**settings, "real_rows_byte_tokenizer": {"rows": [row]}}))
    for file in (tmp_path / "mine_train.csv", tmp_path / "clone" / "data_train" / "mine" / "train.csv"):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_ppo_csv(file, EXAMPLES)
    for data in (None, tmp_path / "clone"):
        found = {one.figure: one.agrees for one in compare_with(path, data)}
        assert [name for name, agrees in found.items() if not agrees] == [
            "adv_span_first_last", "raw_mean", "raw_var_unbiased",
        ]  # fmt: skip


# -- the padded form -------------------------------------------------------------------------------------------------

MASK = [[0, 1, 1, 0, 1, 0], [1, 0, 0, 0, 0, 0]]
FLAT = [*MASK[0], *MASK[1]]
ZEROS = [[0.0] * 6] * 2


def test_what_is_masked_is_zero_and_whitening_runs_over_the_batch() -> None:
    found = padded_advantages(MASK, [[0.5, 1.0], [0.25]], ZEROS, ZEROS, [[9.0] * 6] * 2, compat="paper")
    for rows in (found.reward_BT, found.return_BT, found.advantage_BT, found.whitened_BT):
        assert rows.shape == (2, 6)
        assert all(value == 0 for value, seen in zip(rows.flatten().tolist(), FLAT, strict=True) if not seen)
    kept = [value for value, seen in zip(found.whitened_BT.flatten().tolist(), FLAT, strict=True) if seen]
    assert sum(kept) == pytest.approx(0, abs=1e-5)
    assert sum(value**2 for value in kept) / (len(kept) - 1) == pytest.approx(1, abs=1e-4)


def test_paper_pays_the_last_step_and_released_does_not() -> None:
    paper, released = (
        padded_advantages(MASK, [[0.5, 1.0], [0.25]], ZEROS, ZEROS, ZEROS, compat=compat)
        for compat in ("paper", "released")
    )
    assert paper.reward_BT.tolist() == [[0, 0, 0.5, 0, 1.0, 0], [0.25, 0, 0, 0, 0, 0]]
    assert released.reward_BT.tolist() == [[0, 0, 0.5, 0, 0, 0], [0] * 6]


def test_the_loss_is_a_mean_over_what_is_not_masked() -> None:
    advantage = [[7.0, 1.0, 1.0, 7.0, 1.0, 7.0], [1.0, 7.0, 7.0, 7.0, 7.0, 7.0]]
    loss = padded_loss(MASK, ZEROS, ZEROS, advantage, ZEROS, ZEROS, [[2.0] * 6] * 2)
    assert float(loss.policy) == pytest.approx(-1.0)
    assert float(loss.value) == pytest.approx(2.0)
    assert float(loss.total(0.1)) == pytest.approx(-0.8)


def test_the_example_of_the_docs_prints_the_output_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(Path(__file__).parents[2] / "docs" / "examples" / "steptool_numbers.py"))
    rewards, paper, released, loss = capsys.readouterr().out.splitlines()
    assert rewards == "rewards [0.9667, 0.2667, 0.8333]"
    assert paper != released
    assert loss.startswith("policy ")
