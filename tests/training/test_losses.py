"""The losses of every stage against plain computations: one forward pass for each step, formulas written out again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from spark_framework.api import RewardTerm
from spark_framework.errors import DataError
from spark_framework.records import Trajectory
from spark_framework.training.algorithms import spark as losses
from spark_framework.training.data.rewards import step_rewards, with_action_probs
from spark_framework.training.data.tensors import LogProbs, TreeTensors
from spark_framework.training.data.token_tree import build_tree
from spark_framework.training.model.actor_critic import ActorCritic
from spark_framework.training.trainers.tree_trainer import TreeTrainer
from tests.training.trees import LABELS, actor, algorithm, read_plainly, shake, stage_data, trainer_of, tree

REWARDS = {"r/0/0": [0.3, -0.7, 0.0], "r/0/1": [0.3, 0.5, -1.0, 0.1], "r/0/2": [-1.0, -0.4]}
CLIP = 0.2


def trainer(tiny: Path, tmp_path: Path, trajectories: list[Trajectory], kind: str, **settings: Any) -> TreeTrainer:
    if kind in ("ppo", "spark"):
        settings["clip"] = CLIP
    rows = [build_tree(trajectories, REWARDS, max_tokens=2048)]
    made: TreeTrainer = trainer_of(algorithm(kind, **settings), actor(tiny), rows, tmp_path)
    return made


def loss_of(made: TreeTrainer) -> torch.Tensor:
    return made.compute_loss(made.agent.model, made.reader.inputs([0]))


class Plain:
    """log pi of every decision, from one forward pass of the whole model for each, without trees or masks."""

    def __init__(self, model: Any, trajectories: list[Trajectory]) -> None:
        self.decisions: list[dict[str, Any]] = []
        for one in trajectories:
            ids = list(one.prompt_ids)
            for depth, part in enumerate(one.steps):
                chosen = part.candidate
                with read_plainly(model):
                    logits = model(input_ids=torch.tensor([[*ids, *chosen.token_ids]])).logits[0]
                head = logits[len(ids) - 1, list(LABELS)].log_softmax(-1)
                free = range(len(ids) + chosen.opening, len(ids) + len(chosen.token_ids))
                every = logits.log_softmax(-1)
                tokens = [every[at - 1, [*ids, *chosen.token_ids][at]] for at in free]
                action = head[LABELS.index(chosen.token_ids[0])] if chosen.opening else None
                old = chosen.token_logprobs
                self.decisions.append({
                    "depth": depth, "action": action, "head": head, "tokens": tokens, "ok": one.success,
                    "reward": REWARDS[one.id][depth],
                    "old_action": old[0] if chosen.opening else None, "old_tokens": old[chosen.opening :],
                })  # fmt: skip
                ids += [*chosen.token_ids, *part.context_ids]
        depths = [d["depth"] for d in self.decisions]
        for d in self.decisions:
            d["weight"] = 1 / depths.count(d["depth"])

    def imitation(self, *, actions: bool = True, only_ok: bool = False) -> Any:
        kept = [d for d in self.decisions if d["ok"] or not only_ok]
        loss: Any = 0.0
        for d in kept:
            loss = loss - d["weight"] * sum(d["tokens"]) / len(d["tokens"])
            if actions and d["action"] is not None:
                loss = loss - d["weight"] * d["action"]
        return loss * sum(d["weight"] for d in self.decisions) / sum(d["weight"] for d in kept)

    def ppo(self, advantages: list[float]) -> Any:
        def surrogate(new: Any, old: float, advantage: float) -> Any:
            ratio = torch.exp(new - old)
            return torch.minimum(ratio * advantage, torch.clamp(ratio, 1 - CLIP, 1 + CLIP) * advantage)

        loss: Any = 0.0
        for d, advantage in zip(self.decisions, advantages, strict=True):
            if d["action"] is not None:
                loss = loss - d["weight"] * surrogate(d["action"], d["old_action"], advantage)
            pairs = zip(d["tokens"], d["old_tokens"], strict=True)
            loss = loss - d["weight"] * sum(surrogate(n, o, advantage) for n, o in pairs) / len(d["tokens"])
        return loss

    def kl(self, reference: Plain) -> Any:
        """KL(reference || pi) of every head, k2 of every token, as a mean over depths."""
        total: Any = 0.0
        for d, r in zip(self.decisions, reference.decisions, strict=True):
            if d["action"] is not None:
                total = total + d["weight"] * sum(torch.exp(r["head"]) * (r["head"] - d["head"]))
            pairs = zip(d["tokens"], r["tokens"], strict=True)
            total = total + d["weight"] * sum((n - o) ** 2 / 2 for n, o in pairs) / len(d["tokens"])
        return total / len({d["depth"] for d in self.decisions})


def gradients(loss: Any, agent: ActorCritic) -> list[torch.Tensor]:
    return [g.clone() for g in torch.autograd.grad(loss, agent.actor_parameters())]


def advantages() -> list[float]:
    flat = [r for rewards in REWARDS.values() for r in rewards]
    return [r / torch.tensor(flat).std().item() for r in flat]


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "sft"},
        {"kind": "rft"},
        {"kind": "replay"},
        {"kind": "ppo", "critic": {"warmup_epochs": 0}},
        {"kind": "spark", "critic": {"warmup_epochs": 0}, "replay": 0.7, "beta": 0.0},
    ],
    ids=lambda settings: settings["kind"],
)
def test_loss_and_gradients_are_the_plain_ones(tiny: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    trajectories = tree()
    made = trainer(tiny, tmp_path, trajectories, **settings)
    model = made.agent.model
    with torch.no_grad():
        reference = Plain(model, trajectories)
    shake(model, 0.02, seed=2)  # away from the reference, so that ratios and KL are not trivial
    loss = loss_of(made)
    plain = Plain(model, trajectories)
    kind = settings["kind"]
    if kind == "sft":
        expected = plain.imitation()
    else:
        expected = made.stage.beta * plain.kl(reference) ** 2
        if kind in ("rft", "replay"):
            expected = expected + plain.imitation(actions=kind == "rft", only_ok=True)
        else:
            expected = expected + plain.ppo(advantages())
            expected = expected + made.stage.replay * plain.imitation(actions=False, only_ok=True)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    for ours, theirs in zip(gradients(loss, made.agent), gradients(expected, made.agent), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_the_value_functions_are_read_at_the_states(tiny: Path, tmp_path: Path) -> None:
    """Advantages are R - V_old, with V_old from the warmed-up critic's own forward pass over each state."""
    trajectories = tree()
    made = trainer(tiny, tmp_path, trajectories, kind="ppo", normalise=False,
                   critic={"lr": 1e-2, "warmup_epochs": 3})  # fmt: skip
    values = []
    with torch.no_grad(), made.agent.as_critic():
        for one in trajectories:
            ids = list(one.prompt_ids)
            for part in one.steps:
                with read_plainly(made.agent.model):
                    state = made.agent.trunk(input_ids=torch.tensor([ids])).last_hidden_state[0, -1:]
                values.append(made.agent.value_head(state).item())
                ids += [*part.candidate.token_ids, *part.context_ids]
    flat = torch.tensor([r for rewards in REWARDS.values() for r in rewards])
    assert max(map(abs, values)) > 0.01
    torch.testing.assert_close(made.v_old[0], torch.tensor(values), atol=1e-5, rtol=0)
    torch.testing.assert_close(made.advantages[0], flat - torch.tensor(values), atol=1e-5, rtol=0)


