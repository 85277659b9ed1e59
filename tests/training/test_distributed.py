"""Two processes on one stage give what one process gives."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spark_framework import RunConfig, train
from spark_framework.errors import ConfigError
from tests.runs import STAGE, settings

Runs = Callable[..., Path]
ROUND = [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3, "branch_among": "policy",
          "wave_size": 2}]  # fmt: skip
STAGE_OF_TWO = {**STAGE, "data": "demonstrations", "kind": "ppo", "batch_size": 5, "epochs": 2, "kl_target": 1e-3}
"""Steps of 5 rows and of 1: never even."""


DRIVER = """
import sys
import torch.distributed
from spark_framework.cli import main

code = main(sys.argv[1:])
assert torch.distributed.get_world_size() == 2
sys.exit(code)
"""


def launch(run: Path, stage: str) -> subprocess.CompletedProcess[str]:
    """`accelerate launch` with two processes, which talk through gloo where there is no GPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    driver = run.parent / "driver.py"
    driver.write_text(DRIVER)
    options = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no",
               "--dynamo_backend", "no", "--main_process_port", port]  # fmt: skip
    launcher = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", *options, str(driver)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [*launcher, "train", str(run), "--stage", stage]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def losses(run: Path, stage: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "train" / stage / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def alone(demonstrations: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    run = demonstrations(tmp_path_factory.mktemp("alone") / "run", stages={"ppo": STAGE_OF_TWO}, rollouts=ROUND)
    train(run, "ppo")
    return run


@pytest.mark.parametrize("shard", [False, True])
def test_two_processes_give_the_losses_of_one(alone: Path, demonstrations: Runs, tmp_path: Path, shard: bool) -> None:
    run = demonstrations(tmp_path / "run", stages={"ppo": {**STAGE_OF_TWO, "shard": shard}}, rollouts=ROUND)
    done = launch(run, "ppo")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(run / "train" / "ppo" / "adapter")  # said once
    assert len(losses(run, "ppo")) == len(losses(alone, "ppo")) == 4
    for ours, theirs in zip(losses(run, "ppo"), losses(alone, "ppo"), strict=True):
        for name in ("loss", "kl", "beta", "value_loss", "grad_norm", "tool_entropy", "explained_variance"):
            assert ours.get(name) == pytest.approx(theirs.get(name), abs=1e-5, rel=1e-4), name
    found, expected = (load_file(path / "train/ppo/adapter/adapter_model.safetensors") for path in (run, alone))
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in expected)


def test_one_process_has_nobody_to_share_with(demonstrations: Runs, tmp_path: Path) -> None:
    run = demonstrations(tmp_path / "run", stages={"ppo": {**STAGE_OF_TWO, "shard": True}}, rollouts=ROUND)
    with pytest.raises(ConfigError, match="there is one process only"):
        train(run, "ppo")


def test_weights_in_4_bits_are_not_divided(tiny: Path, tmp_path: Path) -> None:
    changes = {"stages": {"ppo": {**STAGE_OF_TWO, "shard": True}}, "rollouts": ROUND}
    data = settings(tiny, tmp_path, **changes)
    with pytest.raises(ConfigError, match="cannot be divided"):
        RunConfig.model_validate({**data, "policy": {**data["policy"], "quantization": "4bit"}})
