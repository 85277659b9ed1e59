"""This process's rank among several, from the environment of `accelerate launch` and `torchrun`."""

from __future__ import annotations

import os

from ..errors import ConfigError

_WRAPPERS = ("FSDP", "DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG")


def check_launcher() -> None:
    """Raises `ConfigError` if `accelerate launch` sets options that training ignores."""
    for name in _WRAPPERS:
        if os.environ.get(f"ACCELERATE_USE_{name}") == "true":
            raise ConfigError(
                f"accelerate launch: its {name} plugin is not supported, since it fixes the trained parameters when it "
                "wraps the model; start with `--config_file recipes/fsdp.yaml`, and set the stage's key shard to "
                "divide the base"
            )
    if (mixed := os.environ.get("ACCELERATE_MIXED_PRECISION", "no")) != "no":
        raise ConfigError(
            f"accelerate launch: mixed_precision is {mixed}, but policy.dtype sets the precision; set "
            "mixed_precision to no"
        )


def is_first() -> bool:
    """Whether this process writes files and tells observers; the others only compute. True for a single process."""
    return int(os.environ.get("RANK", "0")) == 0


def local_rank() -> int | None:
    """This process's number on its machine, which is its GPU; None for a single process."""
    rank = os.environ.get("LOCAL_RANK")
    return None if rank is None else int(rank)
