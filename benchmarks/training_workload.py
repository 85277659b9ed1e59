"""The trajectories of training.py: practice questions, strung together to five steps each. No weights are needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_framework import RunConfig, generate
from spark_framework.config.policy import SMOLLM2
from spark_framework.policy.factory import open_renderer
from spark_framework.records import ANSWER, Call, Question, Step, Trajectory
from spark_framework.runs.run_dir import existing_run

TOKENS, WRITTEN = range(750, 905), range(275, 364)
"""Tokens of a trajectory, and how many of them the policy wrote."""
SHOTS = 5
"""Solved questions in front of each question."""


@dataclass(frozen=True)
class Workload:
    """Trajectories with the reward of each step, and the first token of every action."""

    labels: list[int]
    trajectories: list[Trajectory]
    rewards: dict[str, list[float]]

    def to_json(self) -> str:
        stored = [one.model_dump(mode="json") for one in self.trajectories]
        return json.dumps({"labels": self.labels, "trajectories": stored, "rewards": self.rewards})

    @classmethod
    def from_json(cls, text: str) -> Workload:
        data = json.loads(text)
        return cls(data["labels"], list(map(Trajectory.model_validate, data["trajectories"])), data["rewards"])


def make_workload(folder: Path, count: int, *, own_examples: bool = False) -> Workload:
    """Practice questions whose scripted candidates have been executed and judged, combined into five steps after
    a prompt with solved questions. Scripted calls get a thought.

    Args:
        own_examples: every prompt has other solved questions.
    """
    config = RunConfig.model_validate(
        {
            "run": str(folder / "run"),
            "policy": {"model": SMOLLM2, "prompt": "short", "thoughts": True},
            "rollouts": [{"name": "first", "proposer": "scripted", "questions": 24}],
        }
    )
    generate(config)
    run = existing_run(folder / "run")
    renderer = open_renderer(config.policy, run.actions())
    found, rewards = [], {}
    stored = list(run.trajectories().read("first"))
    for place, one in enumerate(stored[SHOTS:]):
        first = place if own_examples else 0
        shots = [solved(other.question) for other in stored[first : first + SHOTS]]
        asked = one.question.model_copy(update={"text": "\n".join([*shots, one.question.text])})
        judged = one.steps[0]
        assert judged.verdict is not None
        steps, scores = [], []
        for number, (candidate, score) in enumerate(zip(judged.candidates, judged.verdict.scores, strict=True)):
            if candidate.arguments is None or len(steps) == 4:
                continue
            thought = (
                f"Step {number + 1}. The question is: {one.question.text} I try {candidate.action} first, and then I "
                "compare what it says with all of the options, one after the other."
            )
            call = renderer.scripted(Call(action=candidate.action, arguments=candidate.arguments, thought=thought))
            context = renderer.context_ids(call, candidate.observation or "")
            steps.append(Step(candidates=(call,), verdict=None, context_ids=context))
            scores.append(score / 10)
        closing = renderer.scripted(
            Call(action=ANSWER, arguments={"text": one.question.options[one.question.answer or 0]})
        )
        steps.append(Step(candidates=(closing,)))
        prompt = tuple(renderer.prompt_ids(asked))
        built = one.model_copy(update={"steps": tuple(steps), "prompt_ids": prompt})
        if length(built) in TOKENS and written(built) in WRITTEN:
            found.append(built)
            rewards[built.id] = [*scores, float(one.correct)]
    if len(found) < count:
        raise SystemExit(f"only {len(found)} of the questions give trajectories of that length; ask for fewer")
    return Workload([renderer.prefixes[name].label for name in renderer.space.names], found[:count], rewards)


def solved(question: Question) -> str:
    """A question with its answer, as an example in a prompt."""
    return f"{question.text} Options: {', '.join(question.options)}. Answer: {question.options[question.answer or 0]}"


def written(one: Trajectory) -> int:
    """Tokens of actions."""
    return sum(len(step.candidate.token_ids) for step in one.steps)


def length(one: Trajectory) -> int:
    return len(one.prompt_ids) + written(one) + sum(len(step.context_ids) for step in one.steps)


def step_rows(workload: Workload) -> Iterator[list[dict[str, Any]]]:
    """Of each trajectory, its steps with all that comes before them."""
    for one in workload.trajectories:
        ids, rows = list(one.prompt_ids), []
        for step, reward in zip(one.steps, workload.rewards[one.id], strict=True):
            taken = step.candidate
            rows.append(
                {"prefix": list(ids), "action": list(taken.token_ids), "opening": taken.opening, "reward": reward}
            )
            ids += [*taken.token_ids, *step.context_ids]
        yield rows
