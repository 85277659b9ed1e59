"""A policy that writes demonstrations from the question set's script. No weights are needed."""

from __future__ import annotations

from collections.abc import Sequence

from ..questions.practice import script
from ..records import ANSWER, Call, Candidate, Question
from . import Continuation, Sampling
from .renderer import Renderer


class ScriptedPolicy:
    """Writes the calls of `questions.practice.script` in the run's prompt format."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer

    def fingerprint(self) -> str:
        return "scripted"

    def prompt_ids(self, question: Question) -> tuple[int, ...]:
        return tuple(self.renderer.prompt_ids(question))

    def start(self, questions: Sequence[Question]) -> ScriptedEpisodeBatch:
        return ScriptedEpisodeBatch(self.renderer, [(question, 0) for question in questions])


class ScriptedEpisodeBatch:
    """Open scripted episodes: a question and the number of its steps in each row."""

    def __init__(self, renderer: Renderer, rows: list[tuple[Question, int]]) -> None:
        self.renderer, self._rows = renderer, rows

    def action_probs(self) -> list[dict[str, float]]:
        return [{} for _ in self._rows]

    def propose(
        self, actions: Sequence[Sequence[str]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[list[Candidate]]:
        return [
            [self.renderer.scripted(call) for call in self._calls(question, step, names)]
            for (question, step), names in zip(self._rows, actions, strict=True)
        ]

    def act(self, allowed: Sequence[str], sampling: Sampling, seeds: Sequence[int]) -> list[Candidate]:
        done = [script.is_done(question, step) and ANSWER in allowed for question, step in self._rows]
        wanted = [[ANSWER if is_done else allowed[0]] for is_done in done]
        return [row[0] for row in self.propose(wanted, sampling, seeds)]

    def step(self, continuations: Sequence[Continuation]) -> list[tuple[int, ...]]:
        self._rows = [
            (self._rows[continuation.row][0], self._rows[continuation.row][1] + 1) for continuation in continuations
        ]
        return [
            self.renderer.context_ids(continuation.candidate, continuation.observation)
            for continuation in continuations
        ]

    def _calls(self, question: Question, step: int, names: Sequence[str]) -> list[Call]:
        if list(names) == [ANSWER]:
            return [Call(action=ANSWER, arguments={"text": script.answer_text(question)})]
        return script.propose(question, step, names)
