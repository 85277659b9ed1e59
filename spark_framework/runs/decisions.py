"""The judged decisions of a run, which another judge can score again and another selector can choose from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..contracts.components import JudgeRequest
from ..errors import DataError, RunError
from ..records import Question, Step, Trajectory, Verdict
from ..util.decision_key import DecisionKey
from ..util.seeding import child_seed
from .run_dir import RunFolder, existing_run
from .verdicts import RecordedVerdict, VerdictFile, step_digest

NOT_EXECUTED = {"observation": None, "ok": None}


@dataclass(frozen=True)
class JudgedDecision:
    """One decision that was judged. The branches of a question share their first decision; closing answers are not
    judged."""

    trajectories: tuple[str, ...]
    """Ids of the stored trajectories that it belongs to."""
    number: int
    """Index of the step in its trajectory, from 0."""
    round_name: str
    index: int
    """Index of the question in its round."""
    branch: int
    question: Question
    before: tuple[Step, ...]
    step: Step
    digest: str
    """Identifies the decision in files of recorded verdicts (`step_digest`)."""
    chosen: int | None
    """Index of the candidate that the run's selector chose; None if only other branches are stored."""
    branched: tuple[int, ...] = ()
    """Indices of the candidates that other stored branches took."""

    def key(self, seed: int) -> DecisionKey:
        """The key from which the seeds of this decision are derived.

        Args:
            seed: the run's.
        """
        return DecisionKey(seed, self.round_name, self.index, self.branch, self.number)

    @property
    def cluster(self) -> str:
        """The question in its round: decisions of one question are not independent."""
        return f"{self.round_name}/{self.index}"

    @property
    def verdict(self) -> Verdict:
        """The run's own verdict."""
        assert self.step.verdict is not None  # only judged steps become decisions
        return self.step.verdict

    def request(self, seed: int, repeat: int = 0) -> JudgeRequest:
        """The request for a judge: as in the run, or for repeat k with another seed, and therefore in another order.

        Args:
            seed: the run's.
        """
        return JudgeRequest(
            question=self.question, steps=self.before, candidates=self.step.candidates,
            seed=self.key(seed).judge_seed(repeat),
        )  # fmt: skip

    def recorded(self, verdict: Verdict) -> RecordedVerdict:
        """A verdict on this decision as a line of a file."""
        return RecordedVerdict(
            trajectory=self.trajectories[0], step=self.number, question_id=self.question.id, digest=self.digest,
            verdict=verdict,
        )  # fmt: skip


def judged_decisions(folder: RunFolder, trajectories: Iterable[Trajectory] | None = None) -> list[JudgedDecision]:
    """The judged decisions of a run in the stored order, each once. Raises `RunError` if there are none."""
    executed = {one.name: one.execute == "all" for one in folder.config.rollouts}
    found: dict[str, JudgedDecision] = {}
    for trajectory in folder.trajectories().read() if trajectories is None else trajectories:
        for number, step in enumerate(trajectory.steps):
            if step.verdict is not None:
                state = _state(trajectory, number, step, executed.get(trajectory.round, True))
                found[state.digest] = _merged(found[state.digest], state) if state.digest in found else state
    if not found:
        raise RunError(f"{folder.path} has no judged trajectories; create them with `spark-framework generate CONFIG`")
    return list(found.values())


def recorded_verdicts(path: Path) -> dict[str, Verdict]:
    """Verdicts by `step_digest`, from a file of recorded verdicts or from a run.

    Args:
        path: a file that `rejudge` wrote, or a run folder, to read the run's own verdicts.

    Raises:
        UserError: there are no verdicts, the path is something else, or a line is damaged.
    """
    if path.is_dir():
        return {decision.digest: decision.verdict for decision in judged_decisions(existing_run(path))}
    verdicts = VerdictFile(path).read()
    if not verdicts:
        raise DataError(f"{path} holds no verdicts; give a file that `spark-framework rejudge` wrote, or a run folder")
    return verdicts


def stratified(states: Sequence[JudgedDecision], questions: int | None, seed: int) -> list[JudgedDecision]:
    """The decisions of a number of questions, drawn evenly from all categories; of all questions if there are no
    more."""
    category = {state.cluster: state.question.category for state in states}
    if questions is None or questions >= len(category):
        return list(states)
    groups: dict[str, list[str]] = {}
    for cluster in np.random.default_rng(child_seed(seed, "study")).permutation(sorted(category)):
        groups.setdefault(category[cluster], []).append(cluster)
    turns = [(turn, name, cluster) for name, clusters in groups.items() for turn, cluster in enumerate(clusters)]
    kept = {cluster for _, _, cluster in sorted(turns)[:questions]}
    return [state for state in states if state.cluster in kept]


def _state(trajectory: Trajectory, number: int, step: Step, executed: bool) -> JudgedDecision:
    if not executed:  # the judge did not see the results of the candidate that was chosen later
        candidates = tuple(candidate.model_copy(update=NOT_EXECUTED) for candidate in step.candidates)
        step = step.model_copy(update={"candidates": candidates})
    branch = trajectory.branch if number else 0
    own = branch == trajectory.branch
    request = JudgeRequest(question=trajectory.question, steps=trajectory.steps[:number], candidates=step.candidates)
    return JudgedDecision(
        trajectories=(trajectory.id,), number=number, round_name=trajectory.round, index=trajectory.index,
        branch=branch, question=trajectory.question, before=trajectory.steps[:number], step=step,
        digest=step_digest(request), chosen=step.chosen if own else None, branched=() if own else (step.chosen,),
    )  # fmt: skip


def _merged(state: JudgedDecision, other: JudgedDecision) -> JudgedDecision:
    """A decision with a further branch."""
    return replace(
        state,
        trajectories=(*state.trajectories, *other.trajectories),
        branched=(*state.branched, other.step.chosen),
    )
