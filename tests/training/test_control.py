"""Beta follows the KL, and alarms say what to change; they look back on ten updates, so one odd row raises none."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from spark_framework.contracts.stage import AlarmConfig
from spark_framework.training.data.tensors import LogProbs
from spark_framework.training.data.token_tree import Decision, TokenTree
from spark_framework.training.trainers.alarms import WINDOW, Limits, TrainingMonitor
from spark_framework.training.trainers.kl_control import AdaptiveKLController
from spark_framework.training.trainers.metrics import UpdateMetrics
from tests.training.trees import algorithm


def watch(**settings: Any) -> TrainingMonitor:
    return TrainingMonitor("mine", algorithm("ppo", **settings).limits, 1e-4)


@pytest.mark.parametrize(("kl", "beta"), [(0.31, 2.0), (0.29, 1.0), (0.14, 1.0), (0.13, 0.5)])
def test_beta_follows_the_kl_of_an_epoch(kl: float, beta: float) -> None:
    one = AdaptiveKLController(1.0, algorithm("ppo", kl_target=0.2).next_beta)
    for value in (kl - 0.01, kl + 0.01):
        one.after_update(value)
    assert one.end_epoch() == pytest.approx(kl)
    assert one.beta == beta


def test_a_kl_that_explodes_ends_the_stage() -> None:
    one = watch(alarm={"max_kl": 2.0})
    assert [one.after_update(19.0, 3.0)] + [one.after_update(0.1, 3.0) for _ in range(WINDOW)] == [None] * (WINDOW + 1)
    for _ in range(WINDOW):
        alarm = one.after_update(3.0, 3.0)
    assert alarm is not None
    assert alarm.stop
    assert alarm.text == (
        "the KL to the reference is 3 nats a step, above 2: the stage ends here. Set stages.mine.lr to 5e-05 (it is "
        "0.0001), or stages.mine.beta to 4 (it is 1)"
    )


def test_the_bound_is_ten_targets_where_none_is_set() -> None:
    for kl, stops in ((0.99, False), (1.01, True)):
        assert (watch(kl_target=0.1).of_mean(kl) is not None) is stops


def test_steptool_is_watched_in_its_own_unit() -> None:
    limits = Limits.of(AlarmConfig(), target=6.0, unit="nats a trajectory", weight_key="steptool.kl_coef", weight=0.3)
    one = TrainingMonitor("mine", limits, 1e-4)
    assert one.of_mean(60.0) is None
    alarm = one.of_mean(61.0)
    assert alarm is not None
    assert alarm.text == (
        "the KL to the reference is 61 nats a trajectory, above 60: the stage ends here. Set stages.mine.lr to 5e-05 "
        "(it is 0.0001), or stages.mine.steptool.kl_coef to 1.2 (it is 0.3)"
    )


def test_a_policy_that_keeps_to_one_action_is_warned_of_once() -> None:
    one = watch(beta=0.0, alarm={"min_entropy": 0.5})
    alarms = [one.after_update(0.1, 0.4) for _ in range(3 * WINDOW)]
    (alarm,) = [alarm for alarm in alarms if alarm is not None]
    assert alarms.index(alarm) == WINDOW - 1
    assert not alarm.stop
    assert alarm.text == (
        "the policy keeps to one action: the entropy over actions is 0.4 bits, below 0.5. Set stages.mine.lr to 5e-05 "
        "(it is 0.0001), or stages.mine.beta to 1 (it is 0)"
    )


def test_it_goes_on_from_what_was_kept() -> None:
    one, other = watch(alarm={"max_kl": 2.0}), watch(alarm={"max_kl": 2.0})
    for _ in range(WINDOW - 1):
        one.after_update(3.0, 0.05)
    other.load_state_dict(one.state_dict())
    assert other.after_update(3.0, 0.05) is not None


# -- the figures of an update ----------------------------------------------------------------------------------------


def row(*actions: str) -> TokenTree:
    decisions = [
        Decision(a, i, i, i, [i], reward=r) for i, (a, r) in enumerate(zip(actions, (1.0, 0.0, 3.0), strict=False))
    ]
    return TokenTree("r/0", decisions=decisions)


def test_figures_are_what_their_names_say() -> None:
    figures = UpdateMetrics()
    head = torch.tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).clamp(min=1e-30).log()
    zero = torch.zeros(3)
    logp = LogProbs(torch.tensor([0.1, 0.0, 0.0]), zero, head, torch.full((3,), math.log(4)))
    one = row("ash", "birch", "answer")
    figures.policy(one, logp)
    one.decisions[2].constrained = False
    figures.distance(one, logp, LogProbs(zero, torch.tensor([0.0, 0.4, 0.0]), head))
    figures.surrogate(logp, LogProbs(torch.tensor([0.5, 0.0, 0.0]), zero, head), 0.2)
    figures.advantages(one, torch.tensor([2.0, -1.0, 0.5]))
    figures.value(torch.tensor([1.0, 1.0, 2.0]), torch.tensor([1.0, 0.0, 3.0]))
    found = figures.compute()
    marginal = torch.tensor([0.25, 0.625, 0.125])  # of the two states in which a tool was chosen
    assert found == pytest.approx(
        {
            "approx_kl": (0.1**2 / 2 + 0.4**2 / 2) / 5,
            "entropy": 1.5 / 3,
            "token_entropy": 2.0,
            "tool_entropy": float(-(marginal * marginal.log2()).sum()),
            "clip_fraction_action": 1 / 3,
            "clip_fraction_token": 0.0,
            "advantage/ash": 2.0,
            "advantage/birch": -1.0,
            "advantage/answer": 0.5,
            "explained_variance": 1 - (2 / 3) / (14 / 9),
        },
        abs=1e-6,
    )


def test_what_cannot_be_said_is_left_out() -> None:
    figures = UpdateMetrics()
    one = row("answer")
    head = torch.tensor([[0.5, 0.5]]).log()
    figures.policy(one, LogProbs(torch.zeros(1), torch.zeros(0), head))
    figures.value(torch.tensor([0.5]), torch.tensor([1.0]))
    assert figures.compute().keys() == {"entropy"}


def test_free_text_has_no_distribution_over_actions() -> None:
    figures = UpdateMetrics()
    one = row("")
    one.decisions[0].constrained = False
    figures.policy(one, LogProbs(torch.zeros(1), torch.zeros(1), torch.zeros(1, 1), torch.full((1,), math.log(2))))
    figures.advantages(one, torch.tensor([1.0]))
    assert figures.compute() == {"token_entropy": pytest.approx(1.0)}
