"""Evaluation: the policy acts alone, without judge or selector, in the same loop as in rollouts."""

from __future__ import annotations

from collections.abc import Sequence

from ..policy import EpisodeBatch, Policy, Sampling
from ..records import ANSWER, Question, Step, Trajectory
from ..rollout.engine import run_episodes
from ..rollout.environment import RolloutContext, execute_chosen
from ..rollout.types import Episode


def act(
    questions: Sequence[Question], first: int, policy: Policy, context: RolloutContext, sampling: Sampling, name: str,
    *, use_tools: bool = True,
) -> list[Trajectory]:  # fmt: skip
    """Let the policy answer some questions together.

    Args:
        questions: with indices `first`, `first + 1`, … in the test split.
        name: of the evaluated stage; it is stored as the trajectories' round.
        use_tools: False requires the answer at once (the rung without tools).

    Returns:
        One finished trajectory per question.
    """

    def take_step(batch: EpisodeBatch, episodes: Sequence[Episode], number: int) -> list[list[Step]]:
        last = number == context.steps or not use_tools
        allowed = (ANSWER,) if last else (*context.candidates, ANSWER)
        seeds = [episode.key(context.seed, name).evaluation_seed() for episode in episodes]
        probs = batch.action_probs()
        actions = batch.act(allowed, sampling, seeds)
        taken = [[Step(candidates=(action,), action_probs=p)] for action, p in zip(actions, probs, strict=True)]
        return taken if last else execute_chosen(context, episodes, number, taken)

    return run_episodes(dict(enumerate(questions, first)), policy, context, name, take_step)
