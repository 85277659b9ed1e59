"""The position of one decision in a run, and the seeds of its random choices.

Rollouts, evaluation and studies derive their seeds here. A study that repeats a decision therefore draws the same
numbers as the run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from .seeding import child_rng, child_seed

_SEED_RANGE = 2**40
"""Policies add small numbers to their seed, one for each candidate."""


@dataclass(frozen=True)
class DecisionKey:
    """One step of one trajectory."""

    seed: int
    """The run's."""
    round_name: str
    """Name of the round; in an evaluation, of the stage."""
    index: int
    """Of the question in its round."""
    branch: int
    step: int
    """From 0."""

    @property
    def episode(self) -> str:
        """Identifies the trajectory in its round."""
        return f"{self.index}/{self.branch}"

    @property
    def place(self) -> tuple[int, int, int]:
        """Sort key for the decisions of one batch, in the order in which they are made: by step, question, branch."""
        return self.step, self.index, self.branch

    def turn(self, batch_size: int) -> tuple[str, int, int, int, int]:
        """Sort key for the decisions of a run's rounds: batch by batch, within a batch by `place`.

        Args:
            batch_size: questions of the round that are rolled out together.
        """
        return self.round_name, self.index // batch_size, *self.place

    def proposal_seed(self) -> int:
        """Seed for writing the candidates."""
        return child_seed(self.seed, self.round_name, self.episode, self.step) % _SEED_RANGE

    def answer_seed(self) -> int:
        """Seed for deciding whether to answer now."""
        return child_seed(self.seed, self.round_name, self.episode, self.step, "end")

    def judge_seed(self, repeat: int = 0) -> int:
        """Seed for the judge; each repeat has its own, and repeat 0 is the run's."""
        again = (repeat,) if repeat else ()
        return child_seed(self.seed, "judge", self.episode, self.step, *again)

    def selection_rng(self) -> random.Random:
        """Generator for the selector and, after it, for further branches."""
        return child_rng(self.seed, self.round_name, self.episode, self.step, "select")

    def evaluation_seed(self) -> int:
        """Seed for a policy that acts alone."""
        return child_seed(self.seed, "evaluation", self.round_name, self.index, self.step) % _SEED_RANGE
