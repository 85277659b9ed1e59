"""Policies: what writes the actions. Two kinds, a local transformers model and any OpenAI-compatible server."""

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
    """One row of the next state: which row it continues, with which candidate and what the environment answered."""

    row: int
    candidate: Candidate
    observation: str


class EpisodeBatch(Protocol):
    """A batch of open episodes at the same step. Row i is the i-th question, later the i-th continuation."""

    def action_probs(self) -> list[dict[str, float]]:
        """For each row the policy's distribution over all actions, `answer` included; {} where it cannot be known."""
        ...

    def propose(
        self, actions: Sequence[Sequence[str]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[list[Candidate]]:
        """For each row, one candidate for each named action: thought and arguments written by the policy."""
        ...

    def act(self, allowed: Sequence[str], sampling: Sampling, seeds: Sequence[int]) -> list[Candidate]:
        """For each row, the policy's own next action out of `allowed`, written out."""
        ...

    def step(self, continuations: Sequence[Continuation]) -> list[tuple[int, ...]]:
        """Go on with these rows only (a row may be continued several times). Returns the context tokens of each."""
        ...


class Policy(Protocol):
    """A text generator."""

    def fingerprint(self) -> str:
        """Changes with the weights, the tokenizer, the prompt format and the dtype."""
        ...

    def start(self, questions: Sequence[Question]) -> EpisodeBatch: ...

    def prompt_ids(self, question: Question) -> tuple[int, ...]:
        """The first state as tokens; empty for text-only policies."""
        ...
