"""Trains a stage: makes its rows, loads the model, trains, and saves the adapter."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..config.policy import LocalPolicyConfig
from ..contracts.algorithm import Algorithm
from ..errors import ConfigError
from ..host.hooks import PluginHooks
from ..policy.factory import open_model, open_renderer
from ..runs.run_dir import RunFolder
from ..util.collectives import barrier, broadcast_from_first
from ..util.launcher import check_launcher, is_first
from ..util.seeding import child_seed
from .data.dataset import StageData
from .data.token_tree import TokenTree
from .distributed import ddp_ignore_frozen, shard_base
from .model.actor_critic import ActorCritic, add_actor_adapter
from .model.first_policy import FirstPolicy
from .model.reference_cache import base_digest, parts_digest, row_digest
from .trainers.base import StageSetup, training_arguments
from .trainers.checkpoints import check_base, latest_complete_checkpoint, save_adapter
from .trainers.trackers import check_trackers


def train_stage(folder: RunFolder, algorithm: Algorithm, data: StageData, calls: PluginHooks) -> Path:
    """Train a stage to its end, from its last complete checkpoint if there is one; returns the adapter's folder.

    Raises:
        ConfigError: the stage, the launcher's options or a tracker are not valid.
        DataError: there is nothing to learn from.
        RunError: `init` is not trained, a checkpoint is of other data or settings, or files cannot be written.
    """
    config, stage, name = folder.config, algorithm.config, data.stage
    assert isinstance(config.policy, LocalPolicyConfig)
    check_launcher()
    check_trackers(stage.report_to, f"stages.{name}.report_to")
    rows = stage_rows(algorithm, data)
    model = open_model(config.policy)
    seed = child_seed(config.seed, "stage", name) % 2**31
    init = None if stage.init is None else folder.adapter(stage.init)
    target = folder.stage(name)
    actions: tuple[str, ...] = ()
    labels = [0]  # rows of free text have no action head
    if algorithm.reads_round:
        renderer = open_renderer(config.policy, folder.actions())
        actions = renderer.space.names
        labels = [renderer.prefixes[action].label for action in actions]
    peft_model = add_actor_adapter(model, stage.lora, init, seed)
    base = base_digest(peft_model)
    if init is not None:
        check_base(init, base)
    # One seed for all stages: stages that start from the same policy share their critic's warm-up.
    critic_seed = child_seed(config.seed, "critic") % 2**31
    agent = ActorCritic(peft_model, labels, algorithm.critic, critic_seed, stage.gradient_checkpointing)
    setup = StageSetup(
        name=name, agent=agent, rows=rows, data=data, actions=actions, critic_seed=critic_seed, calls=calls,
        first_policy=FirstPolicy(agent, folder.reference_cache(), base),
    )  # fmt: skip
    data_digest = [(row_digest(row), [d.reward for d in row.decisions]) for row in rows]
    identity = parts_digest(setup.first_policy.policy, data_digest, algorithm.fingerprint(), seed)
    target.mkdir(parents=True, exist_ok=True)
    trainer_class = algorithm.trainer
    arguments = training_arguments(
        trainer_class, stage, target, seed=seed, cpu=model.device.type == "cpu", quiet=not sys.stderr.isatty()
    )
    ddp_ignore_frozen(peft_model)
    if stage.shard:
        shard_base(peft_model)
    trainer = trainer_class(setup, algorithm, args=arguments, identity=identity)
    checkpoint = broadcast_from_first(lambda: latest_complete_checkpoint(target / "checkpoints"))
    trainer.prepare()
    trainer.run(checkpoint)
    if is_first():
        save_adapter(peft_model, target, base)
    barrier()
    return target / "adapter"


def stage_rows(algorithm: Algorithm, data: StageData) -> Sequence[TokenTree]:
    """All rows of a stage, from its algorithm. No weights are needed.

    Raises:
        DataError: there is nothing to learn from.
        ConfigError: the algorithm did not return rows with decisions.
    """
    rows = algorithm.rows(data)
    if not rows or not all(isinstance(row, TokenTree) and row.decisions for row in rows):
        raise ConfigError(
            f"stages.{data.stage}: algorithm {algorithm.name} returned no rows, or rows without decisions; its "
            "`rows` has to return token trees"
        )
    return rows
