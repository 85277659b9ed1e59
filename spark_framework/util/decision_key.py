"""The place of one decision in a run, and the seeds of every random choice in it.

Rollouts, evaluation and studies derive their seeds here. So a study that repeats a decision draws what the run drew.
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
    round: str
    """Name of the round; in an evaluation, of the stage."""
    index: int
    """Of the question in its round."""
    branch: int
    step: int
    """From 0."""

    @property
    def episode(self) -> str:
        """Names the trajectory in its round."""
        return f"{self.index}/{self.branch}"

    @property
    def place(self) -> tuple[int, int, int]:
        """Sorts the decisions of one batch as they are taken: by step, in a step by question, then by branch."""
        return self.step, self.index, self.branch

    def turn(self, batch_size: int) -> tuple[str, int, int, int, int]:
        """Sorts the decisions of a run's rounds as they are taken: batch by batch, in a batch by `place`.

        Args:
            batch_size: questions of the round that are rolled out together.
        """
        return self.round, self.index // batch_size, *self.place

    def proposal_seed(self) -> int:
        """For writing the candidates."""
        return child_seed(self.seed, self.round, self.episode, self.step) % _SEED_RANGE

    def answer_seed(self) -> int:
        """For deciding whether to answer now."""
        return child_seed(self.seed, self.round, self.episode, self.step, "end")

    def judge_seed(self, repeat: int = 0) -> int:
        """For the judge; each repeat has a seed of its own, and 0 is the run's."""
        again = (repeat,) if repeat else ()
        return child_seed(self.seed, "judge", self.episode, self.step, *again)

    def selection_rng(self) -> random.Random:
        """For the selector and, after it, for further branches."""
        return child_rng(self.seed, self.round, self.episode, self.step, "select")

    def evaluation_seed(self) -> int:
        """For a policy that acts alone."""
        return child_seed(self.seed, "evaluation", self.round, self.index, self.step) % _SEED_RANGE
