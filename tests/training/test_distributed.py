"""Two processes on one stage give what one process gives."""

from __future__ import annotations

import json
import os
import shutil
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
PPO = {**STAGE, "data": "demonstrations", "kind": "ppo", "batch_size": 5, "epochs": 2, "kl_target": 1e-3,
       "pack_tokens": 1}  # fmt: skip
"""Steps of 5 rows and of 1: never even."""
STEPTOOL = {**STAGE, "data": "demonstrations", "kind": "steptool", "batch_size": 5, "pack_tokens": 1,
            "steptool": {"passes": 2, "mini_batch": 3}}  # fmt: skip
"""Mini-batches of 3 rows and of 2."""
DRIVER = """
import json
import os
import signal
import sys

import torch.distributed

from spark_framework import train
from spark_framework.api import hookimpl
from spark_framework.cli import main
from spark_framework.host.manager import Host, using_host


class Killer:
    @hookimpl
    def spark_update_finished(self, stage, metrics):
        if metrics["step"] == int(os.environ["KILL_AT"]):
            os.kill(os.getpid(), signal.SIGKILL)


for run, stage in json.loads(sys.argv[1]):
    if os.environ["KILL_AT"] != "0":
        host = Host()
        host.register(Killer())
        with using_host(host):
            train(run, stage)
    code = main(["train", run, "--stage", stage])
    assert torch.distributed.get_world_size() == 2
    if code:
        sys.exit(code)
"""


def launch(folder: Path, *trained: tuple[Path, str], kill_at: int = 0) -> subprocess.CompletedProcess[str]:
    """Train stages of runs with `accelerate launch` and two processes, which talk through gloo where there is no GPU.

    Args:
        kill_at: the first process is killed at that update; then the launcher ends the other.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    driver = folder / "driver.py"
    driver.write_text(DRIVER)
    options = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no",
               "--dynamo_backend", "no", "--main_process_port", port]  # fmt: skip
    launcher = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", *options, str(driver)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "KILL_AT": str(kill_at)}
    command = [*launcher, json.dumps([(str(run), stage) for run, stage in trained])]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def losses(run: Path, stage: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "train" / stage / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def adapter(run: Path, stage: str) -> dict[str, torch.Tensor]:
    return load_file(run / "train" / stage / "adapter" / "adapter_model.safetensors")


STAGES = {
    "ppo": PPO,
    "frozen": {**PPO, "pack_tokens": None, "critic": {"kind": "frozen_features"}, "old_policy": "refresh"},
    "st": STEPTOOL,
}


@pytest.fixture(scope="module")
def alone(demonstrations: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    run = demonstrations(tmp_path_factory.mktemp("alone") / "run", stages=STAGES, rollouts=ROUND)
    for stage in STAGES:
        train(run, stage)
    return run


@pytest.fixture(scope="module")
def pair(demonstrations: Runs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same run by two processes, plain and with the frozen layers divided. Of another run, `ppo` alone: killed at
    the third update of four, with a checkpoint of the second (`left`, a copy of then), and told to go on (`killed`).
    """
    folder = tmp_path_factory.mktemp("pair")
    divided = {name: {**stage, "shard": True} for name, stage in STAGES.items()}
    runs = {
        "plain": demonstrations(folder / "plain", stages=STAGES, rollouts=ROUND),
        "divided": demonstrations(folder / "divided", stages=divided, rollouts=ROUND),
    }
    killed = demonstrations(folder / "killed", stages=STAGES, rollouts=ROUND)
    assert launch(folder, (killed, "ppo"), kill_at=3).returncode != 0
    left = Path(shutil.copytree(killed, folder / "left"))
    trained = [*((run, stage) for run in runs.values() for stage in STAGES), (killed, "ppo")]
    done = launch(folder, *trained)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(run / "train" / stage / "adapter") for run, stage in trained]  # each once
    return {**runs, "killed": killed, "left": left}


@pytest.mark.parametrize("how", ["plain", "divided"])
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_give_the_losses_of_one(alone: Path, pair: dict[str, Path], how: str, stage: str) -> None:
    run = pair[how]
    assert len(losses(run, stage)) == len(losses(alone, stage)) > 0
    names = ("loss", "kl", "beta", "kl_coef", "kl_k2", "approx_kl", "policy_loss", "value_loss", "grad_norm", "entropy",
             "tool_entropy", "explained_variance", "clip_fraction", "ratio", "advantage/answer")  # fmt: skip
    for ours, theirs in zip(losses(run, stage), losses(alone, stage), strict=True):
        assert ours.keys() == theirs.keys()
        for name in [name for name in names if name in theirs]:
            assert ours[name] == pytest.approx(theirs[name], abs=1e-5, rel=1e-4), name
    found, expected = adapter(run, stage), adapter(alone, stage)
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-4) for name in expected)


def test_two_killed_processes_go_on_as_if_nothing_had_been(pair: dict[str, Path]) -> None:
    """What one process left another can take."""
    left, killed = pair["left"], pair["killed"]
    assert [path.name for path in (left / "train/ppo/checkpoints").iterdir()] == ["checkpoint-2"]
    expected = adapter(pair["plain"], "ppo")
    assert all(torch.equal(found, expected[name]) for name, found in adapter(killed, "ppo").items())
    assert [line["step"] for line in losses(killed, "ppo")] == [1, 2, 3, 3, 4]
    train(left, "ppo")
    assert all(torch.allclose(found, expected[name], atol=1e-4) for name, found in adapter(left, "ppo").items())


def test_one_process_shares_no_rows(demonstrations: Runs, tmp_path: Path) -> None:
    run = demonstrations(tmp_path / "run", stages={"ppo": {**PPO, "shard": True}}, rollouts=ROUND)
    with pytest.raises(ConfigError, match="there is only one process"):
        train(run, "ppo")


def test_weights_in_4_bits_are_not_divided(tiny: Path, tmp_path: Path) -> None:
    changes = {"stages": {"ppo": {**PPO, "shard": True}}, "rollouts": ROUND}
    data = settings(tiny, tmp_path, **changes)
    with pytest.raises(ConfigError, match="cannot be sharded"):
        RunConfig.model_validate({**data, "policy": {**data["policy"], "quantization": "4bit"}})


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("ACCELERATE_USE_FSDP", "true", "its FSDP plugin is not supported, .* set the stage's key shard"),
        ("ACCELERATE_USE_DEEPSPEED", "true", "its DEEPSPEED plugin is not supported"),
        ("ACCELERATE_MIXED_PRECISION", "bf16", "policy.dtype sets the precision; set mixed_precision to no"),
    ],
)
def test_what_the_launcher_was_told_is_heeded_or_refused(
    demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, text: str
) -> None:
    run = demonstrations(tmp_path / "run", stages={"ppo": PPO}, rollouts=ROUND)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=text):
        train(run, "ppo")
    assert not (run / "train").exists()