def test_frozen_features_add_the_value_loss_to_the_actors(tiny: Path, tmp_path: Path) -> None:
    trajectories = tree()
    critic = {"kind": "frozen_features", "warmup_epochs": 2, "lr": 1e-2}
    made = trainer(tiny, tmp_path, trajectories, kind="ppo", critic=critic, beta=0.0)
    plain = Plain(made.agent.model, trajectories)
    v_old = made.v_old[0]
    flat = torch.tensor([d["reward"] for d in plain.decisions])
    weight = torch.tensor([d["weight"] for d in plain.decisions])
    gaps = flat - v_old
    expected = plain.ppo((gaps / gaps.std()).tolist()) + (weight * (v_old - flat) ** 2).sum() / weight.sum()
    assert loss_of(made).item() == pytest.approx(expected.item(), abs=1e-5)


def test_the_old_policy_can_be_that_of_the_epochs_begin(tiny: Path, tmp_path: Path) -> None:
    """Then every ratio is 1 at the start of an epoch, wherever the policy has gone."""
    made = trainer(tiny, tmp_path, tree(), kind="ppo", old_policy="refresh", beta=0.0, normalise=False,
                   critic={"warmup_epochs": 0})  # fmt: skip
    for epoch in (0, 1):
        made.begin_epoch(epoch)
        row = made.rows[0]
        constrained = sum(d.weight * (d.constrained + 1) * d.reward for d in row.decisions)
        assert loss_of(made).item() == pytest.approx(-constrained, abs=1e-5)
        shake(made.agent.model, 0.02, seed=epoch)


# -- the formulas on their own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected", "moves"),
    [
        (1.0, 2.0, 2.0, True),
        (1.5, 2.0, 2.4, False),  # clipped above: no reason to go further
        (0.5, 2.0, 1.0, True),  # below, with a good action: it is pulled back
        (1.5, -2.0, -3.0, True),  # above, with a bad action: it is pushed down
        (0.5, -2.0, -1.6, False),  # clipped below
    ],
)
def test_clipping_has_two_sides(ratio: float, advantage: float, expected: float, moves: bool) -> None:
    logp = torch.tensor([math.log(ratio)], requires_grad=True)
    value = losses.clipped_surrogate(logp, torch.zeros(1), torch.tensor([advantage]), CLIP)
    assert value.item() == pytest.approx(expected)
    (gradient,) = torch.autograd.grad(value.sum(), logp)
    assert bool(gradient.abs() > 0) is moves


