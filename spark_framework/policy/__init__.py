"""Policies write the actions: a local transformers model, an OpenAI-compatible server, or a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..records import Candidate, Question


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy."""

    temperature: float = 0.0
    max_new_tokens: int = 48


@dataclass(frozen=True)
class Continuation:
    """How one episode continues: its row in the batch, the candidate that was taken, and the observation."""

    row: int
    candidate: Candidate
    observation: str


class EpisodeBatch(Protocol):
    """Open episodes at the same step. Row i is the i-th question; after `step`, the i-th continuation."""

    def action_probs(self) -> list[dict[str, float]]:
        """For each row the policy's distribution over all actions, `answer` included; {} if it is not known."""
        ...

    def propose(
        self, actions: Sequence[Sequence[str]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[list[Candidate]]:
        """For each row, one candidate for each named action; the policy writes thought and arguments."""
        ...

    def act(self, allowed: Sequence[str], sampling: Sampling, seeds: Sequence[int]) -> list[Candidate]:
        """For each row, the action that the policy chooses from `allowed`."""
        ...

    def step(self, continuations: Sequence[Continuation]) -> list[tuple[int, ...]]:
        """Continue with these episodes only; a row may have several continuations, or none. Returns the context tokens
        of each."""
        ...


class Policy(Protocol):
    """Writes the actions of episodes."""

    def fingerprint(self) -> str:
        """Identifies the weights, the tokenizer, the prompt format and the dtype."""
        ...

    def start(self, questions: Sequence[Question]) -> EpisodeBatch:
        """Open one episode for each question."""
        ...

    def prompt_ids(self, question: Question) -> tuple[int, ...]:
        """The first state as tokens; empty for text-only policies."""
        ...
