"""Trains one stage of a run, estimates its cost, and exports its model.

Safe to repeat: a finished stage is not trained again, an interrupted one resumes from its last checkpoint.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.policy import LocalPolicyConfig
from ..config.run import RunConfig
from ..contracts.algorithm import Algorithm
from ..errors import ConfigError, DataError, RunError
from ..host.component_spec import ComponentSpec
from ..host.hooks import PluginHooks
from ..records import Trajectory
from ..runs.run_dir import RunFolder, existing_run, open_run
from ..runs.session import observed
from .context import reward_terms

if TYPE_CHECKING:
    from ..training.cost_model import CostEstimate
    from ..training.data.dataset import StageData


def train(run: str | Path | RunConfig, stage: str) -> Path:
    """Train one stage of a run; returns the adapter's folder. Repeating it resumes from the last checkpoint.

    Args:
        run: its folder, or its config: a stage that reads StepTool's CSV needs no round, so there may be no folder yet.

    Raises:
        UserError: the stage does not exist, its round is not complete, or the policy cannot be trained.
    """
    folder = open_run(run) if isinstance(run, RunConfig) else existing_run(Path(run))
    algorithm = _trainable(folder.config, stage)
    with folder.locked(), observed(folder) as calls:
        folder.questions()  # raises if they have changed
        if not folder.is_trained(stage):
            from ..training.run_stage import train_stage

            train_stage(folder, algorithm, stage_data(folder, stage, algorithm, calls), calls)
    return folder.adapter_folder(stage)


def plan(run: str | Path | RunConfig, stage: str) -> CostEstimate:
    """Estimate the cost of training a stage. No weights are loaded and nothing is written."""
    folder = RunFolder(run.run, run) if isinstance(run, RunConfig) else existing_run(Path(run))
    config = folder.config
    algorithm = _trainable(config, stage)
    first = algorithm.config
    while first.init is not None:
        first = config.stage_config(first.init)
    from ..training.cost_model import estimate_stage
    from ..training.run_stage import stage_rows

    assert isinstance(config.policy, LocalPolicyConfig)
    rows = stage_rows(algorithm, stage_data(folder, stage, algorithm, calls=None))
    return estimate_stage(config.policy, algorithm, first.lora, rows)


def export(run: str | Path, stage: str, to: str | Path) -> Path:
    """Write a trained stage as a plain model folder, its adapter merged in; returns that folder.

    Args:
        to: a folder that does not exist yet.

    Raises:
        RunError: the stage has not been trained, or the folder exists.
    """
    folder = existing_run(Path(run))
    _trainable(folder.config, stage)
    from ..training.export import export_model

    assert isinstance(folder.config.policy, LocalPolicyConfig)
    return export_model(folder.config.policy, folder.adapter(stage), Path(to))


def stage_data(folder: RunFolder, name: str, algorithm: Algorithm, calls: PluginHooks | None) -> StageData:
    """The data that a stage learns from: its round, by question, annotated if its algorithm has an annotator.

    Args:
        calls: None leaves out the annotations, which cost money; only an estimate works without them.
    """
    from ..models.loading import context_length, load_tokenizer
    from ..training.data.dataset import StageData

    config = folder.config
    questions = _round_of(folder, algorithm.config.data) if algorithm.reads_round else []
    if calls is not None and algorithm.annotator is not None:
        judge, repeats = algorithm.annotator
        questions = _annotated(folder, questions, judge, repeats, calls)
    diversity, process = reward_terms(config.reward)
    model = config.policy.model
    return StageData(
        stage=name, questions=questions, diversity=diversity, process=process, threshold=config.threshold,
        max_tokens=context_length(model), tokenizer=lambda: load_tokenizer(model),
    )  # fmt: skip


def _annotated(
    folder: RunFolder, questions: list[list[Trajectory]], judge: ComponentSpec, repeats: int, calls: PluginHooks
) -> list[list[Trajectory]]:
    """A round with a judge's annotations. Replies are stored with the run."""
    from ..judging.hindsight import annotated_by

    kept = annotated_by(
        judge, [one for question in questions for one in question], repeats, calls=calls, store=folder.judgements(),
        judging=folder.config.judging, run=folder.ledger_name,
    )  # fmt: skip
    grouped: dict[int, list[Trajectory]] = defaultdict(list)
    for trajectory in kept:
        grouped[trajectory.index].append(trajectory)
    return list(grouped.values())


def _round_of(folder: RunFolder, round_name: str) -> list[list[Trajectory]]:
    """All trajectories of a round, by question. Raises `UserError` if the round is not complete."""
    store = folder.trajectories()
    expected = next(r.questions for r in folder.config.rollouts if r.name == round_name)
    if (done := store.next_index(round_name)) < expected:
        raise RunError(
            f"round {round_name} has {done} of {expected} questions; finish it with `spark-framework generate` first"
        )
    grouped: dict[int, list[Trajectory]] = defaultdict(list)
    for trajectory in store.read(round_name):
        for number, step in enumerate(trajectory.steps):
            if step.verdict is None and not step.is_answer:
                raise DataError(f"trajectory {trajectory.id}, step {number} has no verdict; it cannot be trained on")
        grouped[trajectory.index].append(trajectory)
    missing = set(range(expected)) - set(grouped) - set(store.dropped.get(round_name, ()))
    if missing:
        raise DataError(
            f"round {round_name} lacks {len(missing)} questions (the first: {min(missing)}); generate it again"
        )
    if not grouped:
        raise DataError(f"round {round_name} holds no trajectory")
    return [grouped[index] for index in sorted(grouped)]


def _trainable(config: RunConfig, name: str) -> Algorithm:
    """The algorithm of a stage whose policy can be trained."""
    if name not in config.stages:
        raise ConfigError(f"stages: there is no stage {name}; stages: {', '.join(config.stages) or 'none'}")
    if not isinstance(config.policy, LocalPolicyConfig):
        raise ConfigError("policy.use: training needs a `local` policy; a server's policy cannot be trained")
    algorithm = config.stages[name].build()
    assert isinstance(algorithm, Algorithm)  # the config has checked the kind
    return algorithm
