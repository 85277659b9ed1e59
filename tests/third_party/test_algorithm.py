"""Somebody else's algorithm, from idea to adapter: the core's wheel, nothing of the checkout, nothing downloaded."""

from __future__ import annotations

import json

from spark_framework.testing.project import new_project
from tests.third_party.environments import Environment, build

STAGE = {"data": "demonstrations", "baseline": 0.5, "batch_size": 2, "lora": {"r": 2, "alpha": 4}}


def test_an_algorithm_is_written_built_installed_trained_with_and_uninstalled(
    environment: Environment, tiny_policy, tmp_path
):
    environment.command("plugins", "new", "algorithm", "reinforce", "--to", tmp_path)
    environment.install(*build([tmp_path / "spark-algorithm-reinforce"], tmp_path / "wheels"))
    project = new_project(tmp_path / "project", {"policy": tiny_policy, "stages": {"reinforce": STAGE}})
    environment.command("generate", project.config)
    train = ("train", project.run_folder, "--stage", "reinforce")
    environment.command(*train)

    stage = project.run_folder / "train" / "reinforce"
    assert (stage / "adapter" / "adapter_model.safetensors").is_file()
    log = [json.loads(line) for line in (stage / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert any("loss" in line and "advantage/calculator" in line for line in log)
    manifest = json.loads((project.run_folder / "run.json").read_text(encoding="utf-8"))
    entry = next(one for one in manifest["plugins"] if one["kind"] == "algorithm")
    assert (entry["name"], entry["distribution"], entry["version"]) == (
        "reinforce", "spark-algorithm-reinforce", "0.1.0"
    )  # fmt: skip

    environment.pip("uninstall", "--yes", "spark-algorithm-reinforce")
    done = environment.command(*train, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no algorithm 'reinforce' (installed: " in done.stderr
    assert done.stderr.count("\n") == 1
