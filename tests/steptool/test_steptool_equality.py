"""One pass of StepTool's optimisation against a plain computation: a row at a time, plain models, logits over the whole
vocabulary. Losses within 1e-5, gradients within 1e-4 (relative, L2); the same however rows share forward passes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spark_framework.contracts.stage import LoraConfig
from spark_framework.models.loading import load_model
from spark_framework.records import Trajectory
from spark_framework.training.algorithms.steptool import advantages, token_rewards, whiten
from spark_framework.training.data.token_tree import build_tree
from spark_framework.training.model.actor_critic import add_actor_adapter
from spark_plugin_algorithms.steptool.trainer import StepTrainer
from tests.training.trees import LABELS, algorithm, closing, path_ids, shake, step, trainer_of, trajectory

LORA = LoraConfig(r=4, alpha=8)
COUNT = 5


def episodes() -> list[Trajectory]:
    made = []
    for index in range(COUNT):
        rng = random.Random(index)
        steps = [step(rng.choice(["ash", "birch", "think"]), rng) for _ in range(1 + index % 3)]
        made.append(trajectory([*steps, closing(rng, free=index == 4)], index=index, correct=index % 2 == 0))
    return made


def rewards(one: Trajectory) -> list[float]:
    return [0.5 + 0.1 * depth - 0.2 * one.index for depth in range(len(one.steps))]


def prepared(folder: Path, tiny: Path, mini_batch: int, **settings: Any) -> StepTrainer:
    """A trainer after the first pass over its batch: the policy has moved since the batch was read."""
    section = {"passes": 2, "mini_batch": mini_batch, "kl_coef": 0.1}
    one = algorithm("steptool", batch_size=COUNT, steptool=section, **settings)
    model = add_actor_adapter(load_model(str(tiny), dtype="float32", device="cpu"), LORA, None, 0)
    shake(model, 0.05)
    rows = [build_tree([one], {one.id: rewards(one)}, max_tokens=2048) for one in episodes()]
    made: StepTrainer = trainer_of(one, model, rows, folder)
    assert made.agent.value_head is not None
    with torch.no_grad():
        made.agent.value_head.summary.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(4))
    shake(model, 0.01, seed=5)
    made.begin_batch(range(COUNT))
    shake(model, 0.01, seed=2)
    return made


class Naive:
    """Log-probabilities and values of a plain model that stands where the trainer's actor stands."""

    def __init__(self, tiny: Path, *shakes: tuple[float, int]) -> None:
        self.model = add_actor_adapter(load_model(str(tiny), dtype="float32", device="cpu"), LORA, None, 0)
        for scale, seed in shakes:
            shake(self.model, scale, seed)

    def read(self, one: Trajectory, head: Tensor) -> tuple[Tensor, Tensor]:
        """log pi and V of the trajectory's response tokens: the fixed second token of an opening is none."""
        ids = path_ids(one)
        out = self.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        logits, hidden = out.logits[0], out.hidden_states[-1][0]
        found, states, at = [], [], len(one.prompt_ids)
        for part in one.steps:
            taken = part.candidate
            if taken.opening:
                over_actions = logits[at - 1, list(LABELS)].log_softmax(-1)
                found.append(over_actions[LABELS.index(taken.token_ids[0])])
                states.append(hidden[at - 1])
            for position in range(at + taken.opening, at + len(taken.token_ids)):
                found.append(logits[position - 1].log_softmax(-1)[ids[position]])
                states.append(hidden[position - 1])
            at += len(taken.token_ids) + len(part.context_ids)
        return torch.stack(found), torch.stack(states) @ head


def difference(ours: Tensor | None, theirs: Tensor | None) -> tuple[float, float]:
    """Squared distance and squared length."""
    assert ours is not None
    assert theirs is not None
    return float((ours - theirs).square().sum()), float(theirs.square().sum())


@pytest.mark.parametrize(
    ("mini_batch", "settings"),
    [
        pytest.param(COUNT, {"pack_tokens": 1}, id="row by row"),
        pytest.param(1, {"pack_tokens": 1}, id="a row is a mini-batch"),
        pytest.param(COUNT, {"pack_tokens": 10_000}, id="packed in one"),
        pytest.param(COUNT, {"pack_tokens": 70}, id="packed in several"),
        pytest.param(COUNT, {"gradient_checkpointing": True, "pack_tokens": 70}, id="checkpointed and packed"),
    ],
)
def test_a_pass_is_the_naive_one(tiny: Path, tmp_path: Path, mini_batch: int, settings: dict[str, Any]) -> None:
    made = prepared(tmp_path, tiny, mini_batch, **settings)
    passes = len(made.reader.batches_of(range(COUNT)))
    assert passes == {1: COUNT, 10_000: 1, 70: 3}[settings["pack_tokens"]]
    loss = float(made.training_step(made.agent.model, {"slot": 1}))

    assert made.agent.value_head is not None
    trained = made.agent.value_head.summary.weight
    head, data, section = trained.detach().clone()[0].requires_grad_(), episodes(), made.section
    with torch.no_grad():
        reference = [Naive(tiny, (0.05, 1)).read(one, head)[0] for one in data]
        old = [Naive(tiny, (0.05, 1), (0.01, 5)).read(one, head) for one in data]
    estimated = []
    for one, row, (old_T, value_T), reference_T in zip(data, made.rows, old, reference, strict=True):
        score_S = torch.tensor(rewards(one))
        reward_T = token_rewards(score_S, old_T, reference_T, row.places, kl_coef=0.1, compat="paper")
        estimated.append(
            advantages(reward_T, value_T, row.places, gamma=section.gamma, lam=section.lam, compat="paper")
        )
    white = whiten(torch.cat([a for a, _ in estimated])).split([len(a) for a, _ in estimated])
    actor = Naive(tiny, (0.05, 1), (0.01, 5), (0.01, 2))
    policy, value = [], []
    for one, (old_T, value_old_T), (_, return_T), advantage_T in zip(data, old, estimated, white, strict=True):
        logp_T, value_T = actor.read(one, head)
        ratio_T = (logp_T - old_T).exp()
        policy.append(-torch.minimum(ratio_T * advantage_T, ratio_T.clamp(0.8, 1.2) * advantage_T))
        near_T = value_old_T + (value_T - value_old_T).clamp(-0.2, 0.2)
        value.append(torch.maximum((value_T - return_T) ** 2, (near_T - return_T) ** 2) / 2)
    if mini_batch == 1:
        total = sum(p.mean() + section.value_coef * v.mean() for p, v in zip(policy, value, strict=True)) / COUNT
    else:
        total = torch.cat(policy).mean() + section.value_coef * torch.cat(value).mean()
    total.backward()

    assert loss == pytest.approx(float(total.detach()), abs=1e-5)
    theirs = {n: p.grad for n, p in actor.model.named_parameters() if "lora_" in n}
    ours = {n: p.grad for n, p in made.agent.model.named_parameters() if "lora_" in n}
    assert ours.keys() == theirs.keys()
    for names in (list(theirs), [n for n in theirs if "layers.0" in n]):
        gaps, sizes = zip(*(difference(ours[n], theirs[n]) for n in names), strict=True)
        assert (sum(gaps) / sum(sizes)) ** 0.5 < 1e-4
    gap, size = difference(trained.grad[0] if trained.grad is not None else None, head.grad)
    assert (gap / size) ** 0.5 < 1e-4
