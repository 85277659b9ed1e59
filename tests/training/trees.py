"""Stored trajectories with random tokens, and a tiny actor to read them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from spark_framework.contracts.stage import LoraConfig
from spark_framework.host.component_spec import parse_spec
from spark_framework.host.manager import Host
from spark_framework.models.loading import load_model
from spark_framework.models.tree_attention import enable_tree_attention
from spark_framework.records import ANSWER, Candidate, Question, Step, Trajectory, Verdict
from spark_framework.training.data.dataset import StageData
from spark_framework.training.data.token_tree import TokenTree
from spark_framework.training.model.actor_critic import ActorCritic, add_actor_adapter
from spark_framework.training.model.first_policy import FirstPolicy
from spark_framework.training.trainers.base import StageSetup, training_arguments

LABELS = (300, 301, 302, 303)
"""First tokens of the actions."""
ACTIONS = ("ash", "birch", "think", ANSWER)
PROMPT = tuple(random.Random("prompt").choices(range(2, 290), k=17))


def candidate(action: str, rng: random.Random, length: int | None = None, *, free: bool = False) -> Candidate:
    """Label, one fixed token, some free ones; without an opening where the policy was not constrained."""
    body = rng.choices(range(2, 290), k=length or rng.randint(1, 6))
    ids = (LABELS[ACTIONS.index(action)], 5, *body)
    opening = 0 if free else 2
    logprobs = tuple(-rng.random() for _ in ids) if free else (-rng.random(), 0.0, *(-rng.random() for _ in body))
    return Candidate(action=action, arguments={}, token_ids=ids, opening=opening, token_logprobs=logprobs)


def step(action: str, rng: random.Random, *, ok: bool = True, scores: Sequence[float] = (7.0, 9.0, 4.0)) -> Step:
    candidates = tuple(candidate(name, rng) for name in ACTIONS[:3])
    chosen = ACTIONS.index(action)
    verdict = Verdict(scores=tuple(scores), process_ok=(ok,) * 3, judge="j", fingerprint="f")
    context = tuple(rng.choices(range(2, 290), k=rng.randint(2, 5)))
    return Step(candidates=candidates, verdict=verdict, chosen=chosen, context_ids=context)


def closing(rng: random.Random, *, free: bool = False) -> Step:
    return Step(candidates=(candidate(ANSWER, rng, free=free),))


def trajectory(steps: Sequence[Step], branch: int = 0, *, index: int = 0, correct: bool = True) -> Trajectory:
    question = Question(id=f"q{index}", text="?", options=("no", "yes"), answer=1, category="c", source="s")
    return Trajectory(
        id=f"r/{index}/{branch}", round="r", index=index, branch=branch, question=question, steps=tuple(steps),
        answer=int(correct), correct=correct, prompt_ids=(*PROMPT, *([7] * index)),
    )  # fmt: skip


def tree(seed: int = 0, index: int = 0) -> list[Trajectory]:
    """Three branches of one question: two succeed, one fails; two share their first step; depths differ."""
    rng = random.Random(f"{seed}/{index}")
    shared = step("ash", rng)
    return [
        trajectory([shared, step("birch", rng), closing(rng)], 0, index=index),
        trajectory([shared, step("think", rng), step("ash", rng), closing(rng)], 1, index=index),
        trajectory([step("birch", rng, ok=False), closing(rng, free=True)], 2, index=index, correct=False),
    ]


def actor(tiny: Path, *, seed: int = 0, scale: float = 0.05) -> Any:
    """The tiny model with a LoRA adapter that already does something: B is not zero."""
    model = add_actor_adapter(
        load_model(str(tiny), dtype="float32", device="cpu"), LoraConfig(r=4, alpha=8), None, seed
    )
    shake(model, scale)
    return model


def shake(model: Any, scale: float, seed: int = 1, adapter: str = "default") -> None:
    """Move every LoRA weight of an adapter a little."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name and f".{adapter}." in name:
                parameter.add_(scale * torch.randn(parameter.shape, generator=generator))


@contextmanager
def read_plainly(model: Any) -> Iterator[None]:
    """Inside, an actor's model reads plain rows, as transformers made it."""
    base = model.get_base_model()
    base.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        enable_tree_attention(base)


def path_ids(trajectory: Trajectory) -> list[int]:
    """A trajectory's tokens on their own."""
    ids = list(trajectory.prompt_ids)
    for part in trajectory.steps:
        ids += [*part.candidate.token_ids, *part.context_ids]
    return ids


def algorithm(kind: str, **settings: Any) -> Any:
    """An installed algorithm with some settings, as a config makes it."""
    return parse_spec("algorithm", {"kind": kind, **settings}).build()


def stage_data(questions: Sequence[Sequence[Trajectory]] = (), **changes: Any) -> StageData:
    """What an algorithm makes rows of."""
    data = StageData(
        stage="stage", questions=questions, diversity=(), process=(), threshold=6.0, max_tokens=2048,
        tokenizer=lambda: None,
    )  # fmt: skip
    return replace(data, **changes)


def trainer_of(one: Any, model: Any, rows: Sequence[TokenTree], folder: Path) -> Any:
    """An algorithm's trainer, prepared for its first epoch."""
    agent = ActorCritic(model, LABELS, one.critic, 0, one.config.gradient_checkpointing)
    setup = StageSetup(
        name="stage", agent=agent, rows=rows, data=stage_data(), actions=ACTIONS, critic_seed=0, calls=Host().calls,
        first_policy=FirstPolicy(agent, folder / "cache", "base"),
    )  # fmt: skip
    arguments = training_arguments(one.trainer, one.config, folder, seed=0, cpu=True, quiet=True)
    made = one.trainer(setup, one, args=arguments)
    made.prepare()
    made.begin_epoch(0)
    return made
