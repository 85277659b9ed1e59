"""Train one stage of a run, say what it would cost, and export what it learned.

Safe to repeat: a finished stage stays as it is, an interrupted one resumes from its last checkpoint.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.run import LocalPolicyConfig, RunConfig
from ..config.training import StageConfig
from ..errors import ConfigError, DataError, RunError
from ..host.hooks import PluginHooks
from ..records import Trajectory
from ..runs.run_dir import RunFolder, existing_run, open_run
from .context import observed, reward_terms

if TYPE_CHECKING:
    from ..training.cost_model import Plan as TrainingPlan


def train(run: str | Path | RunConfig, stage: str) -> Path:
    """Train one stage of a run; returns the adapter's folder. Repeating it resumes from the last checkpoint.

    Args:
        run: its folder, or its config: a stage that reads StepTool's CSV needs no round, and so perhaps no folder yet.
    """
    folder = open_run(run) if isinstance(run, RunConfig) else existing_run(Path(run))
    section = _trainable(folder.config, stage)
    with folder.locked(), observed(folder) as calls:
        target = folder.stage(stage) / "adapter"
        if not (target / "adapter_config.json").is_file():
            from ..training.run_stage import train_stage

            data = stage_data(folder, section, calls)
            train_stage(folder, stage, section, data, reward_terms(folder.config.reward), calls)
    return target


def plan(run: str | Path | RunConfig, stage: str) -> TrainingPlan:
    """What training a stage will cost, before any weight is loaded. Nothing is written."""
    folder = RunFolder(run.run, run) if isinstance(run, RunConfig) else existing_run(Path(run))
    config = folder.config
    section = first = _trainable(config, stage)
    while first.init is not None:
        first = config.stages[first.init]
    from ..models.loading import context_length
    from ..training.cost_model import plan_stage
    from ..training.run_stage import stage_rows

    assert isinstance(config.policy, LocalPolicyConfig)
    data = [] if section.steptool is not None and section.steptool.csv is not None else _round_of(folder, section)
    rows = stage_rows(folder, section, data, reward_terms(config.reward), context_length(config.policy.model))
    return plan_stage(config.policy, section, first, rows)


def export(run: str | Path, stage: str, to: str | Path) -> Path:
    """Write a trained stage as a plain model folder, its adapter merged in; returns that folder.

    Args:
        to: a folder that does not exist yet.
    """
    folder = existing_run(Path(run))
    _trainable(folder.config, stage)
    from ..training.export import export_model

    assert isinstance(folder.config.policy, LocalPolicyConfig)
    return export_model(folder.config.policy, folder.adapter(stage), Path(to))


def stage_data(folder: RunFolder, stage: StageConfig, calls: PluginHooks) -> list[list[Trajectory]]:
    """What a stage is trained on: its round, by question, perhaps annotated; nothing where it reads a CSV."""
    if stage.steptool is None or (stage.steptool.csv is None and stage.steptool.annotator is None):
        return _round_of(folder, stage)
    if stage.steptool.csv is not None:
        return []
    from ..judging.hindsight import annotated

    return annotated(folder, stage.steptool, _round_of(folder, stage), calls)


def _round_of(folder: RunFolder, stage: StageConfig) -> list[list[Trajectory]]:
    """All trajectories of a stage's round, by question. Raises where the round is not complete."""
    store = folder.trajectories()
    expected = next(r.questions for r in folder.config.rollouts if r.name == stage.data)
    if (done := store.next_index(stage.data)) < expected:
        raise RunError(
            f"round {stage.data} has {done} of {expected} questions; finish it with `spark-framework generate` first"
        )
    grouped: dict[int, list[Trajectory]] = defaultdict(list)
    for trajectory in store.read(stage.data):
        for number, step in enumerate(trajectory.steps):
            if step.verdict is None and not step.is_answer:
                raise DataError(f"trajectory {trajectory.id}, step {number} has no verdict; it cannot be trained on")
        grouped[trajectory.index].append(trajectory)
    missing = set(range(expected)) - set(grouped) - set(store.lost.get(stage.data, ()))
    if missing:
        raise DataError(
            f"round {stage.data} lacks {len(missing)} questions (the first: {min(missing)}); generate it again"
        )
    if not grouped:
        raise DataError(f"round {stage.data} holds no trajectory")
    return [grouped[index] for index in sorted(grouped)]


def _trainable(config: RunConfig, name: str) -> StageConfig:
    """A stage of a config whose policy can be trained."""
    if name not in config.stages:
        raise ConfigError(f"stages: there is no stage {name}; stages: {', '.join(config.stages) or 'none'}")
    if not isinstance(config.policy, LocalPolicyConfig):
        raise ConfigError("policy.use: training needs `local` weights; a server's policy cannot be trained")
    return config.stages[name]
