"""Which of several processes this one is: `accelerate launch` and `torchrun` say it in the environment."""

from __future__ import annotations

import os

from ..errors import ConfigError

_WRAPPERS = ("FSDP", "DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG")


def check_launcher() -> None:
    """Raises `ConfigError` where `accelerate launch` was told what training does not heed."""
    for name in _WRAPPERS:
        if os.environ.get(f"ACCELERATE_USE_{name}") == "true":
            raise ConfigError(
                f"accelerate launch: its {name} plugin is not used, since it fixes what is trained when it wraps the "
                "model; start with `--config_file recipes/fsdp.yaml`, and set the stage's key shard to divide the base"
            )
    if (mixed := os.environ.get("ACCELERATE_MIXED_PRECISION", "no")) != "no":
        raise ConfigError(
            f"accelerate launch: mixed_precision is {mixed}, and the precision is that of policy.dtype; set "
            "mixed_precision to no"
        )


def is_first() -> bool:
    """Whether this process writes files and tells observers; the others only compute. True where it is alone."""
    return int(os.environ.get("RANK", "0")) == 0


def local_rank() -> int | None:
    """This process's number on its machine, which is its GPU; None where it is alone."""
    rank = os.environ.get("LOCAL_RANK")
    return None if rank is None else int(rank)
