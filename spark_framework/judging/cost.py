"""What a command would cost to judge, before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from ..config.rollout import RoundConfig
from ..config.run import RunConfig
from ..contracts.components import Judge, JudgeRequest
from ..contracts.remote_judge import WireJudge
from ..host.lifecycle import open_tools
from ..host.manager import current_host
from ..policy.action_space import ActionSpace
from ..records import Candidate, Question, Step
from ..runs.run_dir import RunFolder
from .client import JudgingSession, wire_judges
from .estimate import Estimate, estimate
from .fingerprint import reader

SAMPLE = 20
"""Questions that an estimate of rollouts reads."""
INPUT, OBSERVATION = 60, 200
"""Characters of a call that the policy has not written yet, and of what will come of it."""


@dataclass(frozen=True)
class Forecast:
    """Estimates of all judges that ask over a wire, and what they rest on."""

    estimates: tuple[Estimate, ...]
    assumed: str

    @property
    def lines(self) -> list[str]:
        """One a judge."""
        return list(map(str, self.estimates)) or ["nothing is asked over a wire: 0 calls, $0.00"]

    def __str__(self) -> str:
        return "\n".join([*self.lines, self.assumed])


def forecast_rollouts(config: RunConfig, round: str | None = None) -> Forecast:
    """An upper bound for `generate`: every question takes all steps in all branches, and no call fails.

    Args:
        round: name of a round; None takes every round.
    """
    rounds = [one for one in config.rollouts if round in (None, one.name)]
    if not rounds:
        config.round_start(round or "")  # says which rounds there are
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
        f"assumed: {sum(left.values()):,} questions x (1 + {config.steps - 1} further steps x branches), the most that "
        f"there can be; {len(names)} candidates a step, each with {INPUT} characters of input and {OBSERVATION} of "
        f"observation, around the real questions ({len(steps) // config.steps} read); every call succeeds at once",
    )


def forecast_steps(session: JudgingSession, judge: Judge, steps: Sequence[JudgeRequest]) -> Forecast:
    """For steps that are known: their requests are counted as they are, and those with a stored reply cost nothing."""
    estimates = []
    for part in wire_judges(judge):
        seen = [session.calls.redact_gold(part, step) for step in steps]
        fresh = [step for step in seen if not _is_stored(session, part, step)]
        estimates += estimate(part, fresh, len(fresh)) if fresh else [Estimate(part.name, "-", 0, 0, 0, 0.0, None)]
    return Forecast(
        tuple(estimates), f"assumed: {len(steps):,} steps have no verdict yet; their requests are known, and every "
        "call succeeds at once",
    )  # fmt: skip


def _is_stored(session: JudgingSession, judge: WireJudge, step: JudgeRequest) -> bool:
    if session.terms.mode == "refresh":
        return False
    if session.store.remembered(session.digests.of(judge, step), reader(judge)) is not None:
        return True
    return session.store.reply(judge.request(step).key) is not None


def _sample(config: RunConfig, one: RoundConfig, names: Sequence[str]) -> list[JudgeRequest]:
    """The first questions of a round at every step, with stand-ins for what the policy will write."""
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
