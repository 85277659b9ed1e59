"""A policy whose candidates a question set's script writes: demonstrations for the default run. No weights needed."""

from __future__ import annotations

from collections.abc import Sequence

from ..questions.practice import script
from ..records import ANSWER, Call, Candidate, Question
from . import Move, Sampling
from .renderer import Encoder


class ScriptedPolicy:
    """Writes what `questions.practice.script` knows, in the run's prompt format."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def fingerprint(self) -> str:
        return "scripted"

    def prompt_ids(self, question: Question) -> tuple[int, ...]:
        return tuple(self.encoder.prompt_ids(question))

    def begin(self, questions: Sequence[Question]) -> ScriptedWave:
        return ScriptedWave(self.encoder, [(question, 0) for question in questions])


class ScriptedWave:
    """Open scripted episodes: each row is a question and how many steps it has taken."""

    def __init__(self, encoder: Encoder, rows: list[tuple[Question, int]]) -> None:
        self.encoder, self._rows = encoder, rows

    def action_probs(self) -> list[dict[str, float]]:
        return [{} for _ in self._rows]

    def write(
        self, actions: Sequence[Sequence[str]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[list[Candidate]]:
        return [
            [self.encoder.scripted(call) for call in self._calls(question, step, names)]
            for (question, step), names in zip(self._rows, actions, strict=True)
        ]

    def decide(self, allowed: Sequence[str], sampling: Sampling, seeds: Sequence[int]) -> list[Candidate]:
        done = [script.is_done(question, step) and ANSWER in allowed for question, step in self._rows]
        wanted = [[ANSWER if is_done else allowed[0]] for is_done in done]
        return [row[0] for row in self.write(wanted, sampling, seeds)]

    def advance(self, moves: Sequence[Move]) -> list[tuple[int, ...]]:
        self._rows = [(self._rows[move.row][0], self._rows[move.row][1] + 1) for move in moves]
        return [self.encoder.context_ids(move.candidate, move.observation) for move in moves]

    def _calls(self, question: Question, step: int, names: Sequence[str]) -> list[Call]:
        if list(names) == [ANSWER]:
            return [Call(action=ANSWER, arguments={"text": script.answer_text(question)})]
        return script.propose(question, step, names)
