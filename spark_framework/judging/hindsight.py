"""Annotators in hindsight: judges that rate the steps of a finished trajectory instead of the candidates of one step.

They implement the same contract as judges. The request's candidates are the actions taken, the final answer last, and
its `seed` is the number of the repeat. In the verdict a step's score is its contribution to the final answer (0 to 10),
its process_ok says whether the call succeeded, and the last score is IsSolved (10, Unsure 5, 0).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean

from ..config.judging import JudgingSection
from ..contracts.components import Judge, JudgeRequest
from ..errors import DataError
from ..host.component_spec import ComponentSpec
from ..host.hooks import PluginHooks
from ..host.lifecycle import open_component
from ..records import ANSWER, Candidate, Trajectory, Verdict
from .marks import RewardComponents, with_annotations
from .runner import JudgeRunner, open_judging

log = logging.getLogger(__name__)


def hindsight_request(trajectory: Trajectory, repeat: int = 0) -> JudgeRequest:
    """The request for an annotator. A trajectory that ended without an answer gets an empty one."""
    done = [step.candidate for step in trajectory.steps]
    if not trajectory.steps[-1].is_answer:
        done.append(Candidate(action=ANSWER, arguments=None, error="error: no answer was given"))
    return JudgeRequest(question=trajectory.question, steps=(), candidates=tuple(done), seed=repeat)


def average_verdicts(verdicts: Sequence[Verdict]) -> RewardComponents:
    """The mean of some annotations of one trajectory, each component in [0, 1]."""
    ok_S = zip(*(verdict.process_ok[:-1] for verdict in verdicts), strict=True)
    score_S = zip(*(verdict.scores[:-1] for verdict in verdicts), strict=True)
    return RewardComponents(
        succ_calling=tuple(map(fmean, ok_S)),
        contribution=tuple(fmean(scores) / 10 for scores in score_S),
        is_solved=fmean(verdict.scores[-1] for verdict in verdicts) / 10,
    )


def annotate(judge: Judge, runner: JudgeRunner, trajectories: Sequence[Trajectory], repeats: int) -> list[Trajectory]:
    """The trajectories with their annotations. If the judge fails on one, it is left out and logged."""
    requests = [hindsight_request(one, repeat) for one in trajectories for repeat in range(repeats)]
    outcomes = runner.judge_all(judge, requests)
    kept = []
    for number, trajectory in enumerate(trajectories):
        own = outcomes[number * repeats : (number + 1) * repeats]
        verdicts = [outcome for outcome in own if isinstance(outcome, Verdict)]
        if len(verdicts) < repeats:
            failure = next(outcome for outcome in own if not isinstance(outcome, Verdict))
            log.warning("trajectory %s is not annotated, and is left out: %s", trajectory.id, failure)
        else:
            each = {str(repeat): average_verdicts([verdict]) for repeat, verdict in enumerate(verdicts)}
            kept.append(with_annotations(trajectory, average_verdicts(verdicts), each))
    return kept


def annotated_by(
    spec: ComponentSpec, trajectories: Sequence[Trajectory], repeats: int,
    *, calls: PluginHooks, store: Path, judging: JudgingSection, run: str,
) -> list[Trajectory]:  # fmt: skip
    """The trajectories with the annotations of a judge, which is opened and closed here.

    Args:
        store: the SQLite file with replies and the ledger.
        judging: settings for requests to the judge.
        run: the run's name in the ledger.

    Raises:
        DataError: the judge failed on all of them.
    """
    with ExitStack() as stack:
        judge = stack.enter_context(open_component(spec))
        assert isinstance(judge, Judge)  # the spec has checked the kind
        runner = stack.enter_context(open_judging(calls, store, judging, run, [judge]))
        kept = annotate(judge, runner, trajectories, repeats)
    if trajectories and not kept:
        raise DataError(f"annotator {judge.name} failed on every trajectory; the log says why")
    return kept
