"""A whole run in small: two families of practice questions, two tools, the tiny model. Seconds, not minutes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from spark_framework import RunConfig, generate
from spark_framework.runs.run_dir import open_run

STAGE = {"lr": 1e-3, "batch_size": 2, "lora": {"r": 2, "alpha": 4}, "save_steps": 2}


def settings(tiny: Path, run: Path, **changes: Any) -> dict[str, Any]:
    """A config as it would stand in a file: demonstrations, a round of the model's own, one stage of each kind."""
    learn = {**STAGE, "init": "sft", "data": "demonstrations"}
    return {
        "run": str(run),
        "policy": {
            "model": str(tiny), "dtype": "float32", "device": "cpu", "prompt": "short", "max_new_tokens": 6,
            "batch_size": 4, "threads": 1,
        },
        "questions": {"use": "practice", "families": ["arithmetic", "molar_mass"]},
        "tools": ["calculator", "science"],
        "steps": 2,
        "rollouts": [
            {"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3,
             "branch_among": "policy", "wave_size": 2},
            {"name": "explore", "adapter": "sft", "questions": 4, "branches": 2, "branch_among": "policy",
             "wave_size": 2},
        ],
        "stages": {
            "sft": {**STAGE, "data": "demonstrations", "epochs": 3},
            "replay": learn,
            "rft": learn,
            "ppo": {**learn, "data": "explore"},
            "spark": {**learn, "critic": {"kind": "frozen_features"}, "old_policy": "refresh", "replay": 0.5},
        },
        "evaluation": {"questions": 4, "batch_size": 4},
        **changes,
    }  # fmt: skip


def config(tiny: Path, run: Path, **changes: Any) -> RunConfig:
    return RunConfig.model_validate(settings(tiny, run, **changes))


def config_file(folder: Path, data: dict[str, Any]) -> Path:
    """JSON is YAML."""
    path = folder / "config.yaml"
    path.write_text(json.dumps(data))
    return path


def stored_run(tiny: Path, cache: Path, run: Path, **changes: Any) -> Path:
    """A run whose demonstrations are done. They are rolled out once and copied."""
    if not (cache / "trajectories.jsonl").exists():
        generate(config(tiny, cache), "demonstrations")
    open_run(config(tiny, run, **changes))
    for name in ("actions.json", "trajectories.jsonl", "trajectories.commits"):
        shutil.copy(cache / name, run / name)
    return run
