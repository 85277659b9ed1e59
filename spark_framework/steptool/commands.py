"""What `spark-framework steptool` does with the trajectories of a run, or of a folder of imported ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..config.judging import JudgingSection
from ..config.load import build_config
from ..config.run import LocalPolicyConfig
from ..errors import ConfigError, RunError
from ..host.component_spec import JudgeChoice
from ..host.manager import current_host
from ..judging.hindsight import annotated_by
from ..records import Trajectory
from ..runs.run_dir import RunFolder, existing_run
from ..training.data.ppo_csv import write_ppo_csv
from .collection import Collection, export_annotations, export_csv, export_predictions
from .metrics import Needed, figures

Sort = Literal["csv", "predictions", "annotations"]


@dataclass(frozen=True)
class Judging:
    """A judge that annotates finished trajectories, and how often it is asked."""

    judge: str
    repeats: int = 3
    overrides: Sequence[str] = ()
    """`judge.KEY=VALUE` and `judging.KEY=VALUE` each."""


def evaluate_trajectories(
    where: str | Path, *, stage: str | None = None, round_name: str | None = None, judging: Judging | None = None,
    needed: Needed | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Pass rate, success rate of calls and recall of needed tools (`evaluating.figures`).

    Args:
        where: a run's folder, or one of imported trajectories.
        stage: of a run: its evaluation.
        round_name: a round; of imported trajectories it may be left out where there is only one.
        judging: who says what is solved; None takes the stored annotations. Answers that were never given are
            unsolved without being asked about. `not_judged` counts the trajectories that the judge failed on, which are
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
    if (folder / "run.json").is_file():
        if stage is None or sort != "csv":
            raise ConfigError(
                "a run's trajectories are written as a CSV, with the rewards of a stage: name one with --stage"
            )
        return _export_stage(existing_run(folder), stage, to)
    trajectories = Collection(folder).read(round_name)
    if judging is not None:
        trajectories = _annotated(folder, trajectories, judging)
    notes = Collection(folder).notes(trajectories[0].round)
    if sort == "predictions":
        return export_predictions(to, trajectories, notes)
    if sort == "annotations":
        return export_annotations(to, trajectories, notes)
    return export_csv(to, trajectories, notes, style, alpha)


def _stored(where: Path, stage: str | None, round_name: str | None) -> list[Trajectory]:
    if not (where / "run.json").is_file():
        if stage is not None:
            raise ConfigError(f"--stage: {where} is no run; imported trajectories have rounds")
        return Collection(where).read(round_name)
    folder = existing_run(where)
    if (stage is None) == (round_name is None):
        raise ConfigError("name either a --stage, to read its evaluation, or a --round of the run")
    if stage is not None:
        found = list(folder.evaluation(stage, folder.config.evaluation.temperatures[0]).read())
        mend = f"spark-framework evaluate {where} --stage {stage}"
    else:
        found = list(folder.trajectories().read(round_name))
        mend = f"spark-framework generate CONFIG --round {round_name}"
    if not found:
        raise RunError(f"{where} has no trajectories of {stage or round_name}; make them with `{mend}`")
    return found


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    judge: JudgeChoice
    judging: JudgingSection


def _annotated(where: Path, trajectories: Sequence[Trajectory], asked: Judging) -> list[Trajectory]:
    """The trajectories with the judge's marks, in their order; those without an answer as they are."""
    run = existing_run(where) if (where / "run.json").is_file() else None
    section = (run.config.judging if run else JudgingSection()).model_dump(mode="json")
    settings = build_config({"judge": asked.judge, "judging": section}, _Asked, asked.overrides, "steptool")
    finished = [one for one in trajectories if one.steps[-1].is_answer]
    kept = annotated_by(
        settings.judge, finished, asked.repeats, calls=current_host().calls,
        store=settings.judging.file or where / "judge.sqlite", judging=settings.judging,
        run=run.ledger_name if run else str(where),
    )  # fmt: skip
    by_id = {one.id: one for one in kept}
    return [by_id.get(one.id, one) for one in trajectories if one.id in by_id or not one.steps[-1].is_answer]


def _export_stage(folder: RunFolder, name: str, to: Path) -> int:
    from ..models.loading import load_tokenizer
    from ..pipeline.generate import observed, stage_data
    from ..training.data.steptool_dataset import trajectory_examples

    stage = folder.config.stages.get(name)
    if stage is None or stage.steptool is None or stage.steptool.csv is not None:
        raise ConfigError(f"--stage: {name} is no stage `steptool` of this run that learns from a round")
    policy = folder.config.policy
    if not isinstance(policy, LocalPolicyConfig):
        raise ConfigError("policy.use: a server's policy has no tokens to be written")
    with folder.locked(), observed(folder) as calls:
        data: Iterable[Trajectory] = [one for question in stage_data(folder, stage, calls) for one in question]
        examples = trajectory_examples(stage, data, load_tokenizer(policy.model))
    write_ppo_csv(to, examples)
    return len(examples)
