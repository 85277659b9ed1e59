"""The framework's trainer on a benchmark's rows, without a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spark_framework.contracts.algorithm import Algorithm
from spark_framework.host.component_spec import parse_spec
from spark_framework.host.manager import Host
from spark_framework.training.data.dataset import StageData
from spark_framework.training.data.token_tree import TokenTree
from spark_framework.training.model.actor_critic import ActorCritic
from spark_framework.training.model.first_policy import FirstPolicy
from spark_framework.training.trainers.base import StageSetup, training_arguments


def algorithm(kind: str, **settings: Any) -> Algorithm:
    """An installed algorithm with some settings."""
    built = parse_spec("algorithm", {"kind": kind, **settings}).build()
    assert isinstance(built, Algorithm)
    return built


def trainer_of(one: Algorithm, agent: ActorCritic, rows: Sequence[TokenTree], folder: Path, base: str) -> Any:
    """An algorithm's trainer, before `prepare`.

    Args:
        base: replaces the digest of the base's weights.
    """
    data = StageData(
        stage="stage", questions=(), diversity=(), process=(), threshold=6.0, max_tokens=1 << 20,
        tokenizer=lambda: None,
    )  # fmt: skip
    setup = StageSetup(
        name="stage", agent=agent, rows=rows, data=data, actions=(), critic_seed=0, calls=Host().calls,
        first_policy=FirstPolicy(agent, folder, base),
    )  # fmt: skip
    cpu = agent.model.device.type == "cpu"
    arguments = training_arguments(one.trainer, one.config, folder, seed=0, cpu=cpu, quiet=True)
    return one.trainer(setup, one, args=arguments)
