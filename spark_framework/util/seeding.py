"""One seed for a run, and a named child seed for every random choice in it."""

import hashlib
import random


def child_seed(seed: int, *names: object) -> int:
    """A 63-bit seed that depends on the run's seed and on the names of its purpose, and on nothing else."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def child_rng(seed: int, *names: object) -> random.Random:
    """A separate generator for one named purpose."""
    return random.Random(child_seed(seed, *names))
