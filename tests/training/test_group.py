"""`group`: advantages within a state's candidates, and the loss against a plain computation of it."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from spark_framework import ladder, train
from spark_framework.api import RewardTerm
from spark_framework.cli import main
from spark_framework.errors import DataError
from spark_framework.host.component_spec import parse_spec
from spark_framework.records import Trajectory
from spark_framework.training.data.token_tree import TokenTree
from spark_plugin_algorithms.group import group_advantages
from tests.runs import STAGE, config
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
DATA = {**STAGE, "kind": "group", "data": "demonstrations"}
CLIP = 0.1
GAP = [(1.0, parse_spec("reward", "diversity_gap").build())]


def rows_of(questions: list[list[Trajectory]], diversity: Any = (), **settings: Any) -> list[TokenTree]:
    rows: list[TokenTree] = algorithm("group", **settings).rows(stage_data(questions, diversity=diversity))
    return rows


Value = Callable[[Sequence[float], float], float]
"""What a candidate is worth, from all scores of its step and its own."""


def plain_loss(model: Any, reference: list[list[Option]], question: list[Trajectory], value: Value, beta: float) -> Any:
    """Every candidate of every state in turn: its advantage, its clipped ratios, its distance from the reference."""
    surrogate, distance = [], []
    for now, then in zip(read_states(model, question), reference, strict=True):
        values = [value([option.score for option in now], option.score) for option in now]
        mean, deviation = statistics.fmean(values), statistics.pstdev(values)
        for option, first, worth in zip(now, then, values, strict=True):
            advantage = (worth - mean) / deviation if deviation > 1e-5 else 0.0
            old, opening = option.candidate.token_logprobs, option.candidate.opening

            def clipped(new: Any, before: float, advantage: float = advantage) -> Any:
                ratio = torch.exp(new - before)
                return min(ratio * advantage, torch.clamp(ratio, 1 - CLIP, 1 + CLIP) * advantage)

            tokens = [clipped(new, before) for new, before in zip(option.tokens, old[opening:], strict=True)]
            surrogate.append((sum(tokens) / len(tokens) + clipped(option.action, old[0])) / len(now))
            kl = (first.head.exp() * (first.head - option.head)).sum()
            distance.append((kl + ((option.tokens - first.tokens) ** 2 / 2).mean()) / len(now))
    states = len(reference)
    return beta * (sum(distance) / states) ** 2 - sum(surrogate) / states


@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_loss_and_gradients_are_the_plain_ones(tiny: Path, tmp_path: Path, rho: float) -> None:
    questions = [[changed(one, 1, scores=(3.0, 5.0, 9.0)) for one in question] for question in QUESTIONS]
    group, model = algorithm("group", rho=rho, clip=CLIP, beta=2.0), actor(tiny)
    made = trainer_of(group, model, group.rows(stage_data(questions, diversity=GAP)), tmp_path)
    with torch.no_grad():
        reference = [read_states(model, question) for question in questions]
    shake(model, 0.05, seed=2)
    ours = made.compute_loss(model, made.reader.inputs(range(len(questions))))

    def value(scores: Sequence[float], score: float) -> float:
        return (1 - rho) * score / 10 + rho * (max(scores) - score) / 10

    plain = [plain_loss(model, at, one, value, 2.0) for at, one in zip(reference, questions, strict=True)]
    check_gradients(model, ours, sum(plain) / len(plain))


def test_a_candidate_without_stored_log_probabilities_is_compared_with_the_reference(
    tiny: Path, tmp_path: Path
) -> None:
    bare = with_candidate(tree()[0], 0, 1, token_logprobs=())
    group, model = algorithm("group"), actor(tiny)
    made = trainer_of(group, model, group.rows(stage_data([[bare]])), tmp_path)
    (place,) = [i for i, d in enumerate(made.rows[0].decisions) if (d.depth, d.action) == (0, "birch")]
    assert made.old[0].action_D[place] == made.reference[0].action_D[place]
    others = [i for i in range(len(made.rows[0].decisions)) if i != place]
    assert not torch.isclose(made.old[0].action_D[others], made.reference[0].action_D[others]).any()


# -- advantages ----------------------------------------------------------------------------------------------------


def test_a_group_has_mean_0_and_variance_1() -> None:
    advantage = group_advantages(torch.tensor([0.9, 0.2, 0.4, 0.7, 0.1]), torch.tensor([0, 1, 0, 0, 1]))
    for members in ([0, 2, 3], [1, 4]):
        assert advantage[members].mean().item() == pytest.approx(0, abs=1e-6)
        assert advantage[members].std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert advantage[1].item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("values", [[0.7] * 9, [0.1 + 0.2, 0.3, 0.3], [0.4]])
def test_equal_values_have_no_advantage(values: list[float]) -> None:
    """Nor do those that differ by rounding only."""
    assert not group_advantages(torch.tensor(values), torch.zeros(len(values), dtype=torch.long)).any()


def test_the_value_is_that_of_the_candidate_as_if_it_were_chosen() -> None:
    class Seen(RewardTerm):
        name = "seen"

        def value(self, step: Any, trajectory: Any) -> float:
            assert step in trajectory.steps
            return 10.0 * trajectory.process_ok(step) + len(step.candidate.action)

    one, _, _ = tree()
    verdict = one.steps[0].verdict.model_copy(update={"process_ok": (True, False, True)})
    (row,) = rows_of([[changed(one, 0, verdict=verdict)]], [(2.0, Seen())], rho=0.25)
    found = {d.action: d.reward for d in row.decisions if d.depth == 0}
    expected = {"ash": 0.75 * 0.7 + 0.25 * 26, "birch": 0.75 * 0.9 + 0.25 * 10, "think": 0.75 * 0.4 + 0.25 * 30}
    assert found == pytest.approx(expected)


def test_terms_with_weight_zero_are_not_computed() -> None:
    class Unwilling(RewardTerm):
        name = "unwilling"

        def value(self, step: Any, trajectory: Any) -> float:
            raise AssertionError

    (row,) = rows_of([tree()[:1]], [(1.0, Unwilling())])
    assert sorted(d.reward for d in row.decisions if d.depth == 0) == pytest.approx([0.4, 0.7, 0.9])


def test_an_export_has_the_values_of_the_chosen_candidates() -> None:
    one, _, _ = tree()
    ((exported, values),) = algorithm("group", rho=0.2).examples(stage_data([[one]], diversity=GAP))
    assert exported is one
    assert values == pytest.approx([0.8 * 0.7 + 0.2 * 0.2, 0.8 * 0.9, 0.0])


# -- rows ----------------------------------------------------------------------------------------------------------


def test_each_state_and_each_candidate_of_it_weigh_the_same() -> None:
    (row,) = rows_of([branching()])
    states = {d.state_position for d in row.decisions}
    assert len(states) == 6  # the first one, and one or two more of each branch
    for state in states:
        weights = [d.weight for d in row.decisions if d.state_position == state]
        assert weights == pytest.approx([1 / 18] * 3)


def test_a_state_that_branches_share_counts_once() -> None:
    one, _, _ = tree()
    (alone,) = rows_of([[one]])
    (twice,) = rows_of([[one, one.model_copy(update={"id": "r/0/9", "branch": 9})]])
    assert (twice.ids, twice.decisions) == (alone.ids, alone.decisions)


def test_closing_answers_do_not_learn() -> None:
    (row,) = rows_of([branching()])
    assert {d.action for d in row.decisions} == {"ash", "birch", "think"}


def test_one_candidate_does_not_form_a_group(tiny: Path, tmp_path: Path) -> None:
    one, _, _ = tree()
    step = one.steps[1]
    alone = changed(one, 1, candidates=(step.candidate,), chosen=0,
                    verdict=step.verdict.model_copy(update={"scores": (9.0,), "process_ok": (True,)}))  # fmt: skip
    group, model = algorithm("group", beta=0.0), actor(tiny)
    made = trainer_of(group, model, group.rows(stage_data([[alone]])), tmp_path)
    loss = made.compute_loss(model, made.reader.inputs([0]))
    assert math.isfinite(loss.item())
    (only,) = [d for d in made.rows[0].decisions if d.depth == 1]
    assert only.weight == pytest.approx(0.5)
    of_birch = (0.9 - 2.0 / 3) / statistics.pstdev([0.7, 0.9, 0.4])
    assert made.update.compute()["advantage/birch"] == pytest.approx((of_birch + 0) / 2, abs=1e-5)


def test_candidates_that_cannot_be_read_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    question = [with_candidate(one, 0, 2, token_ids=(), opening=0, token_logprobs=()) for one in branching()[:2]]
    with caplog.at_level(logging.WARNING):
        (row,) = rows_of([question])
    (message,) = caplog.messages
    assert message.startswith("stage stage: candidates left out: 1; the first: trajectory r/0/0")
    assert [d.weight for d in row.decisions if d.depth == 0] == pytest.approx([1 / 8] * 2)


def test_a_round_without_a_difference_reports_what_to_change() -> None:
    """With rho = 0.5 the gap to the best score undoes the score: only rounding is left."""
    with pytest.raises(DataError) as caught:
        rows_of(QUESTIONS, GAP, rho=0.5)
    assert str(caught.value) == (
        "stage stage: in round explore, the candidates of every state are worth the same; set stages.stage.rho to "
        "another value (it is 0.5), or have a judge that tells candidates apart score the round"
    )
    assert len(rows_of(QUESTIONS, GAP, rho=0.4)) == 3


# -- whole stages --------------------------------------------------------------------------------------------------

Runs = Callable[..., Path]


def test_a_stage_learns_what_is_worth_more(demonstrations: Runs, tmp_path: Path) -> None:
    stage = {**DATA, "epochs": 6, "lr": 5e-3, "rho": 0.2, "kl_target": 1.0, "lora": {"r": 4, "alpha": 16}}
    run = demonstrations(tmp_path / "run", stages={"group": stage}, rollouts=ROUND)
    assert main(["train", str(run), "--stage", "group", "--dry-run"]) == 0
    assert not (run / "train").exists()
    updates = log_of(train(run, "group"))
    losses = list(means(updates, "loss", 6))
    assert losses[-1] < losses[0]
    assert {"kl", "approx_kl", "beta", "entropy", "tool_entropy", "clip_fraction_action", "clip_fraction_token",
            "advantage/think"} <= updates[-1].keys()  # fmt: skip
    assert "value_loss" not in updates[-1]
    assert all(math.isfinite(value) for update in updates for value in update.values())


def test_an_interrupted_stage_ends_as_an_uninterrupted_one(demonstrations: Runs, tmp_path: Path) -> None:
    stage = {**DATA, "epochs": 3, "schedule": "cosine", "save_steps": 2, "kl_target": 1e-3}
    whole, cut = (demonstrations(tmp_path / part, stages={"group": stage}, rollouts=ROUND) for part in ("whole", "cut"))
    check_resumed(whole, cut, "group", 5)


def test_both_are_rungs_of_a_ladder(tiny: Path, tmp_path: Path) -> None:
    learn = {**STAGE, "init": "sft", "data": "explore"}
    stages = {"sft": {**STAGE, "data": "demonstrations"}, "dpo": {**learn, "margin": 0.0}, "group": learn}
    result = ladder(config(tiny, tmp_path / "run", stages=stages), report=lambda line: None)
    assert [rung["stage"] for rung in result["stages"]][-3:] == ["sft", "dpo", "group"]
    assert all((tmp_path / "run" / "train" / name / "adapter").is_dir() for name in stages)
