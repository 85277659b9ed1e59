"""Defaults have no privilege: any of them works the same as somebody else's distribution."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from spark_framework.host.discovery import InstalledPlugins
from spark_framework.scaffold import new_plugin
from spark_framework.testing.project import new_project
from tests.third_party.environments import ROOT, Environment, build

DEFAULTS = {
    "algorithm": ("ppo", "spark_plugin_algorithms"),
    "tool": ("calculator", "spark_plugin_tools"),
    "judge": ("verifier", "spark_plugin_judges"),
    "selector": ("rarity_first", "spark_plugin_selectors"),
    "reward": ("process_penalty", "spark_plugin_rewards"),
}
"""One of each kind, and the folder below `plugins/` that it is in."""
STAGE = {"data": "demonstrations", "batch_size": 2, "lora": {"r": 2, "alpha": 4}}


def extracted(kind: str, to: Path) -> Path:
    """The folder of a default, in the distribution that `plugins new` writes for that name."""
    name, package = DEFAULTS[kind]
    project = new_plugin(kind, name, to, InstalledPlugins((), ""))
    own = f"spark_{kind}_{name}"
    shutil.rmtree(project / "src" / own)
    shutil.copytree(ROOT / "plugins" / package, project / "src" / own, ignore=shutil.ignore_patterns("__pycache__"))
    settings = project / "pyproject.toml"
    entry = f'"{kind}.{name}" = "{own}'
    text = settings.read_text(encoding="utf-8")
    assert f'{entry}"' in text
    settings.write_text(text.replace(f'{entry}"', f'{entry}.{name}"'), encoding="utf-8")
    return project


def rolled_out(folder: Path) -> tuple[dict[str, str], list[Any]]:
    """Who took part, and what came of it but for fingerprints, which name a class with its module."""
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    who = {f"{p['kind']}.{p['name']}": f"{p['distribution']} {p['version']}" for p in manifest["plugins"]}
    lines = (folder / "trajectories.jsonl").read_text(encoding="utf-8").splitlines()
    return who, [without_fingerprints(json.loads(line)) for line in lines]


def without_fingerprints(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_fingerprints(inner) for key, inner in value.items() if key != "fingerprint"}
    return [without_fingerprints(inner) for inner in value] if isinstance(value, list) else value


def adapter(folder: Path) -> bytes:
    return (folder / "train" / "ppo" / "adapter" / "adapter_model.safetensors").read_bytes()


def test_extracted_defaults_do_the_same(environment: Environment, tiny_policy, tmp_path):
    project = new_project(tmp_path / "project", {"policy": tiny_policy, "stages": {"ppo": STAGE}})
    environment.command("generate", project.config)
    environment.command("train", project.run_folder, "--stage", "ppo")
    environment.install(*build([extracted(kind, tmp_path) for kind in DEFAULTS], tmp_path / "wheels"))
    disabled = [f"no:spark-framework/{kind}.{name}" for kind, (name, _) in DEFAULTS.items()]
    options = [part for name in disabled for part in ("-p", name)]
    other = tmp_path / "other"
    environment.command("generate", project.config, *options, "--set", f"run={other}")
    environment.command("train", other, "--stage", "ppo", *options)

    before, expected = rolled_out(project.run_folder)
    after, found = rolled_out(other)
    for kind, (name, _) in DEFAULTS.items():
        assert before[f"{kind}.{name}"] == "spark-framework 0.1.0"
        assert after[f"{kind}.{name}"] == f"spark-{kind}-{name} 0.1.0".replace("_", "-")
    assert len(found) == 4
    assert found == expected
    assert adapter(other) == adapter(project.run_folder)
    environment.command("plugins", "check", "spark-tool-calculator/calculator")
