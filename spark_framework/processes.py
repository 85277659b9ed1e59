"""Which of several processes this one is: `accelerate launch` and `torchrun` say it in the environment."""

from __future__ import annotations

import os


def is_first() -> bool:
    """Whether this process writes files and tells observers; the others only compute. True where it is alone."""
    return int(os.environ.get("RANK", "0")) == 0


def local_rank() -> int | None:
    """This process's number on its machine, which is its GPU; None where it is alone."""
    rank = os.environ.get("LOCAL_RANK")
    return None if rank is None else int(rank)
