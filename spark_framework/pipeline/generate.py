"""Rolls out the rounds of a run and stores the judged trajectories.

Safe to repeat: stored waves are reused, and an interrupted wave is repeated, with the same result on the same machine.
"""

from __future__ import annotations

import logging
from pathlib import Path

from ..config.rollout import RoundConfig
from ..config.run import RunConfig, questions_per_wave
from ..errors import RunError
from ..policy import Policy, Sampling
from ..policy.action_space import ActionSpace
from ..policy.factory import open_policy, open_renderer
from ..policy.scripted import ScriptedPolicy
from ..rollout.engine import run_batch_with_fallback
from ..rollout.environment import RolloutContext, count_actions
from ..rollout.types import RoundPlan
from ..runs.run_dir import RunFolder, open_run
from .context import open_context, progress

log = logging.getLogger(__name__)


def generate(config: RunConfig, round_name: str | None = None) -> Path:
    """Roll out one round, or all rounds in order, and store the trajectories.

    Args:
        round_name: name of a round; None runs every round, up to the first whose adapter has not been trained yet.

    Returns:
        The run's folder. Repeating the call continues where it stopped.
    """
    folder = open_run(config)
    wanted = [one for one in config.rollouts if round_name in (None, one.name)]
    if not wanted:
        config.round_start(round_name or "")  # raises: there is no such round
    with folder.locked(), open_context(folder, judged=True) as context:
        for one in wanted:
            if round_name is None and one.adapter is not None and not folder.is_trained(one.adapter):
                log.warning("round %s waits for stage %s; train it, then generate again", one.name, one.adapter)
                break
            _generate_round(folder, one, context)
    return folder.path


def _generate_round(folder: RunFolder, one: RoundConfig, context: RolloutContext) -> None:
    """Roll out the missing part of a round, wave by wave.

    Raises:
        RunError: the judge failed on more trajectories than the round allows (`max_failed`).
    """
    config, store = folder.config, folder.trajectories()
    start = store.next_index(one.name)
    if start >= one.questions:
        return
    first_question = config.round_start(one.name)
    source = folder.questions()
    usage = count_actions(store.read(one.name))
    policy = _proposer(folder, one, context.space)
    plan = RoundPlan(
        round_name=one.name, sampling=Sampling(one.temperature, config.policy.max_new_tokens),
        execute_all=one.execute == "all", branches=one.branches, branch_among_viable=one.branch_among == "viable",
    )  # fmt: skip
    size = questions_per_wave(config.judging, one)
    with progress(range(start, one.questions, size), f"generate {one.name}") as waves:
        for first in waves:
            count = min(size, one.questions - first)
            questions = dict(enumerate(source.train(first_question + first, count), start=first))
            result = run_batch_with_fallback(questions, policy, context, plan, usage)
            dropped = [trajectory.index for trajectory in result.dropped]
            failed = len(store.dropped.get(one.name, ())) + len(dropped)
            if failed > max(one.max_failed * one.questions, 1):  # the wave is not stored, so it is repeated
                raise RunError(
                    f"the judge failed on {failed} trajectories of round {one.name} (the last: "
                    f"{result.dropped[-1].reason}); fix the cause, then run the same command again"
                )
            store.append(one.name, result.trajectories, next_index=first + count, dropped=dropped)
            usage += count_actions(result.trajectories)
            for trajectory in result.trajectories:
                context.calls.trajectory_finished(trajectory)
            if context.judging is not None and context.judging.client.budget.spent:
                waves.set_postfix_str(f"${context.judging.client.budget.spent:.2f}")


def _proposer(folder: RunFolder, one: RoundConfig, space: ActionSpace) -> Policy:
    if one.proposer == "scripted":
        return ScriptedPolicy(open_renderer(folder.config.policy, space))
    return open_policy(folder.config.policy, space, folder.adapter(one.adapter) if one.adapter else None)
