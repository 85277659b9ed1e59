"""The step-grained maths: what `paper` and `released` promise. Recorded numbers are in test_checking.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spark_framework.training.algorithms.steptool import (
    Compat,
    ResponseSpans,
    adapted_kl_coef,
    advantages,
    step_loss,
    token_rewards,
    whiten,
)

# -- what the two modes promise --------------------------------------------------------------------------------------

TWO_STEPS = ResponseSpans.of_mask([0, 1, 1, 1, *[0] * 40, 1, 1, 1, 1, 0])
"""Two steps of 3 and 4 tokens with 40 observation tokens between them."""
FIRST, LAST = slice(0, 3), slice(3, 7)


def estimated(scores: list[float], compat: Compat, *, spans: ResponseSpans = TWO_STEPS, kl: float = 0.0) -> Tensor:
    """Raw advantages where V is 0 and every token has the same log-ratio to the reference."""
    zeros = torch.zeros(len(spans.step_T))
    reward = token_rewards(torch.tensor(scores), zeros + kl, zeros, spans, kl_coef=0.5, compat=compat)
    return advantages(reward, zeros, spans, gamma=0.9, lam=0.5, compat=compat)[0]


def gradient(scores: list[float], compat: Compat) -> Tensor:
    """d policy loss / d log pi of each response token, before anything has moved."""
    logp = torch.zeros(7, requires_grad=True)
    ones = torch.zeros(7)
    loss = step_loss(logp, ones, estimated(scores, compat), ones, ones, ones, clip=0.2, value_clip=0.2)
    loss.policy.backward()
    assert logp.grad is not None
    return logp.grad


def test_paper_gives_the_final_step_a_gradient_where_released_gives_none() -> None:
    assert gradient([0.5, 1.0], "released")[LAST].abs().max() == 0
    assert gradient([0.5, 1.0], "paper")[LAST].abs().min() > 0
    assert torch.equal(gradient([0.5, 1.0], "released"), gradient([0.5, 0.0], "released"))  # IsSolved changes nothing
    assert not torch.equal(gradient([0.5, 1.0], "paper"), gradient([0.5, 0.0], "paper"))


def test_paper_discounts_once_a_step_and_observations_cost_nothing() -> None:
    found = estimated([0.5, 1.0], "paper")
    assert found[LAST].tolist() == pytest.approx([1.0] * 4)
    assert found[FIRST].tolist() == pytest.approx([0.5 + 0.9 * 0.5 * 1.0] * 3)
    short = ResponseSpans.of_mask([1, 1, 1, 0, 1, 1, 1, 1])
    assert torch.equal(found, estimated([0.5, 1.0], "paper", spans=short))


def test_released_discounts_every_token_and_credit_drowns_in_observations() -> None:
    found = estimated([0.5, 1.0], "released")
    assert found[FIRST].tolist() == pytest.approx([0.5 * 0.45**2, 0.5 * 0.45, 0.5])
    three = ResponseSpans.of_mask([1, *[0] * 9, 1, 0, 1])
    assert estimated([0, 1, 1], "released", spans=three)[0] == pytest.approx(0.45**10)


def test_the_kl_penalty_of_a_token_counts_for_it_and_for_those_before_it() -> None:
    found = estimated([0.0, 0.0], "paper", kl=0.2)
    assert found[LAST].tolist() == pytest.approx([-0.4, -0.3, -0.2, -0.1])


def test_one_step_and_one_token_are_enough() -> None:
    alone = ResponseSpans.of_mask([0, 1])
    assert estimated([1.0], "paper", spans=alone).tolist() == [1.0]
    assert estimated([1.0], "released", spans=alone).tolist() == [0.0]
    assert whiten(torch.tensor([3.0])).tolist() == [0.0]


def test_the_penalty_follows_the_kl_by_small_steps() -> None:
    def moved(kl: float) -> float:
        return adapted_kl_coef(0.3, kl, target=6, horizon=10_000, trajectories=8)

    assert moved(6.0) == 0.3
    assert moved(6.6) == pytest.approx(0.3 * (1 + 0.1 * 8 / 10_000))
    assert moved(1e9) == pytest.approx(0.3 * (1 + 0.2 * 8 / 10_000))
    assert moved(-5.0) == pytest.approx(0.3 * (1 - 0.2 * 8 / 10_000))


def test_a_mini_batch_with_an_extreme_ratio_is_skipped() -> None:
    logp, zeros = torch.full((4,), 3.0, requires_grad=True), torch.zeros(4)
    loss = step_loss(logp, zeros, torch.ones(4), zeros + 1, zeros, zeros, clip=0.2, value_clip=0.2)
    assert loss.mean_ratio > 10
    assert loss.total(0.1).item() == 0