def test_the_kl_of_actions_is_exact_and_that_of_tokens_stays_finite() -> None:
    pi, reference = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[0.2, 0.2, 0.6]])
    one, none = torch.ones(1), torch.zeros(1)
    row = TreeTensors(one, one, none, one, one, torch.zeros(1, dtype=torch.long))
    logp = LogProbs(none, none, pi.log())
    kl = losses.kl_to_reference(row, logp, LogProbs(none, none, reference.log()))
    assert kl.item() == pytest.approx((reference * (reference / pi).log()).sum().item(), abs=1e-6)
    assert losses.kl_to_reference(row, logp, logp).item() == 0
    far = LogProbs(none, torch.tensor([-12.0]), pi.log())  # a token that pi has given up: k3 would say 160,000
    assert losses.kl_to_reference(row, far, logp).item() == pytest.approx(72)


def test_the_value_loss_is_a_weighted_mean_square() -> None:
    value, reward, weight = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), torch.tensor([0.5, 1.0])
    assert losses.value_loss(value, reward, weight).item() == pytest.approx((0.5 * 1 + 1 * 4) / 1.5)


# -- rewards -------------------------------------------------------------------------------------------------------


class Constant(RewardTerm):
    name = "constant"
    figure = 1.0

    def value(self, step: Any, trajectory: Any) -> float:
        return self.figure


class Other(Constant):
    name = "other"
    figure = -2.0


@pytest.mark.parametrize(("rho", "expected"), [(0.0, -4.0), (1.0, 3.0), (0.25, 0.25 * 3 + 0.75 * -4)])
def test_rho_weighs_diversity_against_process(rho: float, expected: float) -> None:
    (one, _, _) = tree()
    data = stage_data(diversity=[(3.0, Constant())], process=[(2.0, Other())])
    assert algorithm("spark", rho=rho).rewards(one, data) == pytest.approx([expected] * 3)


def test_a_reward_that_is_not_a_number_names_term_and_step() -> None:
    class Broken(Constant):
        def value(self, step: Any, trajectory: Any) -> float:
            return math.nan if step.candidate.action == "birch" else 0.0

    (one, _, _) = tree()
    with pytest.raises(DataError, match="reward term constant returned nan at trajectory r/0/0, step 1"):
        step_rewards(one, [(1.0, Broken())])
    Broken.value = lambda self, step, trajectory: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(DataError, match="reward term constant failed at trajectory r/0/0, step 0: ZeroDivisionError"):
        step_rewards(one, [(1.0, Broken())])


def test_a_term_with_weight_zero_is_not_computed() -> None:
    class Unwilling(Constant):
        def value(self, step: Any, trajectory: Any) -> float:
            raise AssertionError

    (one, _, _) = tree()
    data = stage_data(diversity=[(1.0, Unwilling())], process=[(1.0, Constant())])
    for kind in ("ppo", "spark"):
        settings = {"rho": 0.0} if kind == "spark" else {}
        assert algorithm(kind, **settings).rewards(one, data) == [1.0] * 3


def test_rewards_see_the_policy_of_today() -> None:
    class Likelihood(Constant):
        def value(self, step: Any, trajectory: Any) -> float:
            return step.action_probs[step.candidate.action]

    trajectories = tree()[:2]
    steps = [step for one in trajectories for step in one.steps]
    probs = [{"ash": 0.1 * k, "birch": 0.2, "think": 0.3, "answer": 0.4} for k in range(len(steps))]
    expected = [p[step.candidate.action] for step, p in zip(steps, probs, strict=True)]
    row = build_tree(trajectories, REWARDS, max_tokens=2048)
    data = stage_data(diversity=[(1.0, Likelihood())])
    assert algorithm("spark", rho=1.0).refreshed_rewards(row, probs, data) == pytest.approx(expected)
    assert [s.action_probs for one in with_action_probs(trajectories, probs) for s in one.steps] == probs


def test_a_refreshed_epoch_rewards_with_its_own_probabilities(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(tiny, tmp_path, tree(), kind="spark", old_policy="refresh", critic={"warmup_epochs": 0})
    monkeypatch.setattr(made.algorithm, "refreshed_rewards", lambda row, probs, data: [one["ash"] for one in probs])
    shake(made.agent.model, 0.05, seed=3)
    made.begin_epoch(1)
    with torch.no_grad():
        row = made.rows[0]
        head = made.reader.read(made.reader.inputs([0]))[0][0].head_DA.exp()
    assert [d.reward for d in row.decisions] == pytest.approx(head[:, 0].tolist())
    raw = torch.tensor([d.reward for d in row.decisions]) - made.v_old[0]
    torch.testing.assert_close(made.advantages[0], raw / raw.std().clamp(min=0.1))


def test_a_critic_that_reads_rows_learns_the_refreshed_rewards(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are copies, cut at the last state: they once kept the rewards of the first epoch."""
    made = trainer(tiny, tmp_path, tree(), kind="spark", old_policy="refresh", critic={"warmup_epochs": 0})
    monkeypatch.setattr(made.algorithm, "refreshed_rewards", lambda row, probs, data: [0.25] * len(probs))
    made.begin_epoch(1)
    assert made.critic is not None
    with made.agent.as_critic():
        loss = made.critic_loss(made.critic.inputs([0]))
    assert loss.item() == pytest.approx(0.25**2)  # V starts at 0
