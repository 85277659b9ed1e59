"""Options that a stage passes on to transformers and PEFT. Unknown options, and options that training would ignore, are
refused when the config is read. The libraries are imported only if such options are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

_OWN_TRAINING_ARGS = {
    "use batch_size; pack_tokens bounds the memory of a pass": (
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "auto_find_batch_size",
    ),
    "use epochs": ("num_train_epochs", "max_steps"),
    "use lr": ("learning_rate",),
    "use schedule": ("lr_scheduler_type",),
    "use the stage's own key of this name": (
        "warmup_ratio",
        "max_grad_norm",
        "gradient_checkpointing",
        "save_steps",
        "report_to",
    ),
    "use warmup_ratio": ("warmup_steps",),
    "use gradient_checkpointing": (
        "gradient_checkpointing_kwargs",
        "activation_checkpointing",
        "activation_checkpointing_kwargs",
    ),
    "use shard": ("fsdp", "fsdp_config", "deepspeed", "parallelism_config", "accelerator_config"),
    "use save_steps": ("save_strategy",),
    "the newest checkpoint is kept, and it holds all that a resumed run needs": (
        "save_total_limit",
        "save_only_model",
        "save_on_each_node",
        "ignore_data_skip",
        "enable_jit_checkpoint",
        "restore_callback_states_from_checkpoint",
    ),
    "use the run's seed": ("seed", "data_seed", "full_determinism"),
    "use policy.dtype": ("bf16", "fp16", "bf16_full_eval", "fp16_full_eval"),
    "use policy.device": ("use_cpu",),
    "the run's folder decides it": ("output_dir", "run_name"),
    "the terminal decides it": ("disable_tqdm",),
    "the algorithm defines the loss": (
        "label_smoothing_factor",
        "label_names",
        "neftune_noise_alpha",
        "average_tokens_across_devices",
    ),
    "rows are read as token trees": (
        "use_liger_kernel",
        "liger_kernel_config",
        "remove_unused_columns",
        "length_column_name",
        "use_cache",
        "train_sampling_strategy",
        "group_by_length",
        "include_num_input_tokens_seen",
    ),
    "the optimiser is AdamW": ("optim", "optim_args", "optim_target_modules"),
    "`accelerate launch` decides it": ("ddp_backend", "ddp_timeout", "local_rank"),
    "the same command resumes": ("resume_from_checkpoint", "overwrite_output_dir"),
    "use the command of that name": ("do_train", "do_eval", "do_predict"),
    "stages are not evaluated while they train": (
        "per_device_eval_batch_size",
        "load_best_model_at_end",
        "metric_for_best_model",
        "greater_is_better",
        "prediction_loss_only",
        "batch_eval_metrics",
        "include_for_metrics",
    ),
    "export the stage and upload it": ("push_to_hub",),
}
OWN_TRAINING_ARGS = {name: reason for reason, names in _OWN_TRAINING_ARGS.items() for name in names}
"""Fields of `TrainingArguments` that a stage sets itself or does not honour, and what to use instead."""

_PREFIXES = {
    "eval_": "stages are not evaluated while they train",
    "hub_": "export the stage and upload it",
    "dataloader_": "rows are in memory",
    "torch_compile": "rows are read as token trees",
}

OWN_LORA = {
    "peft_type": "the adapter is LoRA",
    "task_type": "the policy is a causal language model",
    "base_model_name_or_path": "use policy.model",
    "inference_mode": "the adapter is trained",
    "lora_dropout": "ratios compare the same function before and after an update, so nothing is dropped",
    "bias": "the base stays frozen",
    "modules_to_save": "the base stays frozen",
    "trainable_token_indices": "the base stays frozen",
    "layers_pattern": "layers are counted from the top: use layers",
}
"""Fields of PEFT's `LoraConfig` that a stage sets itself or does not honour, and why."""


def check_training_args(given: Mapping[str, Any]) -> None:
    """Raises `ValueError` for the first field that transformers does not know, or that a stage sets itself."""
    if not given:
        return
    from transformers import TrainingArguments

    own = OWN_TRAINING_ARGS | {k: why for k in given for start, why in _PREFIXES.items() if k.startswith(start)}
    _check(given, own, [field.name for field in fields(TrainingArguments)], "TrainingArguments")


def check_lora(given: Mapping[str, Any], *, has_layers: bool) -> None:
    """Raises `ValueError` for the first field that PEFT does not know, or that a stage sets itself."""
    if not given:
        return
    from peft import LoraConfig

    if has_layers and "layers_to_transform" in given:
        raise ValueError("layers and layers_to_transform both say which layers are trained; remove one of them")
    _check(given, OWN_LORA, [field.name for field in fields(LoraConfig)], "PEFT's LoraConfig")


def _check(given: Iterable[str], own: Mapping[str, str], known: list[str], owner: str) -> None:
    for key in given:
        if key in own:
            raise ValueError(f"{key} cannot be set here: {own[key]}")
        if key not in known:
            close = get_close_matches(key, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{key} is not a field of {owner}{hint}")
