"""The naive variant of training.py: three models, and a row for each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from training_setup import BETA, CLIP, LORA, head_of, move, timed
from training_workload import Workload, step_rows

from spark_framework.config.policy import SMOLLM2
from spark_framework.models.loading import load_model
from spark_framework.training.model.actor_critic import CRITIC, add_actor_adapter


class Naive:
    """Three models and a row for each step."""

    def __init__(self, workload: Workload) -> None:
        load = lambda: load_model(SMOLLM2, dtype="float32", device="cpu")  # noqa: E731
        self.actor, self.reference = add_actor_adapter(load(), LORA, None, 0), load()
        self.critic = add_actor_adapter(load(), LORA, None, 0)
        self.head = head_of(self.reference.config.hidden_size, workload)
        self.labels = workload.labels
        self.questions = list(step_rows(workload))
        move(self.actor.named_parameters(), "default", 1)
        move(self.critic.named_parameters(), "default", 2)

    def batches(self) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        """(trajectory, step) in micro-batches of two."""
        every = [(number, step) for number, steps in enumerate(self.questions) for step in steps]
        for first in range(0, len(every), 2):
            yield every[first : first + 2]

    @staticmethod
    def padded(steps: list[dict[str, Any]]) -> dict[str, Tensor]:
        rows = [[*step["prefix"], *step["action"]] for step in steps]
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        return {"input_ids": ids, "attention_mask": torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])}

    def log_probs(self, model: Any, steps: list[dict[str, Any]]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of each step, log pi of the action head, of the action and of its tokens."""
        inputs = self.padded(steps)
        logits = model(**inputs).logits
        every = logits[:, :-1].log_softmax(-1).gather(2, inputs["input_ids"][:, 1:, None])[:, :, 0]
        found = []
        for row, step in enumerate(steps):
            state = len(step["prefix"]) - 1
            head = logits[row, state, self.labels].log_softmax(-1)
            end = state + len(step["action"])
            tokens = every[row, state + step["opening"] : end]
            found.append((head, head[self.labels.index(step["action"][0])], tokens))
        return found

    def values(self, steps: list[dict[str, Any]]) -> Tensor:
        hidden = self.critic.get_base_model().model(**self.padded(steps)).last_hidden_state
        return self.head(torch.stack([hidden[row, len(step["prefix"]) - 1] for row, step in enumerate(steps)]))

    @torch.no_grad()
    def prepare(self) -> list[float]:
        """V_old of every step."""
        return [value for batch in self.batches() for value in self.values([s for _, s in batch]).tolist()]

    def warm_up(self) -> None:
        """Touch the memory that a micro-batch needs."""
        steps = [step for _, step in next(self.batches())]
        torch.stack([new[2].sum() for new in self.log_probs(self.actor, steps)]).sum().backward()
        self.values(steps).sum().backward()
        self.actor.zero_grad()
        self.critic.zero_grad()
        self.head.zero_grad()

    @torch.no_grad()
    def distances(self) -> list[float]:
        """The KL of each trajectory, which the gradient of its square needs. Not timed."""
        found = [0.0] * len(self.questions)
        for batch in self.batches():
            steps = [step for _, step in batch]
            both = zip(self.log_probs(self.actor, steps), self.log_probs(self.reference, steps), strict=True)
            for (number, _), (new, old) in zip(batch, both, strict=True):
                found[number] += float(distance(new, old)) / len(self.questions[number])
        return found

    def update(self, advantages: list[float], distances: list[float]) -> tuple[float, float]:
        """Gradients of an update, two rows at a time. Returns the losses of actor and critic."""
        remaining, count = iter(advantages), len(self.questions)
        actor_loss = sum(BETA * kl**2 for kl in distances) / count
        critic_loss = 0.0
        for batch in self.batches():
            steps = [step for _, step in batch]
            with torch.no_grad():
                reference = self.log_probs(self.reference, steps)
            surrogate = penalty = torch.zeros(())
            for (number, _), new, old in zip(batch, self.log_probs(self.actor, steps), reference, strict=True):
                advantage = next(remaining)
                surrogate = surrogate + clipped(new[1], old[1], advantage) + clipped(new[2], old[2], advantage).mean()
                penalty = penalty + 2 * BETA * distances[number] * distance(new, old) / len(self.questions[number])
            ((penalty - surrogate) / count).backward()
            actor_loss -= float(surrogate.detach()) / count
            weight = torch.tensor([1 / len(self.questions[number]) for number, _ in batch])
            reward = torch.tensor([step["reward"] for step in steps])
            loss = (weight * (self.values(steps) - reward) ** 2).sum() / count
            loss.backward()
            critic_loss += float(loss.detach())
        return actor_loss, critic_loss

    def gradients(self) -> dict[str, Tensor]:
        found = {n: p.grad for n, p in self.actor.named_parameters() if p.requires_grad}
        found.update(
            {
                n.replace(".default.", f".{CRITIC}."): p.grad
                for n, p in self.critic.named_parameters()
                if p.requires_grad
            }
        )
        found.update({f"head.{n}": p.grad for n, p in self.head.named_parameters()})
        return {name: gradient for name, gradient in found.items() if gradient is not None}


def clipped(new: Tensor, old: Tensor, advantage: float) -> Tensor:
    ratio = torch.exp(new - old)
    return torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage)


def distance(new: tuple[Tensor, ...], old: tuple[Tensor, ...]) -> Tensor:
    return (old[0].exp() * (old[0] - new[0])).sum() + ((new[2] - old[2]) ** 2 / 2).mean()


def run_naive(workload: Workload, result: dict[str, Any]) -> dict[str, Any]:
    naive = Naive(workload)
    with timed(result, "prepare"):
        v_old = naive.prepare()
    rewards = [step["reward"] for steps in naive.questions for step in steps]
    gaps = torch.tensor(rewards) - torch.tensor(v_old)
    distances = naive.distances()
    naive.warm_up()
    with timed(result, "update"):
        losses = naive.update((gaps / gaps.std()).tolist(), distances)
    return {"losses": losses, "gradients": naive.gradients()}
