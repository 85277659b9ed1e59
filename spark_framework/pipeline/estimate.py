"""Estimates the cost of judging a run's rollouts before any money is spent."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from ..config.rollout import RoundConfig
from ..config.run import RunConfig
from ..contracts.components import Judge, JudgeRequest
from ..host.lifecycle import open_tools
from ..host.manager import current_host
from ..judging.cost import Forecast, estimate
from ..policy.action_space import ActionSpace
from ..records import Candidate, Question, Step
from ..runs.run_dir import RunFolder

SAMPLE = 20
"""Number of questions that an estimate of rollouts reads."""
INPUT, OBSERVATION = 60, 200
"""Assumed characters of a call that the policy has not written yet, and of its observation."""


def forecast_rollouts(config: RunConfig, round_name: str | None = None) -> Forecast:
    """An upper bound for `generate`: every question takes all steps in all branches, and no call fails.

    Args:
        round_name: name of a round; None takes every round.
    """
    rounds = [one for one in config.rollouts if round_name in (None, one.name)]
    if not rounds:
        config.round_start(round_name or "")  # says which rounds there are
    store = RunFolder(config.run, config).trajectories()
    left = {one.name: max(0, one.questions - store.next_index(one.name)) for one in rounds}
    calls = sum(left[one.name] * (1 + one.branches * (config.steps - 1)) for one in rounds)
    with open_tools(config.tools) as tools, closing(config.judge.build()) as judge:  # not prepared: this needs no key
        assert isinstance(judge, Judge)  # the config has checked the kinds
        names = ActionSpace.of(tools).candidates
        steps = [step for one in rounds if left[one.name] for step in _sample(config, one, names)]
        seen = [current_host().calls.redact_gold(judge, step) for step in steps]
        estimates = estimate(judge, seen, calls) if seen else []
    return Forecast(
        tuple(estimates),
        f"assumed: {sum(left.values()):,} questions x (1 + {config.steps - 1} further steps x branches), the "
        f"maximum; {len(names)} candidates a step, each with {INPUT} characters of input and {OBSERVATION} of "
        f"observation, around the real questions ({len(steps) // config.steps} read); every call succeeds at once",
    )


def _sample(config: RunConfig, one: RoundConfig, names: Sequence[str]) -> list[JudgeRequest]:
    """The first questions of a round at every step, with placeholders for the policy's calls."""
    source = RunFolder(config.run, config).questions()
    questions = source.train(config.round_start(one.name), min(SAMPLE, one.questions))
    return [_stand_in(question, number, names) for question in questions for number in range(config.steps)]


def _stand_in(question: Question, number: int, names: Sequence[str]) -> JudgeRequest:
    words = "word " * (OBSERVATION // 5)
    candidates = tuple(
        Candidate(action=name, arguments={"input": words[:INPUT]}, observation=words, ok=True) for name in names
    )
    before = tuple(Step(candidates=candidates, chosen=step % len(names)) for step in range(number))
    return JudgeRequest(question=question, steps=before, candidates=candidates)
