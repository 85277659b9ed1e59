"""`dpo`: preference pairs of a state's candidates, and the published loss against a plain computation of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch

from spark_framework import train
from spark_framework.cli import main
from spark_framework.errors import DataError
from spark_framework.records import Trajectory
from spark_framework.training.data.token_tree import TokenTree
from spark_plugin_algorithms.dpo import dpo_loss, preference_pairs
from tests.runs import STAGE
from tests.training.candidates import (
    ROUND,
    Option,
    branching,
    changed,
    check_gradients,
    check_resumed,
    log_of,
    means,
    read_states,
    with_candidate,
)
from tests.training.trees import actor, algorithm, shake, stage_data, trainer_of, tree

QUESTIONS = [branching(0, 0), tree(1, 1)[:1], branching(2, 2)[1:]]
DATA = {**STAGE, "kind": "dpo", "data": "demonstrations"}


def rows_of(questions: list[list[Trajectory]], **settings: Any) -> list[TokenTree]:
    rows: list[TokenTree] = algorithm("dpo", **settings).rows(stage_data(questions))
    return rows


def log_pi(option: Option) -> Any:
    return option.tokens.sum() + (0.0 if option.action is None else option.action)


def plain_loss(
    model: Any, reference: list[list[Option]], question: list[Trajectory], beta: float, margin: float
) -> Any:
    of_states = []
    for now, then in zip(read_states(model, question), reference, strict=True):
        rewards = [beta * (log_pi(a) - log_pi(b)) for a, b in zip(now, then, strict=True)]
        of_pairs = [
            -torch.log(torch.sigmoid(rewards[i] - rewards[k]))
            for i, k in permutations(range(len(now)), 2)
            if now[i].score - now[k].score > margin
        ]
        if of_pairs:
            of_states.append(sum(of_pairs) / len(of_pairs))
    return sum(of_states) / len(of_states)


@pytest.mark.parametrize(("beta", "margin"), [(0.1, 1.0), (0.7, 2.5)])
def test_loss_and_gradients_are_the_plain_ones(tiny: Path, tmp_path: Path, beta: float, margin: float) -> None:
    questions = [[changed(one, 1, scores=(3.0, 5.0, 9.0)) for one in question] for question in QUESTIONS]
    dpo, model = algorithm("dpo", beta=beta, margin=margin), actor(tiny)
    made = trainer_of(dpo, model, dpo.rows(stage_data(questions)), tmp_path)
    with torch.no_grad():
        reference = [read_states(model, question) for question in questions]
    shake(model, 0.05, seed=2)
    ours = made.compute_loss(model, made.reader.inputs(range(len(questions))))
    plain = [plain_loss(model, at, one, beta, margin) for at, one in zip(reference, questions, strict=True)]
    check_gradients(model, ours, sum(plain) / len(plain))


def test_before_the_first_update_no_candidate_is_preferred(tiny: Path, tmp_path: Path) -> None:
    dpo, model = algorithm("dpo"), actor(tiny)
    made = trainer_of(dpo, model, dpo.rows(stage_data(QUESTIONS)), tmp_path)
    loss = made.compute_loss(model, made.reader.inputs([0, 1, 2]))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-5)
    figures = made.update.compute()
    assert figures["rewards/chosen"] == pytest.approx(0, abs=1e-5)
    assert figures["rewards/rejected"] == pytest.approx(0, abs=1e-5)
    assert figures["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert figures["approx_kl"] == pytest.approx(0, abs=1e-8)
    assert "kl" not in figures


def test_the_loss_by_hand() -> None:
    better, worse = torch.tensor([0.5, -1.0]), torch.tensor([0.2, 1.0])
    expected = 0.25 * math.log(1 + math.exp(-0.3)) + 0.75 * math.log(1 + math.exp(2.0))
    assert dpo_loss(better, worse, torch.tensor([0.25, 0.75])).item() == pytest.approx(expected)
    far = dpo_loss(torch.tensor([-500.0]), torch.tensor([500.0]), torch.ones(1))
    assert far.item() == pytest.approx(1000)


# -- pairs ---------------------------------------------------------------------------------------------------------


def names(row: TokenTree, margin: float = 1.0) -> list[tuple[str, str, float]]:
    return [(row.decisions[i].action, row.decisions[k].action, p) for i, k, p in preference_pairs(row, margin)]


def test_pairs_differ_by_more_than_the_margin() -> None:
    one = changed(tree()[0], 0, scores=(7.0, 8.0, 4.0))
    one = changed(one, 1, scores=(5.0, 5.0, 5.0))
    (row,) = rows_of([[one]])
    assert sorted(names(row)) == [("ash", "think", 0.5), ("birch", "think", 0.5)]
    assert sorted(names(row, 3.5)) == [("birch", "think", 1.0)]
    assert len(names(row, 0.0)) == 3


def test_each_state_weighs_the_same() -> None:
    one = changed(tree()[0], 1, scores=(5.0, 5.0, 9.0))
    (row,) = rows_of([[one]])
    depths = [(row.decisions[w].depth, p) for w, _, p in preference_pairs(row, 1.0)]
    assert sorted(depths) == [(0, pytest.approx(1 / 6))] * 3 + [(1, pytest.approx(1 / 4))] * 2


def test_a_state_that_branches_share_counts_once() -> None:
    one, two, other = branching()
    (row,) = rows_of([[one, two, other]])
    first = [d for d in row.decisions if d.depth == 0]
    assert sorted(d.action for d in first) == ["ash", "birch", "think"]
    assert len({d.state_position for d in first}) == 1
    assert sum(row.decisions[better].depth == 0 for better, _, _ in preference_pairs(row, 1.0)) == 3
    (alone,) = rows_of([[one]])
    (twice,) = rows_of([[one, one.model_copy(update={"id": "r/0/9", "branch": 9})]])
    assert twice.ids == alone.ids
    assert twice.decisions == alone.decisions


def test_closing_answers_are_in_no_pair() -> None:
    (row,) = rows_of([tree()])
    assert {d.action for d in row.decisions} == {"ash", "birch", "think"}
    assert all(d.score is not None for d in row.decisions)


def test_states_without_a_pair_are_not_read() -> None:
    one, _, _ = tree()
    equal = changed(one, 1, scores=(7.0, 7.0, 7.0))
    (row,), (more,) = rows_of([[equal]]), rows_of([[one]])
    assert len(row.ids) < len(more.ids)
    assert {d.depth for d in row.decisions if d.action == "think"} == {0}


def test_questions_without_a_pair_are_left_out() -> None:
    equal = [changed(changed(tree(1, 1)[0], 0, scores=(7.0,) * 3), 1, scores=(7.0,) * 3)]
    assert [row.name for row in rows_of([tree(0, 0), equal])] == ["r/0"]


def test_a_round_without_any_pair_reports_what_to_change() -> None:
    with pytest.raises(DataError) as caught:
        rows_of(QUESTIONS, margin=6.0)
    assert str(caught.value) == (
        "stage stage: in round explore, no state has two candidates whose scores differ by more than 6; lower "
        "stages.stage.margin, or have a judge that tells candidates apart score the round"
    )


def test_one_candidate_does_not_form_a_pair() -> None:
    one = tree()[0]
    for depth in (0, 1):
        step = one.steps[depth]
        one = changed(one, depth, candidates=step.candidates[:2], scores=(7.0, 7.5))
    with pytest.raises(DataError, match="no state has two candidates"):
        rows_of([[one]])


@pytest.mark.parametrize(
    "odd", [{"token_ids": (), "opening": 0, "token_logprobs": ()}, {"token_ids": (302, 5), "token_logprobs": ()},
            {"token_logprobs": (math.nan,)}], ids=["no_tokens", "empty", "logprobs"],
)  # fmt: skip
def test_candidates_that_cannot_be_read_are_left_out(caplog: pytest.LogCaptureFixture, odd: dict[str, Any]) -> None:
    question = [with_candidate(one, 0, 2, **odd) for one in branching()[:2]]
    with caplog.at_level(logging.WARNING):
        (row,) = rows_of([question])
    (message,) = caplog.messages
    assert message.startswith("stage stage: candidates left out: 1; the first: trajectory r/0/0")
    assert sorted(d.action for d in row.decisions if d.depth == 0) == ["ash", "birch"]
    assert ("birch", "ash") in [pair[:2] for pair in names(row)]


def test_a_chosen_candidate_that_cannot_be_read_is_an_error() -> None:
    one = with_candidate(tree()[0], 0, 0, token_ids=(), opening=0, token_logprobs=())
    with pytest.raises(DataError, match="r/0/0 holds no token ids"):
        rows_of([[one]])


def test_filters_apply() -> None:
    right, _, wrong = tree()
    (row,) = rows_of([[right, wrong]], require_correct=True)
    assert row.trajectories == (right,)
    with pytest.raises(DataError, match="no trajectory of round explore passes its filters"):
        rows_of([[wrong]], require_correct=True)


def test_pairs_have_no_step_rewards_to_export() -> None:
    assert algorithm("dpo").examples(stage_data(QUESTIONS)) is None


# -- whole stages --------------------------------------------------------------------------------------------------

Runs = Callable[..., Path]


def test_a_stage_learns_what_the_judge_prefers(demonstrations: Runs, tmp_path: Path) -> None:
    stage = {**DATA, "epochs": 6, "lr": 5e-3, "lora": {"r": 4, "alpha": 16}}
    run = demonstrations(tmp_path / "run", stages={"dpo": stage}, rollouts=ROUND)
    assert main(["train", str(run), "--stage", "dpo", "--dry-run"]) == 0
    assert not (run / "train").exists()
    updates = log_of(train(run, "dpo"))
    losses, accuracies = (list(means(updates, name, 6)) for name in ("loss", "rewards/accuracies"))
    assert losses[0] > losses[-1]
    assert accuracies[-1] > max(0.5, accuracies[0])
    last = updates[-1]
    assert last["rewards/margins"] == pytest.approx(last["rewards/chosen"] - last["rewards/rejected"], abs=1e-5)
    assert not {"kl", "beta"} & last.keys()


def test_an_interrupted_stage_ends_as_an_uninterrupted_one(demonstrations: Runs, tmp_path: Path) -> None:
    stage = {**DATA, "epochs": 3, "schedule": "cosine", "save_steps": 2}
    whole, cut = (demonstrations(tmp_path / part, stages={"dpo": stage}, rollouts=ROUND) for part in ("whole", "cut"))
    check_resumed(whole, cut, "dpo", 5)
