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

from spark_framework import train
from tests.runs import STAGE

Runs = Callable[..., Path]
ROUND = [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3, "branch_among": "policy",
          "wave_size": 2}]  # fmt: skip
DATA = {**STAGE, "data": "demonstrations", "batch_size": 5, "epochs": 2}  # 5 rows, then 1: never even


def launch(run: Path, stage: str) -> subprocess.CompletedProcess[str]:
    """`accelerate launch` with two processes on this machine's CPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--config_file"]
    config = run.parent / "accelerate.json"
    config.write_text(json.dumps({"distributed_type": "MULTI_CPU", "use_cpu": True, "num_processes": 2}))
    command = [*launcher, str(config), "--main_process_port", port, "-m", "spark_framework", "train", str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, "--stage", stage], env=environment, capture_output=True, text=True, timeout=120)


def losses(run: Path, stage: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "train" / stage / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


@pytest.mark.parametrize("shard", [False, True])
def test_two_processes_give_the_losses_of_one(demonstrations: Runs, tmp_path: Path, shard: bool) -> None:
    stage = {**DATA, "kind": "ppo", "kl_target": 1e-3}
    one = demonstrations(tmp_path / "one", stages={"ppo": stage}, rollouts=ROUND)
    two = demonstrations(tmp_path / "two", stages={"ppo": {**stage, "shard": shard}}, rollouts=ROUND)
    expected = load_file(train(one, "ppo") / "adapter_model.safetensors")
    done = launch(two, "ppo")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(two / "train" / "ppo" / "adapter")  # said once
    assert len(losses(two, "ppo")) == len(losses(one, "ppo")) == 4
    for ours, theirs in zip(losses(two, "ppo"), losses(one, "ppo"), strict=True):
        for name in ("loss", "kl", "beta", "value_loss", "grad_norm", "tool_entropy", "explained_variance"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-5, rel=1e-4), name
    found = load_file(two / "train" / "ppo" / "adapter" / "adapter_model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in expected)
