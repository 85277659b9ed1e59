"""From a round's trajectories to a trained adapter: filter, reward, build rows, train, save."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..config.run import LocalPolicyConfig
from ..config.training import StageConfig
from ..contracts.components import RewardTerm
from ..errors import DataError
from ..host.hooks import Calls
from ..models.loading import load_tokenizer
from ..policy.factory import open_encoder, open_model
from ..records import Trajectory
from ..runs.run_dir import RunFolder
from ..util.launcher import check_launcher, is_first
from ..util.seeding import child_seed
from .data.rewards import refreshed_rewards, step_rewards
from .data.steptool_dataset import csv_rows, trajectory_rows
from .data.token_tree import Row, add_alternatives, build_row
from .distributed import first_says, keep_frozen, shard_base, wait_for_all
from .files import check_base, save_adapter
from .model.actor_critic import ActorCritic, with_actor
from .model.firsts import Firsts
from .model.reference_cache import base_digest, digest, row_digest
from .trainers.base import StageTrainer, training_arguments, whole_checkpoint
from .trainers.spark import WITH_CRITIC, Reward, SparkTrainer
from .trainers.steptool import StepTrainer
from .trainers.trackers import check_trackers

Terms = Sequence[tuple[float, RewardTerm]]


def train_stage(
    folder: RunFolder,
    name: str,
    stage: StageConfig,
    data: list[list[Trajectory]],
    terms: tuple[Terms, Terms],
    calls: Calls,
) -> Path:
    """Train a stage to its end (resuming from its last whole checkpoint) and return the adapter's folder.

    Args:
        data: the round's trajectories, by question; empty for StepTool's CSV.
        terms: diversity and process reward terms, with their weights.
    """
    config = folder.config
    assert isinstance(config.policy, LocalPolicyConfig)
    check_launcher()
    check_trackers(stage.report_to, f"stages.{name}.report_to")
    model = open_model(config.policy)
    seed = child_seed(config.seed, "stage", name) % 2**31
    init = None if stage.init is None else folder.adapter(stage.init)
    target = folder.stage(name)
    rows = stage_rows(folder, stage, data, terms, model.config.max_position_embeddings)
    names: tuple[str, ...] = ()
    labels = [0]  # StepTool's CSV is free text: no action head is read
    if stage.steptool is None or stage.steptool.csv is None:
        encoder = open_encoder(config, folder.actions())
        names = encoder.space.names
        labels = [encoder.openings[action].label for action in names]
    peft_model = with_actor(model, stage.lora, init, seed)
    base = base_digest(peft_model)
    if init is not None:
        check_base(init, base)
    # One seed for all stages: those that start alike share their critic's warm-up.
    critic_seed = child_seed(config.seed, "critic") % 2**31
    critic = stage.critic if stage.kind in WITH_CRITIC else None
    agent = ActorCritic(peft_model, labels, critic, critic_seed, stage.gradient_checkpointing)
    firsts = Firsts(agent, folder.reference_cache(), base)
    data_digest = [(row_digest(row), [d.reward for d in row.decisions]) for row in rows]
    identity = digest(firsts.policy, data_digest, stage.model_dump_json(), seed)
    target.mkdir(parents=True, exist_ok=True)
    arguments = training_arguments(
        stage, target, seed=seed, cpu=model.device.type == "cpu", quiet=not sys.stderr.isatty()
    )
    keep_frozen(peft_model)
    if stage.shard:
        shard_base(peft_model)
    trainer: StageTrainer
    if stage.kind == "steptool":
        trainer = StepTrainer(agent, rows, stage, calls, name, firsts, args=arguments, identity=identity)
    else:
        trainer = SparkTrainer(
            agent, rows, stage, calls, name, firsts, _reward_of(stage, names, terms), critic_seed, args=arguments,
            identity=identity,
        )  # fmt: skip
    checkpoint = first_says(lambda: whole_checkpoint(target / "checkpoints"))
    trainer.prepare()
    trainer.run(checkpoint)
    if is_first():
        save_adapter(peft_model, target, base)
    wait_for_all()
    return target / "adapter"


def stage_rows(
    folder: RunFolder, stage: StageConfig, data: list[list[Trajectory]], terms: tuple[Terms, Terms], max_tokens: int
) -> list[Row]:
    """All rows of a stage. No weights are needed.

    Args:
        max_tokens: the model's context length.
    """
    if stage.steptool is None:
        return build_rows(stage, data, terms, folder.config.threshold, max_tokens)
    if stage.steptool.csv is None:
        return trajectory_rows(stage, (t for question in data for t in question), max_tokens)
    return csv_rows(stage, load_tokenizer(folder.config.policy.model), max_tokens)


def _reward_of(stage: StageConfig, names: Sequence[str], terms: tuple[Terms, Terms]) -> Reward | None:
    """For spark: a row's rewards under the action distributions of the old policy."""
    if stage.kind != "spark":
        return None
    return lambda row, head: refreshed_rewards(
        row.trajectories, [dict(zip(names, probs, strict=True)) for probs in head], *terms, stage.rho
    )


def build_rows(
    stage: StageConfig, data: list[list[Trajectory]], terms: tuple[Terms, Terms], threshold: float, max_tokens: int
) -> list[Row]:
    """The rows of a stage, one for each question that is left after its filters."""
    imitates = stage.kind in ("sft", "rft")
    need_ok = imitates if stage.require_process_ok is None else stage.require_process_ok
    need_correct = imitates if stage.require_correct is None else stage.require_correct
    rho = stage.rho if stage.kind == "spark" else 0.0
    rows = []
    for question in data:
        if stage.kind == "sft" and stage.sft_branches == "chosen":
            question = [t for t in question if t.branch == 0]
        if (stage.require_a_success or stage.kind in ("replay", "rft")) and not any(t.success for t in question):
            continue
        kept = [
            t for t in question
            if (t.correct or not need_correct) and (all(map(t.process_ok, t.steps)) or not need_ok)
        ]  # fmt: skip
        if not kept:
            continue
        row = build_row(kept, {t.id: step_rewards(t, *terms, rho) for t in kept}, max_tokens=max_tokens)
        if stage.kind == "sft" and stage.sft_branches == "viable" and not kept[0].steps[0].is_answer:
            add_alternatives(row, kept[0].steps[0], kept[0], threshold)
        rows.append(row)
    if not rows:
        raise DataError(
            f"stage {stage.kind}: no trajectory of round {stage.data} passes its filters; loosen require_* keys"
        )
    return rows
