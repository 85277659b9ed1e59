"""Which tokens are trained, and whose reward is whose."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spark_framework.errors import DataError
from spark_framework.training.data.ppo_csv import PpoExample
from spark_plugin_algorithms.steptool import StepToolSection
from spark_plugin_algorithms.steptool.rows import StepTree, csv_row, step_tree
from tests.steptool.episodes import EXAMPLES, byte_ids, plain_byte_ids

PAPER, RELEASED = StepToolSection(), StepToolSection(compat="released")


def trained(row: StepTree) -> list[bytes]:
    """The trained tokens of each step as bytes; the special token as `^`."""
    ids = torch.tensor([94 if token == 256 else token for token in row.row.ids])
    found = []
    for step in range(len(row.row.decisions)):
        at = row.places.position_T[row.places.step_T == step]
        assert torch.equal(row.before_T[row.places.step_T == step], at - 1)
        found.append(bytes(ids[at].tolist()))
    return found


def built(example: PpoExample, section: StepToolSection, tokenise: Any = plain_byte_ids) -> StepTree:
    row = csv_row("row 1", example, tokenise, section, 10_000)
    return step_tree(row, [decision.reward for decision in row.decisions])


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
