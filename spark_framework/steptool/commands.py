"""The commands of `spark-framework steptool`, on the trajectories of a run or imported ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..config.judging import JudgingSection
from ..config.policy import LocalPolicyConfig
from ..contracts.algorithm import Algorithm
from ..errors import ConfigError, DataError, RunError
from ..host.manager import current_host
from ..judging.hindsight import annotated_by
from ..pipeline.context import resolve_judge
from ..pipeline.train import stage_data
from ..records import Trajectory
from ..runs.run_dir import JUDGEMENTS, RunFolder, existing_run, is_run
from ..runs.session import observed
from ..training.data.ppo_csv import PpoExample, write_ppo_csv
from .collection import Collection, export_annotations, export_csv, export_predictions
from .metrics import Needed, figures

Sort = Literal["csv", "predictions", "annotations"]


@dataclass(frozen=True)
class Judging:
    """A judge that annotates finished trajectories, and its number of repeats."""

    judge: str
    repeats: int = 3
    overrides: Sequence[str] = ()
    """`judge.KEY=VALUE` and `judging.KEY=VALUE` each."""


def evaluate_trajectories(
    where: str | Path, *, stage: str | None = None, round_name: str | None = None, judging: Judging | None = None,
    needed: Needed | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Pass rate, success rate of calls and recall of needed tools (`metrics.figures`).

    Args:
        where: a run's folder, or one of imported trajectories.
        stage: of a run: its evaluation.
        round_name: a round; of imported trajectories it may be left out where there is only one.
        judging: the judge of IsSolved; None takes the stored annotations. Trajectories without an answer are
            unsolved, and are not judged. `not_judged` counts the trajectories that the judge failed on, which are
            left out.
        needed: the needed tools by query; None takes the questions' plans.
    """
    trajectories = _stored(Path(where), stage, round_name)
    before = len(trajectories)
    if judging is not None:
        trajectories = _annotated(Path(where), trajectories, judging)
    return {**figures(trajectories, needed), "not_judged": before - len(trajectories)}


def export_trajectories(
    where: str | Path, to: Path, *, sort: Sort = "csv", stage: str | None = None, round_name: str | None = None,
    style: str = "qwen2", alpha: float = 1.0, judging: Judging | None = None,
) -> int:  # fmt: skip
    """Write trajectories in one of StepTool's formats; returns the number of rows or queries.

    Args:
        where: a run's folder, or one of imported trajectories.
        stage: of a run: the stage `steptool` whose data, filters and rewards are written.
        round_name, style, alpha, judging: of imported trajectories: which round, in which chat template, with which
            weight of SuccCalling, annotated by whom (None: as they were imported).
    """
    folder = Path(where)
    if run := _run_at(folder):
        if stage is None or sort != "csv":
            raise ConfigError(
                "a run's trajectories are exported as a CSV, with the rewards of a stage: name the stage with --stage"
            )
        return _export_stage(run, stage, to)
    trajectories = Collection(folder).read(round_name)
    if judging is not None:
        trajectories = _annotated(folder, trajectories, judging)
    notes = Collection(folder).notes(trajectories[0].round)
    if sort == "predictions":
        return export_predictions(to, trajectories, notes)
    if sort == "annotations":
        return export_annotations(to, trajectories, notes)
    return export_csv(to, trajectories, notes, style, alpha)


def _run_at(where: Path) -> RunFolder | None:
    """The run in a folder; None for a folder of imported trajectories."""
    return existing_run(where) if is_run(where) else None


def _stored(where: Path, stage: str | None, round_name: str | None) -> list[Trajectory]:
    run = _run_at(where)
    if run is None:
        if stage is not None:
            raise ConfigError(f"--stage: {where} is not a run folder; choose imported trajectories with --round")
        return Collection(where).read(round_name)
    if (stage is None) == (round_name is None):
        raise ConfigError("give either --stage, to read its evaluation, or --round")
    if stage is not None:
        found = list(run.evaluation(stage, run.config.evaluation.temperatures[0]).read())
        command = f"spark-framework evaluate {where} --stage {stage}"
    else:
        found = list(run.trajectories().read(round_name))
        command = f"spark-framework generate CONFIG --round {round_name}"
    if not found:
        raise RunError(f"{where} has no trajectories of {stage or round_name}; create them with `{command}`")
    return found


def _annotated(where: Path, trajectories: Sequence[Trajectory], judging_by: Judging) -> list[Trajectory]:
    """The trajectories with the judge's marks, in their order; those without an answer unchanged."""
    run = _run_at(where)
    section = run.config.judging if run else JudgingSection()
    judge, judging = resolve_judge(judging_by.judge, section, judging_by.overrides, "steptool")
    finished = [one for one in trajectories if one.steps[-1].is_answer]
    kept = annotated_by(
        judge, finished, judging_by.repeats, calls=current_host().calls,
        store=judging.file or where / JUDGEMENTS, judging=judging,
        run=run.ledger_name if run else str(where),
    )  # fmt: skip
    by_id = {one.id: one for one in kept}
    return [by_id.get(one.id, one) for one in trajectories if one.id in by_id or not one.steps[-1].is_answer]


def _export_stage(folder: RunFolder, name: str, to: Path) -> int:
    from ..models.loading import load_tokenizer

    policy, choice = folder.config.policy, folder.config.stages.get(name)
    if choice is None:
        raise ConfigError(f"--stage: this run has no stage {name}; stages: {', '.join(folder.config.stages) or 'none'}")
    if not isinstance(policy, LocalPolicyConfig):
        raise ConfigError("policy.use: the policy of a server has no tokens to export")
    algorithm = choice.build()
    assert isinstance(algorithm, Algorithm)  # the config has checked the kind
    if not algorithm.reads_round:
        raise ConfigError(f"--stage: {name} reads a CSV already; name a stage that learns from a round")
    with folder.locked(), observed(folder) as calls:
        found = algorithm.examples(stage_data(folder, name, algorithm, calls))
        if found is None:
            raise ConfigError(f"--stage: the algorithm {algorithm.name} has no step rewards to export")
        tokenizer = load_tokenizer(policy.model)
        examples = [as_example(one, rewards, tokenizer) for one, rewards in found]
    write_ppo_csv(to, examples)
    return len(examples)


def as_example(one: Trajectory, rewards: Sequence[float], tokenizer: Any) -> PpoExample:
    """A trajectory as StepTool's CSV has it: what was generated, decoded, and the reward of each step.

    Raises:
        DataError: a text-only policy wrote it.
    """

    def text(ids: Sequence[int]) -> str:
        return tokenizer.decode(ids, clean_up_tokenization_spaces=False)  # type: ignore[no-any-return]

    if not all(step.candidate.token_ids for step in one.steps):
        raise DataError(f"trajectory {one.id} holds no token ids: a text-only policy wrote it")
    return PpoExample(
        prompts=(text(one.prompt_ids), *(text(step.context_ids) for step in one.steps[:-1])),
        responses=tuple(text(step.candidate.token_ids) for step in one.steps),
        rewards=tuple(rewards),
    )
