"""A config builds on a preset or on another file: `base`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_framework import RunConfig, load_config, preset
from spark_framework.config.files import read_composed
from spark_framework.errors import ConfigError
from spark_framework.runs.run_dir import existing_run, open_run

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files by name; returns the first one's path."""

    def write(**texts: str) -> Path:
        for name, text in texts.items():
            tmp_path.joinpath(f"{name}.yaml").write_text(text, encoding="utf-8")
        return tmp_path / f"{next(iter(texts))}.yaml"

    return write


def test_a_config_builds_on_a_preset(write: Write) -> None:
    config = load_config(write(mine="base: paper\nrun: mine\nevaluation: {batch_size: 8}\n"), RunConfig)
    paper = load_config(preset("paper"), RunConfig)
    evaluation = paper.evaluation.model_copy(update={"batch_size": 8})
    assert config == paper.model_copy(update={"run": Path("mine"), "evaluation": evaluation})


def test_a_file_is_found_relative_to_the_one_that_names_it(write: Write, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    top = write(mine="base: sub/middle.yaml\nseed: 3\n", low="seed: 1\nsteps: 2\nthreshold: 5\n")
    (tmp_path / "sub" / "middle.yaml").write_text("base: ../low.yaml\nseed: 2\nsteps: 4\n")
    assert read_composed(top) == {"seed": 3, "steps": 4, "threshold": 5}


@pytest.mark.parametrize(
    ("below", "own", "merged"),
    [
        ("a: {b: {c: 1, d: 2}}", "a: {b: {c: 3}}", {"a": {"b": {"c": 3, "d": 2}}}),
        ("a: [1, 2]", "a: [3]", {"a": [3]}),
        ("a: {b: 1}", "a: null", {"a": None}),
        ("a: null", "a: {b: 1}", {"a": {"b": 1}}),
        ("judge: fake", "judge: {model: big}", {"judge": {"use": "fake", "model": "big"}}),
        ("judge: {use: fake, model: big}", "judge: other", {"judge": "other"}),
        ("judge: {use: fake, model: big}", "judge: {size: 1}", {"judge": {"use": "fake", "model": "big", "size": 1}}),
        ("judge: {use: fake, model: big}", "judge: {use: other, size: 1}", {"judge": {"use": "other", "size": 1}}),
        ("judge: fake", "judge: {use: other}", {"judge": {"use": "other"}}),
    ],
)
def test_own_keys_win(write: Write, below: str, own: str, merged: dict[str, object]) -> None:
    assert read_composed(write(mine=f"base: low.yaml\n{own}\n", low=below)) == merged


def test_settings_of_the_command_come_last(write: Write) -> None:
    config = load_config(write(mine="base: paper\nseed: 1\n"), RunConfig, ["seed=2", "rollouts.0.questions=7"])
    assert (config.seed, config.rollouts[0].questions, config.judge.name) == (2, 7, "gpt4o")


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (
            {"mine": "base: papr\n"},
            r"^base: there is no preset papr; presets: ladder, .*; the name of a file ends with",
        ),
        ({"mine": "base: none.yaml\n"}, r"none\.yaml: there is no such file$"),
        ({"mine": "base: [paper]\n"}, r"^base: should be the name of a preset, or a file \[.*mine\.yaml\]$"),
        ({"mine": "base: mine.yaml\n"}, r"^base: a config cannot build on itself: mine\.yaml -> mine\.yaml \["),
        (
            {"mine": "base: a.yaml\n", "a": "base: b.yaml\n", "b": "base: a.yaml\n"},
            r"^base: a config cannot build on itself: a\.yaml -> b\.yaml -> a\.yaml \[.*b\.yaml\]$",
        ),
        (
            {"mine": "base: low.yaml\n", "low": "sed: 1\n"},
            r"^sed: unknown key; did you mean 'seed'\? \[.*mine\.yaml",
        ),
    ],
)
def test_mistakes_are_one_line(write: Write, texts: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        load_config(write(**texts), RunConfig)
    assert "\n" not in str(caught.value)


def test_a_run_keeps_the_composed_config(write: Write, tmp_path: Path) -> None:
    text = f"base: low.yaml\nrun: {tmp_path / 'run'}\nstages: {{sft: {{epochs: 2}}}}\n"
    config = load_config(write(mine=text, low="seed: 5\nstages: {sft: {lr: 1.0e-3}}\n"), RunConfig)
    folder = open_run(config)
    stored = json.loads((folder.path / "run.json").read_text())["config"]
    assert "base" not in stored
    assert stored["seed"] == 5
    assert (stored["stages"]["sft"]["epochs"], stored["stages"]["sft"]["lr"]) == (2, 1e-3)
    assert existing_run(folder.path).config == config


def test_the_schema_knows_the_key() -> None:
    assert RunConfig.model_json_schema()["properties"]["base"]["type"] == "string"
