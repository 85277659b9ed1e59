"""The rollout loop: every open episode of a batch takes one step at a time, until all have answered.

`run_episodes` is the loop; its argument `take_step` takes one step of each episode. In a round of rollouts the policy
proposes, tools are called, a judge scores and a selector chooses (`run_batch`); in an evaluation the policy acts alone
(`evaluation.runner`). Action counts change in question order after all verdicts of a step have arrived, and every draw
has its own seed: results do not depend on concurrency.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from ..contracts.components import JudgeRequest
from ..errors import JudgeError
from ..policy import Continuation, EpisodeBatch, Policy
from ..records import ANSWER, Candidate, Question, Step, Trajectory, Verdict
from ..util.decision_key import DecisionKey
from .environment import RolloutContext, count_actions, execute, execute_chosen, finish_episode
from .selection import answers_now, select_steps
from .types import DroppedTrajectory, Episode, RolloutResult, RoundPlan

log = logging.getLogger(__name__)


class TakeStep(Protocol):
    """One step of every open episode of a batch."""

    def __call__(self, batch: EpisodeBatch, episodes: Sequence[Episode], number: int) -> Sequence[Sequence[Step]]:
        """For each episode the steps that it continues with: several if it branches, none if it is dropped.

        A step that answers ends its branch; all others have been executed.
        """
        ...


def run_episodes(
    questions: Mapping[int, Question], policy: Policy, context: RolloutContext, round_name: str, take_step: TakeStep,
    on_step: Callable[[str, Step], None] | None = None,
) -> list[Trajectory]:  # fmt: skip
    """Run the episodes of some questions together, from the first step to their answers.

    Args:
        questions: by their index in the round.
        on_step: called with the question's id and each step that is not an answer, in question order.

    Returns:
        The finished trajectories by question and branch.
    """
    batch = policy.start(list(questions.values()))
    episodes = [Episode(index, question) for index, question in questions.items()]
    finished: list[Episode] = []
    for number in range(context.steps + 1):
        if not episodes:
            break
        continued: list[tuple[Episode, Step]] = []
        continuations: list[Continuation] = []
        for row, steps in enumerate(take_step(batch, episodes, number)):
            before = episodes[row]
            for branch, step in enumerate(steps, start=before.branch):
                episode = replace(before, branch=branch)
                if step.is_answer or number == context.steps:
                    finished.append(replace(episode, steps=(*before.steps, step)))
                else:
                    continued.append((episode, step))
                    continuations.append(Continuation(row, step.candidate, step.candidate.observation or ""))
        contexts = batch.step(continuations) if continuations else []
        episodes = []
        for (episode, step), context_ids in zip(continued, contexts, strict=True):
            step = step.model_copy(update={"context_ids": context_ids})
            episodes.append(replace(episode, steps=(*episode.steps, step)))
            if on_step is not None:
                on_step(episode.question.id, step)
    finished.sort(key=lambda episode: (episode.index, episode.branch))
    return [finish_episode(episode, policy, round_name) for episode in finished]


def run_batch(
    questions: Mapping[int, Question], policy: Policy, context: RolloutContext, plan: RoundPlan,
    usage: Mapping[str, int],
) -> RolloutResult:  # fmt: skip
    """Roll out some questions together, with the run's judge and selector.

    Args:
        questions: by their index in the round.
        usage: how often each action was chosen in the round's stored trajectories (`count_actions`).

    Raises:
        ConfigError, RunError: the judge or the selector failed in a way that only the user can fix.
    """
    judged = _JudgedSteps(context, plan, usage)
    done = run_episodes(questions, policy, context, plan.round_name, judged, context.calls.step_finished)
    return RolloutResult(done, judged.dropped)


def run_batch_with_fallback(
    questions: Mapping[int, Question], policy: Policy, context: RolloutContext, plan: RoundPlan,
    usage: Mapping[str, int],
) -> RolloutResult:  # fmt: skip
    """Like `run_batch`, but the fallback judge, if there is one, judges a question again if the judge failed on it.

    Such questions are rolled out again from the start: scores of two judges are never mixed in one trajectory.
    """
    result = run_batch(questions, policy, context, plan, usage)
    if context.fallback is None or not result.dropped:
        return result
    again = {index: questions[index] for index in sorted({one.index for one in result.dropped})}
    kept = [trajectory for trajectory in result.trajectories if trajectory.index not in again]
    counts = Counter(usage) + count_actions(kept)
    second = run_batch(again, policy, replace(context, judge=context.fallback), plan, counts)
    both = sorted([*kept, *second.trajectories], key=lambda trajectory: (trajectory.index, trajectory.branch))
    return RolloutResult(both, second.dropped)


class _JudgedSteps:
    """Takes steps as a round of rollouts does: propose, execute, judge, select."""

    def __init__(self, context: RolloutContext, plan: RoundPlan, usage: Mapping[str, int]) -> None:
        self.context, self.plan = context, plan
        self.counts = Counter(usage)
        self.dropped: list[DroppedTrajectory] = []

    def __call__(self, batch: EpisodeBatch, episodes: Sequence[Episode], number: int) -> list[list[Step]]:
        context, plan = self.context, self.plan
        keys = [episode.key(context.seed, plan.round_name) for episode in episodes]
        probs = batch.action_probs()
        ends = answers_now(batch, keys, probs, context, plan)
        actions = [(ANSWER,) if end else context.candidates for end in ends]
        proposed = batch.propose(actions, plan.sampling, [key.proposal_seed() for key in keys])
        taken = [
            [Step(candidates=tuple(candidates), action_probs=p)] if end else []
            for end, candidates, p in zip(ends, proposed, probs, strict=True)
        ]
        judged = sorted((i for i, end in enumerate(ends) if not end), key=lambda i: keys[i].place)
        if plan.execute_all:
            jobs = [(episodes[i].question, candidate) for i in judged for candidate in proposed[i]]
            executed = iter(execute(context, number, jobs))
            for i in judged:
                proposed[i] = [next(executed) for _ in proposed[i]]
        verdicts = self._verdicts([(keys[i], episodes[i], proposed[i]) for i in judged])
        for i, verdict in zip(judged, verdicts, strict=True):
            if isinstance(verdict, JudgeError):
                self._drop(keys[i], verdict)
                continue
            taken[i] = select_steps(context, plan, keys[i], proposed[i], verdict, self.counts, probs[i])
            self.counts.update(step.candidate.action for step in taken[i])
        return taken if plan.execute_all else execute_chosen(context, episodes, number, taken)

    def _verdicts(
        self, jobs: Sequence[tuple[DecisionKey, Episode, Sequence[Candidate]]]
    ) -> Sequence[Verdict | JudgeError]:
        """For each job a verdict, or the error that explains why there is none."""
        assert self.context.judge is not None
        assert self.context.judging is not None
        requests = [
            JudgeRequest(
                question=episode.question, steps=episode.steps, candidates=tuple(candidates), seed=key.judge_seed()
            )
            for key, episode, candidates in jobs
        ]
        return self.context.judging.judge_all(self.context.judge, requests)

    def _drop(self, key: DecisionKey, error: JudgeError) -> None:
        reason = f"trajectory {key.episode}, step {key.step}: {error}"
        self.dropped.append(DroppedTrajectory(key.index, reason))
        log.warning("%s; the trajectory is dropped", reason)
