"""One update against a plain computation of it: a row for each step with its whole prefix, separate models of actor,
reference and critic, logits over the whole vocabulary. Losses within 1e-5, gradients within 1e-4 (relative, L2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from spark_framework.config.policy import SMOLLM2
from spark_framework.contracts.stage import LoraConfig
from spark_framework.models.loading import load_model, locate
from spark_framework.records import Trajectory
from spark_framework.training.data.token_tree import build_tree
from spark_framework.training.model.actor_critic import CRITIC, add_actor_adapter
from spark_framework.training.trainers.tree_trainer import TreeTrainer
from tests.training.trees import LABELS, algorithm, shake, trainer_of, tree

LORA = LoraConfig(r=4, alpha=8)
QUESTIONS = [tree(0, 0), tree(1, 1)[:1], tree(2, 2), tree(3, 3)[1:2]]
"""Two rows that branch and two that do not."""


def rewards(trajectory: Trajectory) -> list[float]:
    return [0.3 - 0.4 * depth + 0.2 * trajectory.branch for depth in range(len(trajectory.steps))]


def prepared(folder: Path, path: str, questions: list[list[Trajectory]], dtype: str, **settings: Any) -> TreeTrainer:
    """A trainer before an update, away from where it started: actor, critic and value head all do something."""
    model = add_actor_adapter(load_model(path, dtype=dtype, device="cpu"), LORA, None, 0)
    shake(model, 0.05)
    rows = [build_tree(one, {t.id: rewards(t) for t in one}, max_tokens=2048) for one in questions]
    made: TreeTrainer = trainer_of(algorithm("ppo", batch_size=len(questions), **settings), model, rows, folder)
    shake(model, 0.02, seed=2)
    shake(model, 0.05, seed=3, adapter=CRITIC)
    with torch.no_grad():
        made.agent.value_head.outer.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(4))
    return made


class Naive:
    """The same update with models of their own."""

    def __init__(self, made: TreeTrainer, path: str, dtype: str, questions: list[list[Trajectory]]) -> None:
        self.made, self.questions, self.kind = made, questions, made.stage.critic.kind
        self.actor = self._model(path, dtype, "default")
        self.reference = self._model(path, dtype, None)
        shake(self.reference, 0.05)
        self.critic = self._model(path, dtype, CRITIC) if self.kind == "separate" else self.actor
        self.head = {n: p.detach().clone().requires_grad_() for n, p in made.agent.value_head.named_parameters()}

    def _model(self, path: str, dtype: str, adapter: str | None) -> Any:
        model = add_actor_adapter(load_model(path, dtype=dtype, device="cpu"), LORA, None, 0)
        if adapter is not None:
            trained = dict(self.made.agent.model.named_parameters())
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if ".default." in name:
                        parameter.copy_(trained[name.replace(".default.", f".{adapter}.")])
        return model

    def steps(self) -> list[list[dict[str, Any]]]:
        """Of each question, every step with the tokens before it."""
        found = []
        for question in self.questions:
            steps = []
            for one in question:
                ids = list(one.prompt_ids)
                for depth, part in enumerate(one.steps):
                    steps.append(
                        {"prefix": list(ids), "taken": part.candidate, "depth": depth, "reward": rewards(one)[depth]}
                    )
                    ids += [*part.candidate.token_ids, *part.context_ids]
            depths = [step["depth"] for step in steps]
            found.append([{**step, "weight": 1 / depths.count(step["depth"])} for step in steps])
        return found

    def read(self, model: Any, step: dict[str, Any]) -> tuple[Tensor, Tensor | None, Tensor]:
        """log pi of the action head, of the action taken (None where it was free) and of the free tokens."""
        prefix, taken = step["prefix"], step["taken"]
        ids = torch.tensor([[*prefix, *taken.token_ids]])
        logits = model(input_ids=ids).logits[0]
        head = logits[len(prefix) - 1, list(LABELS)].log_softmax(-1)
        every = logits[:-1].log_softmax(-1)
        tokens = torch.stack([every[at - 1, ids[0, at]] for at in range(len(prefix) + taken.opening, ids.shape[1])])
        return head, head[LABELS.index(taken.token_ids[0])] if taken.opening else None, tokens

    def value(self, step: dict[str, Any]) -> Tensor:
        out = self.critic(input_ids=torch.tensor([step["prefix"]]), output_hidden_states=True)
        state = out.hidden_states[-1][0, -1]
        if self.kind == "detached":
            state = state.detach()
        head = self.head
        normal = layer_norm(state, state.shape, head["norm.weight"], head["norm.bias"])
        inner = torch.tanh(head["inner.weight"] @ normal + head["inner.bias"])
        return (head["outer.weight"] @ inner + head["outer.bias"])[0]

    def update(self) -> tuple[Tensor, Tensor]:
        """The actor's loss and the critic's, and all gradients."""
        stage, actor_losses, critic_losses = self.made.stage, [], []
        for steps, advantages in zip(self.steps(), self.made.advantages, strict=True):
            surrogate, distance, square, total = 0.0, 0.0, 0.0, sum(step["weight"] for step in steps)
            for step, advantage in zip(steps, advantages.tolist(), strict=True):
                head, action, tokens = self.read(self.actor, step)
                with torch.no_grad():
                    head_0, _, tokens_0 = self.read(self.reference, step)
                old = torch.tensor(step["taken"].token_logprobs, dtype=tokens.dtype)
                opening, weight = step["taken"].opening, step["weight"]
                if action is not None:
                    surrogate = surrogate + weight * self.clipped(action, old[0], advantage)
                    distance = distance + weight * (head_0.exp() * (head_0 - head)).sum()
                surrogate = surrogate + weight * self.clipped(tokens, old[opening:], advantage).mean()
                distance = distance + weight * ((tokens - tokens_0) ** 2 / 2).mean()
                square = square + weight * (self.value(step) - step["reward"]) ** 2
            actor_losses.append(stage.beta * (distance / total) ** 2 - surrogate)
            critic_losses.append(stage.critic.coef * square / total)
        actor, critic = torch.stack(actor_losses).mean(), torch.stack(critic_losses).mean()
        (actor + critic).backward()
        return actor.detach(), critic.detach()

    def clipped(self, new: Tensor, old: Tensor, advantage: float) -> Tensor:
        ratio = torch.exp(new - old)
        return torch.minimum(
            ratio * advantage, torch.clamp(ratio, 1 - self.made.stage.clip, 1 + self.made.stage.clip) * advantage
        )

    def gradients(self) -> dict[str, Tensor]:
        """By the names of our trainer."""
        found = {n: p.grad for n, p in self.actor.named_parameters() if ".default." in n}
        if self.kind == "separate":
            found.update(
                {
                    n.replace(".default.", f".{CRITIC}."): p.grad
                    for n, p in self.critic.named_parameters()
                    if ".default." in n
                }
            )
        return {**found, **{f"head.{n}": p.grad for n, p in self.head.items()}}


def difference(ours: dict[str, Tensor], theirs: dict[str, Tensor], *, of: str) -> float:
    """Relative L2 distance of the gradients whose names contain `of`."""
    names = [name for name in theirs if of in name]
    assert names
    gap = sum(float((ours[n] - theirs[n]).square().sum()) for n in names) ** 0.5
    return gap / sum(float(theirs[n].square().sum()) for n in names) ** 0.5


def check(folder: Path, path: str, questions: list[list[Trajectory]], dtype: str, **settings: Any) -> None:
    made = prepared(folder, path, questions, dtype, **settings)
    naive = Naive(made, path, dtype, questions)
    loss = float(made.training_step(made.agent.model, made._collate(list(range(len(questions))))))
    actor, critic = naive.update()
    separate = made.stage.critic.kind == "separate"
    # Llama normalises in single precision whatever the dtype, so double precision is no more than ten times as exact.
    bound = 1e-6 if dtype == "float64" else 1e-5
    assert loss == pytest.approx(float(actor if separate else actor + critic), abs=bound)
    assert made.update_figures["value_loss"] == pytest.approx(float(critic), abs=bound)
    ours = {n: p.grad for n, p in made.agent.model.named_parameters() if p.grad is not None}
    ours.update({f"head.{n}": p.grad for n, p in made.agent.value_head.named_parameters()})
    theirs = naive.gradients()
    assert ours.keys() == theirs.keys()
    for part in (".default.", "head.", *([f".{CRITIC}."] if separate else [])):
        assert difference(ours, theirs, of=part) < 10 * bound, part


CASES = {
    "separate": {},
    "row_by_row": {"pack_tokens": 1},
    "shared": {"critic": {"kind": "shared", "coef": 0.3}},
    "detached": {"critic": {"kind": "detached"}},
    "packed_in_one": {"pack_tokens": 10_000},
    "packed_in_several": {"pack_tokens": 110},
    "packed_and_shared": {"pack_tokens": 110, "critic": {"kind": "shared"}},
    "checkpointed": {"gradient_checkpointing": True},
    "checkpointed_packed_and_shared": {
        "gradient_checkpointing": True,
        "pack_tokens": 110,
        "critic": {"kind": "shared"},
    },
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_update_is_the_naive_one(tiny: Path, tmp_path: Path, case: str, dtype: str) -> None:
    check(tmp_path, str(tiny), QUESTIONS, dtype, **CASES[case])


def test_the_cases_pack_as_their_names_say(tiny: Path, tmp_path: Path) -> None:
    for budget, expected in ((None, 1), (1, 4), (110, 2), (10_000, 1)):
        made = prepared(tmp_path, str(tiny), QUESTIONS, "float32", pack_tokens=budget)
        found = made.reader.batches_of([0, 1, 2, 3])
        assert len(found) == expected
        assert sorted(i for pack in found for i in pack) == [0, 1, 2, 3]


def test_an_update_of_smollm2_is_the_naive_one(
    smollm2_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_CACHE", str(smollm2_cache))
    check(tmp_path, locate(SMOLLM2), [tree(0, 0)[:1], tree(1, 1)[2:]], "float32", pack_tokens=1000)
