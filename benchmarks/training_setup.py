"""What the variants of training.py share: settings, adapters, a value head, a timer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from training_workload import Workload

from spark_framework.contracts.stage import CriticConfig, LoraConfig
from spark_framework.training.model.actor_critic import ValueHead

LORA = LoraConfig(r=8, alpha=16, targets=("q_proj", "v_proj"))
CLIP, BETA = 0.2, 1.0


@contextmanager
def timed(result: dict[str, Any], name: str) -> Iterator[None]:
    """CPU seconds of the process."""
    start = time.process_time()
    yield
    result[name] = time.process_time() - start


def move(parameters: Iterator[tuple[str, nn.Parameter]], adapter: str, seed: int) -> None:
    """Set an adapter's weights to the same small numbers in every variant, away from where training starts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in parameters:
            if "lora_" in name and f".{adapter}." in name:
                parameter.copy_(0.004 * torch.randn(parameter.shape, generator=generator))


def head_of(width: int, workload: Workload) -> ValueHead:
    """A value head whose values vary with the state around the mean reward, as after a warm-up."""
    torch.manual_seed(0)
    head = ValueHead(width, CriticConfig().hidden)
    nn.init.normal_(head.outer.weight, std=0.1)
    rewards = [reward for one in workload.trajectories for reward in workload.rewards[one.id]]
    nn.init.constant_(head.outer.bias, sum(rewards) / len(rewards))
    return head
