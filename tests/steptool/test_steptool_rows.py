"""Which tokens are trained, and whose reward is whose."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from spark_framework.config import StepToolSection
from spark_framework.errors import DataError
from spark_framework.steptool.files import PpoExample, read_ppo_csv
from spark_framework.steptool.losses import advantages, token_rewards, whiten
from spark_framework.steptool.rows import StepRow, csv_row, step_row
from tests.steptool.episodes import EXAMPLES, byte_ids, plain_byte_ids
from tests.steptool.shared import SHARED, needs_shared

PAPER, RELEASED = StepToolSection(), StepToolSection(compat="released")


def trained(row: StepRow) -> list[bytes]:
    """The trained tokens of each step as bytes; the special token as `^`."""
    ids = torch.tensor([94 if token == 256 else token for token in row.row.ids])
    found = []
    for step in range(len(row.row.decisions)):
        at = row.places.position_T[row.places.step_T == step]
        assert torch.equal(row.before_T[row.places.step_T == step], at - 1)
        found.append(bytes(ids[at].tolist()))
    return found


def built(example: PpoExample, section: StepToolSection, tokenise: Any = plain_byte_ids) -> StepRow:
    row = csv_row("row 1", example, tokenise, section, 10_000)
    return step_row(row, [decision.reward for decision in row.decisions])


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_response_is_trained_and_nothing_else(example: PpoExample) -> None:
    row = built(example, PAPER)
    assert trained(row) == [text.encode() for text in example.responses]
    assert (
        bytes(row.row.ids)
        == "".join(
            prompt + response for prompt, response in zip(example.prompts, example.responses, strict=True)
        ).encode()
    )
    assert row.score_S.tolist() == pytest.approx(list(example.rewards))


def test_released_begins_every_fragment_with_the_tokenizers_own_token_and_paper_only_the_first() -> None:
    paper, released = (built(EXAMPLES[0], section, byte_ids) for section in (PAPER, RELEASED))
    assert paper.row.ids.count(256) == 1
    assert released.row.ids.count(256) == 4
    assert [text[:1] for text in trained(paper)] == [b"A", b"A"]
    assert [text[:1] for text in trained(released)] == [b"^", b"^"]  # it is trained, too


def test_context_is_cut_at_the_beginning_and_the_last_response_at_its_end() -> None:
    example = PpoExample(prompts=("aaaa", "bb", "cc"), responses=("1111", "22", "33333"), rewards=(0.1, 0.2, 0.3))
    row = built(example, StepToolSection(max_context=9, max_response=3))
    assert bytes(row.row.ids) == b"111bb22cc333"
    assert trained(row) == [b"11", b"22", b"333"]  # nothing predicts the very first token


def test_rewards_stay_with_their_steps_where_the_first_ones_are_cut_off() -> None:
    example = PpoExample(prompts=("aaaa", "bb", "cc"), responses=("1111", "22", "3"), rewards=(0.1, 0.2, 0.3))
    row = built(example, StepToolSection(max_context=4))
    assert trained(row) == [b"2", b"3"]
    assert row.score_S.tolist() == pytest.approx([0.2, 0.3])


def test_a_row_that_the_model_cannot_read_is_one_line() -> None:
    with pytest.raises(DataError, match=r"row 1 has \d+ tokens; the model reads 50: lower steptool\.max_context"):
        csv_row("row 1", EXAMPLES[0], plain_byte_ids, PAPER, 50)


# -- StepTool's own rows ---------------------------------------------------------------------------------------------


def recorded() -> list[Any]:
    rows = []
    for path in sorted(SHARED.glob("fixtures*.json")):
        for one in json.loads(path.read_text(encoding="utf-8"))["real_rows_byte_tokenizer"]["rows"]:
            model = one["file"].split("/")[1]
            file = SHARED / f"{model}_step_grained_for_ppo_example.csv"
            if file.is_file():
                rows.append(pytest.param(file, one, id=f"{model}-{one['row']}"))
    return rows


@needs_shared
@pytest.mark.parametrize(("file", "one"), recorded())
def test_steptools_own_rows_give_the_recorded_advantages(file: Any, one: dict[str, Any]) -> None:
    section = StepToolSection(compat="released", max_context=4096, max_response=1024)
    row = csv_row("row", read_ppo_csv(file)[one["row"]], plain_byte_ids, section, 10_000)
    scores = torch.tensor([decision.reward for decision in row.decisions]).half().float()
    found = step_row(row, scores.tolist())
    zeros = torch.zeros(len(found.before_T))
    reward = token_rewards(found.score_S, zeros, zeros, found.places, kl_coef=0.3, compat="released")
    raw, _ = advantages(reward, zeros, found.places, gamma=0.99, lam=0.95, compat="released")
    spans = [found.before_T[found.places.step_T == step][[0, -1]].tolist() for step in range(len(row.decisions))]
    assert spans == one["spans_in_shifted_mask"]
    assert len(zeros) == one["n_mask"]
    placed = [[int(found.before_T[i]), float(reward[i])] for i in reward.nonzero()[:, 0]]
    assert placed == [pytest.approx(pair) for pair in one["reward_positions"]]
    for name, values in (("raw_adv", raw), ("adv", whiten(raw))):
        ends = [values[found.places.step_T == step][[0, -1]].tolist() for step in range(len(row.decisions))]
        assert ends == [pytest.approx(pair, abs=1e-5, rel=1e-5) for pair in one[f"{name}_span_first_last"]]
    assert float(raw.mean()) == pytest.approx(one["raw_mean"], rel=1e-5)
    assert float(raw.var()) == pytest.approx(one["raw_var_unbiased"], rel=1e-5)
