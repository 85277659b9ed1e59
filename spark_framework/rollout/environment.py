"""Executes actions: calls tools, acknowledges thoughts, and closes episodes that answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..contracts.components import Judge, Selector, Tool, ToolContext
from ..host.hooks import PluginHooks
from ..judging.runner import JudgeRunner
from ..policy import Policy
from ..policy.action_space import ActionSpace
from ..questions.grading import answer_text, resolve_answer
from ..records import THINK, Candidate, Question, Step, Trajectory
from ..util.seeding import child_seed
from .types import Episode

THOUGHT_NOTED = "go on"
"""The observation after a thought."""


@dataclass(frozen=True)
class RolloutContext:
    """Everything that a rollout needs except the policy, resolved once before the loop."""

    tools: dict[str, Tool]
    space: ActionSpace
    calls: PluginHooks
    seed: int
    steps: int
    """Maximum number of actions before an answer is required."""
    workers: int = 8
    """Number of threads that call tools."""
    judge: Judge | None = None
    """None, like `judging` and `selector`, if the policy acts alone."""
    judging: JudgeRunner | None = None
    fallback: Judge | None = None
    selector: Selector | None = None
    threshold: float = 6.0

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the proposed actions, in order: the tools, then `think`."""
        return self.space.candidates


def execute(context: RolloutContext, number: int, jobs: Sequence[tuple[Question, Candidate]]) -> list[Candidate]:
    """Execute candidates of step `number` in a few threads, and fill in their observations.

    The observation of a candidate that cannot be executed is its error.
    """

    def one(job: tuple[Question, Candidate]) -> Candidate:
        question, candidate = job
        if candidate.arguments is None or candidate.action not in context.candidates:
            return candidate.model_copy(update={"observation": candidate.error, "ok": False})
        if candidate.action == THINK:
            return candidate.model_copy(update={"observation": THOUGHT_NOTED, "ok": True})
        seed = child_seed(context.seed, "tool", question.id, number)
        call = ToolContext(question_id=question.id, step=number, seed=seed)
        ok, text = context.calls.call_tool(context.tools[candidate.action], candidate.arguments, call)
        return candidate.model_copy(update={"observation": text, "ok": ok})

    with ThreadPoolExecutor(context.workers) as pool:
        return list(pool.map(one, jobs))


def execute_chosen(
    context: RolloutContext, episodes: Sequence[Episode], number: int, taken: Sequence[Sequence[Step]]
) -> list[list[Step]]:
    """Execute the chosen candidates of all steps except answers.

    Args:
        taken: for each episode the steps that it continues with.
    """
    jobs = [
        (episode.question, step.candidate)
        for episode, steps in zip(episodes, taken, strict=True)
        for step in steps
        if not step.is_answer
    ]
    executed = iter(execute(context, number, jobs))
    return [[step if step.is_answer else _with_chosen(step, next(executed)) for step in steps] for steps in taken]


def _with_chosen(step: Step, candidate: Candidate) -> Step:
    candidates = [candidate if i == step.chosen else other for i, other in enumerate(step.candidates)]
    return step.model_copy(update={"candidates": tuple(candidates)})


def finish_episode(episode: Episode, policy: Policy, round_name: str) -> Trajectory:
    """The finished record: reads the answer from the last step."""
    index, branch, question = episode.index, episode.branch, episode.question
    answer = resolve_answer(answer_text(episode.steps[-1].candidate), question.options)
    return Trajectory(
        id=f"{round_name}/{index}/{branch}", round=round_name, index=index, branch=branch, question=question,
        steps=episode.steps, answer=answer, correct=answer is not None and answer == question.answer,
        prompt_ids=policy.prompt_ids(question), policy=policy.fingerprint(),
    )  # fmt: skip


def count_actions(trajectories: Iterable[Trajectory]) -> Counter[str]:
    """Number of times each action was taken, without closing answers."""
    return Counter(step.candidate.action for t in trajectories for step in t.steps if not step.is_answer)
