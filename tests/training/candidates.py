"""What the tests of algorithms that compare candidates share: states read plainly, and stages that are interrupted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from spark_framework import train
from spark_framework.api import hookimpl
from spark_framework.host.manager import Host, using_host
from spark_framework.records import Candidate, Trajectory
from tests.training.trees import LABELS, read_plainly, trajectory, tree

ROUND = [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3, "branch_among": "policy",
          "wave_size": 2}]  # fmt: skip


def branching(seed: int = 0, index: int = 0) -> list[Trajectory]:
    """Three branches of one question, as a round makes them: each follows another candidate of the first step."""
    one, two, _ = tree(seed, index)
    first, (_, three, _) = one.steps[0], tree(seed + 100, index)
    return [
        one,
        trajectory([first.model_copy(update={"chosen": 1}), *two.steps[1:]], 1, index=index),
        trajectory([first.model_copy(update={"chosen": 2}), *three.steps[1:]], 2, index=index, correct=False),
    ]


def changed(one: Trajectory, depth: int, **changes: Any) -> Trajectory:
    """A trajectory with other fields of one step; `scores` are the verdict's."""
    step = one.steps[depth]
    if "scores" in changes:
        changes["verdict"] = step.verdict.model_copy(update={"scores": changes.pop("scores")})
    steps = (*one.steps[:depth], step.model_copy(update=changes), *one.steps[depth + 1 :])
    return one.model_copy(update={"steps": steps})


def with_candidate(one: Trajectory, depth: int, number: int, **changes: Any) -> Trajectory:
    """A trajectory with other fields of one candidate."""
    candidates = list(one.steps[depth].candidates)
    candidates[number] = candidates[number].model_copy(update=changes)
    return changed(one, depth, candidates=tuple(candidates))


@dataclass
class Option:
    """A candidate in its state, and what the model says of it, from one forward pass of its own."""

    candidate: Candidate
    score: float
    head: Tensor
    """log pi of every action."""
    action: Tensor | None
    """log pi of its action; None where it was written freely."""
    tokens: Tensor
    """log pi of its free tokens."""


def read_states(model: Any, trajectories: Sequence[Trajectory]) -> list[list[Option]]:
    """The judged candidates of each state, every state once."""
    found: dict[tuple[int, ...], dict[tuple[int, ...], Option]] = {}
    for one in trajectories:
        prefix = one.prompt_ids
        for step in one.steps:
            if step.verdict is not None:
                here = found.setdefault(prefix, {})
                for candidate, score in zip(step.candidates, step.verdict.scores, strict=True):
                    if candidate.token_ids not in here:
                        here[candidate.token_ids] = _read(model, prefix, candidate, score)
            prefix = (*prefix, *step.candidate.token_ids, *step.context_ids)
    return [list(options.values()) for options in found.values()]


def _read(model: Any, prefix: tuple[int, ...], candidate: Candidate, score: float) -> Option:
    ids = torch.tensor([[*prefix, *candidate.token_ids]])
    with read_plainly(model):
        logits = model(input_ids=ids).logits[0]
    head = logits[len(prefix) - 1, list(LABELS)].log_softmax(-1)
    every = logits.log_softmax(-1)
    free = range(len(prefix) + candidate.opening, ids.shape[1])
    action = head[LABELS.index(candidate.token_ids[0])] if candidate.opening else None
    return Option(candidate, score, head, action, torch.stack([every[at - 1, ids[0, at]] for at in free]))


def check_gradients(model: Any, ours: Tensor, theirs: Tensor) -> None:
    """Two losses are equal within 1e-5, and their gradients within 1e-4 (relative, L2)."""
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    weights = [p for n, p in model.named_parameters() if "lora_" in n]
    own, plain = (torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]) for loss in (ours, theirs))
    assert plain.norm() > 0
    assert (own - plain).norm() <= 1e-4 * plain.norm()


def log_of(adapter: Path) -> list[dict[str, Any]]:
    """The figures of each update of a finished stage."""
    lines = map(json.loads, (adapter.parent / "log.jsonl").read_text().splitlines())
    return [line for line in lines if "loss" in line]


def check_resumed(whole: Path, cut: Path, stage: str, step: int) -> None:
    """A stage that is interrupted at an update ends as one that is not."""
    expected = load_file(train(whole, stage) / "adapter_model.safetensors")
    host = Host()
    host.register(_Saboteur(step))
    with using_host(host), pytest.raises(KeyboardInterrupt):
        train(cut, stage)
    assert list((cut / "train" / stage / "checkpoints").glob("checkpoint-*"))
    resumed = load_file(train(cut, stage) / "adapter_model.safetensors")
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[key], tensor) for key, tensor in expected.items())


class _Saboteur:
    """Interrupts the program when the trainer logs at or after an update."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def spark_update_finished(self, stage: str, metrics: Any) -> None:
        if metrics["step"] >= self.step:
            raise KeyboardInterrupt


def means(updates: Sequence[dict[str, Any]], name: str, epochs: int) -> Iterator[float]:
    """A figure's mean over each epoch."""
    size = len(updates) // epochs
    for epoch in range(epochs):
        yield sum(update[name] for update in updates[epoch * size : (epoch + 1) * size]) / size
