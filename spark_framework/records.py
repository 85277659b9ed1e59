"""The records that flow through a run, from question to trajectory. Frozen, and JSON in both directions."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

THINK = "think"
"""Chain of thought: the ninth action. It is always available and is not a tool."""
ANSWER = "answer"
"""The action that ends an episode. It is not one of the nine and is never a candidate."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Record(BaseModel):
    """Base of all records: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Call(Record):
    """An action with its arguments, as a question set or a policy writes it."""

    action: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    thought: str = ""


class Question(Record):
    """A multiple-choice question in MMLU-Pro's format, or an open one without options."""

    id: str
    text: str
    options: tuple[str, ...]
    answer: int | None
    """Index of the right option; None if it is withheld (LLM judges never see it)."""
    category: str
    source: str
    """Question set and part of it, for example `mmlu_pro` or `practice/molar_mass`."""
    group: str = ""
    """Evaluation subset to be reported separately, for example `seen` and `new` phrasings."""
    plan: tuple[tuple[Call, ...], ...] = ()
    """If the question set provides it: for each step, the alternative calls that solve it."""

    @model_validator(mode="after")
    def _has_a_right_option(self) -> Question:
        if self.options and not 2 <= len(self.options) <= len(LETTERS):
            raise ValueError(f"question {self.id!r} has {len(self.options)} options; 2 to {len(LETTERS)} are needed")
        if self.answer is not None and not 0 <= self.answer < len(self.options):
            raise ValueError(
                f"question {self.id!r} has no right option: answer {self.answer}, {len(self.options)} options"
            )
        return self

    def without_gold(self) -> Question:
        """The same question as an examinee sees it: no answer, no plan."""
        return self.model_copy(update={"answer": None, "plan": ()})


class Candidate(Record):
    """One proposed action of a step, with everything that is known about it."""

    action: str
    arguments: dict[str, Any] | None
    """None if the text could not be parsed as arguments; `error` then says why."""
    thought: str = ""
    text: str = ""
    """What the policy wrote, as text."""
    token_ids: tuple[int, ...] = ()
    """What the policy wrote, as tokens: action name, arguments and stop token. Empty for text-only policies."""
    opening: int = 0
    """How many of `token_ids` name the action: the first is drawn from the action head, the others follow from it. 0
    if the policy wrote without constraint."""
    token_logprobs: tuple[float, ...] = ()
    """Behaviour log-probability of each token in nats (temperature 1). Empty where not known."""
    observation: str | None = None
    """What the tool returned; None if the candidate was not executed."""
    ok: bool | None = None
    """Whether the call was valid and succeeded; None if it was not executed."""
    error: str | None = None


class Verdict(Record):
    """A judge's verdict on one step: for every candidate a score, and whether the work would be sound with it."""

    scores: tuple[float, ...]
    """One score in [0, 10] for each candidate, in the candidates' order."""
    process_ok: tuple[bool, ...]
    """For each candidate: no step so far, this one included, holds an error that would mislead the rest."""
    judge: str
    fingerprint: str
    reason: str = ""
    order: tuple[int, ...] = ()
    """The order in which the judge saw the candidates, if it was shuffled."""
    usage: dict[str, float] = Field(default_factory=dict)
    """Tokens and money, by the provider's names."""
    spread: tuple[float, ...] = ()
    """A jury's disagreement: for each candidate the standard deviation of its members' scores."""
    request: str = ""
    """Key of the stored request that the verdict was read from."""

    @field_validator("scores")
    @classmethod
    def _real_scores(cls, scores: tuple[float, ...]) -> tuple[float, ...]:
        for score in scores:
            if not (math.isfinite(score) and 0 <= score <= 10):
                raise ValueError(f"score {score} is not in [0, 10]")
        return scores

    @model_validator(mode="after")
    def _one_each(self) -> Verdict:
        if len(self.scores) != len(self.process_ok):
            raise ValueError(f"{len(self.scores)} scores but {len(self.process_ok)} process_ok")
        return self


class Step(Record):
    """One decision: the proposed candidates, the verdict on them, and the chosen one with its result."""

    candidates: tuple[Candidate, ...]
    verdict: Verdict | None = None
    """None for the closing answer, which no judge scores."""
    chosen: int = 0
    none_viable: bool = False
    """No candidate scored above the threshold; the best one was taken."""
    usage: dict[str, int] = Field(default_factory=dict)
    """How often each action had been chosen in this run before this step."""
    action_probs: dict[str, float] = Field(default_factory=dict)
    """The policy's own distribution over all actions (`answer` included) in this state; empty where not known."""
    context_ids: tuple[int, ...] = ()
    """Tokens that the environment put after the chosen candidate: observation and turn markers."""
    marks: dict[str, float] = Field(default_factory=dict)
    """Annotators' ratings of the chosen candidate, given after the episode, each in [0, 1] (StepTool):
    `succ_calling` and `contribution` for a step, `is_solved` for the closing answer; `succ_calling/0` and so on for
    each repeat. `reward` if only the sum is known."""

    @property
    def candidate(self) -> Candidate:
        """The chosen candidate."""
        return self.candidates[self.chosen]

    @property
    def score(self) -> float | None:
        """The judge's score of the chosen candidate."""
        return None if self.verdict is None else self.verdict.scores[self.chosen]

    @property
    def is_answer(self) -> bool:
        """Whether the step is the closing answer."""
        return self.candidate.action == ANSWER


class Trajectory(Record):
    """One finished episode: a question, its steps, and how it ended."""

    id: str
    """`round/question index/branch`: unique in a run."""
    round: str
    index: int
    """Position of the question in its round."""
    branch: int = 0
    """0 follows the selector's choice at the first step; higher numbers follow other candidates."""
    question: Question
    steps: tuple[Step, ...]
    """The last one is the closing answer."""
    answer: int | None
    """Index of the option that was answered; None if no option could be read from the text."""
    correct: bool
    prompt_ids: tuple[int, ...] = ()
    policy: str = ""
    """Fingerprint of the policy that wrote it: weights, tokenizer, format, dtype."""

    def process_ok(self, step: Step) -> bool:
        """The judge's process_ok of the chosen candidate. The closing answer is ok if it is right and follows from
        sound steps; a lucky guess is not ok."""
        if step.verdict is not None:
            return step.verdict.process_ok[step.chosen]
        return self.correct and all(s.verdict.process_ok[s.chosen] for s in self.steps if s.verdict is not None)

    @property
    def success(self) -> bool:
        """Right answer, and every step process_ok."""
        return all(self.process_ok(step) for step in self.steps) and self.correct
