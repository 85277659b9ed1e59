"""The step-grained maths: `released` against recorded numbers, `paper` against what it promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from spark_framework.steptool.losses import (
    Compat,
    Places,
    adapted_kl_coef,
    advantages,
    step_loss,
    token_rewards,
    whiten,
)
from tests.steptool.released_reference import FILE, fixtures, rounded
from tests.steptool.shared import SHARED

FILES = [FILE, *sorted(SHARED.glob("fixtures*.json"))]


def examples() -> Iterator[Any]:
    for path in FILES:
        data = json.loads(path.read_text(encoding="utf-8"))
        settings = {name: data[name] for name in ("gamma", "lam", "kl_coef")}
        for name, example in data.items():
            if isinstance(example, dict) and "mask" in example:
                yield pytest.param(settings, example, id=f"{path.parent.name}-{name}")


class Computed:
    """Everything up to the whitened advantages, row by row; all of it only where the mask is 1."""

    def __init__(self, settings: dict[str, float], example: dict[str, Any]) -> None:
        self.example = example
        self.places = [Places.of_mask(mask) for mask in example["mask"]]
        gamma, lam = settings["gamma"], settings["lam"]
        self.rewards, self.raw, self.returns = [], [], []
        for row, places in enumerate(self.places):
            logp, ref, value = (self.part(name, row) for name in ("logprobs", "ref", "values"))
            scores = torch.tensor(example["scores"][row])
            reward = token_rewards(scores, logp, ref, places, kl_coef=settings["kl_coef"], compat="released")
            raw, returns = advantages(reward, value, places, gamma=gamma, lam=lam, compat="released")
            self.rewards.append(reward)
            self.raw.append(raw)
            self.returns.append(returns)
        self.whitened = whiten(torch.cat(self.raw))

    def part(self, name: str, row: int) -> Tensor:
        return torch.tensor(self.example[name][row])[self.places[row].position_T]

    def all(self, name: str) -> Tensor:
        return torch.cat([self.part(name, row) for row in range(len(self.places))])


def test_the_projects_own_fixture_is_what_the_reference_gives() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8")) == rounded(fixtures())


@pytest.mark.parametrize(("settings", "example"), list(examples()))
def test_released_rewards_advantages_and_returns(settings: dict[str, float], example: dict[str, Any]) -> None:
    computed = Computed(settings, example)
    for name, found in (
        ("rewards", torch.cat(computed.rewards)), ("raw_adv", torch.cat(computed.raw)),
        ("returns", torch.cat(computed.returns)), ("adv", computed.whitened),
    ):  # fmt: skip
        assert found.tolist() == pytest.approx(computed.all(name).tolist(), abs=1e-5), name


@pytest.mark.parametrize(
    ("settings", "example"), [one for one in examples() if "new_logprobs" in one.values[1]]  # type: ignore[operator]
)  # fmt: skip
def test_released_losses(settings: dict[str, float], example: dict[str, Any]) -> None:
    computed = Computed(settings, example)
    loss = step_loss(
        computed.all("new_logprobs"), computed.all("logprobs"), computed.whitened, computed.all("vpreds"),
        computed.all("values"), torch.cat(computed.returns), clip=0.2, value_clip=0.2,
    )  # fmt: skip
    assert float(loss.policy) == pytest.approx(example["loss_policy"], abs=1e-5)
    assert 0.1 * float(loss.value) == pytest.approx(example["loss_value_times_coef"], abs=1e-5)
    assert float(loss.total(0.1)) == pytest.approx(example["loss_policy"] + example["loss_value_times_coef"], abs=1e-5)
    assert float(loss.clip_fraction) == pytest.approx(example["stats"]["policy/clipfrac"])
    assert float(loss.value_clip_fraction) == pytest.approx(example["stats"]["val/clipfrac"])


# -- what the two modes promise --------------------------------------------------------------------------------------

TWO_STEPS = Places.of_mask([0, 1, 1, 1, *[0] * 40, 1, 1, 1, 1, 0])
"""Two steps of 3 and 4 tokens with 40 observation tokens between them."""
FIRST, LAST = slice(0, 3), slice(3, 7)


def estimated(scores: list[float], compat: Compat, *, places: Places = TWO_STEPS, kl: float = 0.0) -> Tensor:
    """Raw advantages where V is 0 and every token has the same log-ratio to the reference."""
    zeros = torch.zeros(len(places.step_T))
    reward = token_rewards(torch.tensor(scores), zeros + kl, zeros, places, kl_coef=0.5, compat=compat)
    return advantages(reward, zeros, places, gamma=0.9, lam=0.5, compat=compat)[0]


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
    short = Places.of_mask([1, 1, 1, 0, 1, 1, 1, 1])
    assert torch.equal(found, estimated([0.5, 1.0], "paper", places=short))


def test_released_discounts_every_token_and_credit_drowns_in_observations() -> None:
    found = estimated([0.5, 1.0], "released")
    assert found[FIRST].tolist() == pytest.approx([0.5 * 0.45**2, 0.5 * 0.45, 0.5])
    three = Places.of_mask([1, *[0] * 9, 1, 0, 1])
    assert estimated([0, 1, 1], "released", places=three)[0] == pytest.approx(0.45**10)


def test_the_kl_penalty_of_a_token_counts_for_it_and_for_those_before_it() -> None:
    found = estimated([0.0, 0.0], "paper", kl=0.2)
    assert found[LAST].tolist() == pytest.approx([-0.4, -0.3, -0.2, -0.1])


def test_one_step_and_one_token_are_enough() -> None:
    alone = Places.of_mask([0, 1])
    assert estimated([1.0], "paper", places=alone).tolist() == [1.0]
    assert estimated([1.0], "released", places=alone).tolist() == [0.0]
    assert whiten(torch.tensor([3.0])).tolist() == [0.0]


def test_the_penalty_follows_the_kl_by_small_steps() -> None:
    def moved(kl: float) -> float:
        return adapted_kl_coef(0.3, kl, target=6, horizon=10_000, trajectories=8)

    assert moved(6.0) == 0.3
    assert moved(6.6) == pytest.approx(0.3 * (1 + 0.1 * 8 / 10_000))
    assert moved(1e9) == pytest.approx(0.3 * (1 + 0.2 * 8 / 10_000))
    assert moved(-5.0) == pytest.approx(0.3 * (1 - 0.2 * 8 / 10_000))


def test_a_mini_batch_that_the_policy_has_left_far_behind_is_not_learnt_from() -> None:
    logp, zeros = torch.full((4,), 3.0, requires_grad=True), torch.zeros(4)
    loss = step_loss(logp, zeros, torch.ones(4), zeros + 1, zeros, zeros, clip=0.2, value_clip=0.2)
    assert loss.mean_ratio > 10
    assert loss.total(0.1).item() == 0
