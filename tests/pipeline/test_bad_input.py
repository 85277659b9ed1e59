"""Every mistake ends in exit code 2 and one line that says what is wrong and how to fix it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from spark_framework import TrajectoryStore
from spark_framework.cli import main
from tests.runs import STAGE, config_file, settings

Refused = Callable[..., str]
EXPLORE = {"name": "explore", "questions": 2, "wave_size": 1}


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that has to end with exit code 2 and one line; returns the line."""

    def refused(*argv: object) -> str:
        code = main([str(word) for word in argv])
        err = capsys.readouterr().err
        assert code == 2
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err.removeprefix("error: ").rstrip()

    return refused


@pytest.fixture
def generate(refused: Refused, tiny: Path, tmp_path: Path) -> Refused:
    """`generate` with a small config and these changes, which has to be refused."""

    def generate(**changes: Any) -> str:
        small = {"rollouts": [EXPLORE], "stages": {}, **changes}
        return refused("generate", config_file(tmp_path, settings(tiny, tmp_path / "run", **small)))

    return generate


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"threshold": 10.5}, "threshold: should be less than or equal to 10"),
        ({"stages": {"spark": {"rho": 1.5}}}, "stages.spark.rho: should be less than or equal to 1"),
        ({"stages": {"spark": {"rho": -0.1}}}, "stages.spark.rho: should be greater than or equal to 0"),
        ({"treshold": 6}, "treshold: unknown key; did you mean 'threshold'"),
        ({"rollouts": [{**EXPLORE, "brunches": 2}]}, "rollouts.0.brunches: unknown key; did you mean 'branches'"),
        ({"stages": {"sft": {"data": "nowhere"}}}, "stages.sft.data: there is no round nowhere"),
        ({"rollouts": [{**EXPLORE, "adapter": "sft"}]}, "needs the adapter of sft, which is not a stage"),
        ({"tools": ["calculator", "calculator"]}, "tools: calculator is listed twice"),
        ({"judge": "verifyer"}, "there is no judge 'verifyer'"),
        ({"judge": "verifyer"}, "did you mean 'verifier'"),
        ({"tools": ["calculater"]}, "did you mean 'calculator'"),
        ({"questions": {"use": "practice", "families": ["arithmetics"]}}, "unknown family 'arithmetics'"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_settings(generate: Refused, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    assert told in generate(**changes)


def test_a_broken_plugin_is_named_with_its_remedy(generate: Refused, fake_distribution: Any) -> None:
    fake_distribution("spark-bad", {"judge.bad": "bad_judge"}, {"bad_judge": "1 / 0"}, version="2.3")
    told = generate(judge="bad")
    assert "judge 'bad' of spark-bad 2.3 (bad_judge) failed while being loaded: ZeroDivisionError" in told
    assert "-p no:judge.bad" in told


# -- models ----------------------------------------------------------------------------------------------------------


def changed(tiny: Path, tmp_path: Path, model: object) -> dict[str, Any]:
    return {"policy": {**settings(tiny, tmp_path)["policy"], "model": str(model)}}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("/no/such/folder", "policy.model: /no/such/folder does not exist; give a model folder"),
        ("no_such_folder", "policy.model: no_such_folder does not exist"),
        ("gguf:no_such_package/model.gguf", "the Python package no_such_package is not installed; run `pip install"),
        ("gguf:json/model.gguf", "there is no file model.gguf"),
        ("/no/such/model.gguf", "there is no file model.gguf"),
    ],
)
def test_models_that_are_not_there(generate: Refused, tiny: Path, tmp_path: Path, model: str, told: str) -> None:
    assert told in generate(**changed(tiny, tmp_path, model))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_model_folder_with_a_hole(generate: Refused, tiny: Path, tmp_path: Path, missing: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / missing).unlink()
    assert generate(**changed(tiny, tmp_path, folder)).startswith("policy.model: ")


@pytest.mark.parametrize("damaged", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_damaged_model(generate: Refused, tiny: Path, tmp_path: Path, damaged: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    whole = (folder / damaged).read_bytes()
    (folder / damaged).write_bytes(whole[: len(whole) // 2])
    assert generate(**changed(tiny, tmp_path, folder)).startswith("policy.model: ")


# -- questions -------------------------------------------------------------------------------------------------------

ROW = {
    "question_id": 1, "question": "1+1?", "options": ["1", "2"], "answer": "B", "answer_index": 1, "category": "math",
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({key: value for key, value in ROW.items() if key != "answer"}, "row 2: missing column 'answer'"),
        ({**ROW, "question_id": 2, "answer": "C", "answer_index": 2}, "row 2: no right option: answer_index 2"),
        (ROW, "row 2: question_id 1 was already used in row 1"),
    ],
)
def test_questions(generate: Refused, tmp_path: Path, row: dict[str, Any], told: str) -> None:
    data = tmp_path / "questions.jsonl"
    data.write_text(json.dumps(ROW) + "\n" + json.dumps(row) + "\n")
    assert told in generate(questions={"use": "mmlu_pro", "path": str(data)})


# -- run folders -----------------------------------------------------------------------------------------------------


def test_a_folder_of_another_config(refused: Refused, tiny: Path, tmp_path: Path, demonstrations: Any) -> None:
    run = demonstrations(tmp_path / "run")
    before = (run / "run.json").read_bytes()
    told = refused("generate", config_file(tmp_path, settings(tiny, run, threshold=5.0)))
    assert f"{run} belongs to another config (threshold: 6.0 in run.json, 5.0 here)" in told
    assert (run / "run.json").read_bytes() == before


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_no_run_folder(refused: Refused, tmp_path: Path, command: str) -> None:
    assert "is not a run folder" in refused(command, tmp_path, "--stage", "sft")
    assert "is not a run folder" in refused(command, tmp_path / "nowhere", "--stage", "sft")


@pytest.mark.parametrize("text", ["{half", "[]", "{}", '{"config": 3}'])
def test_a_damaged_manifest(refused: Refused, tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert "run.json is damaged" in refused("train", tmp_path, "--stage", "sft")


def test_stages_in_the_wrong_order(refused: Refused, tmp_path: Path, demonstrations: Any) -> None:
    run = demonstrations(tmp_path / "run")
    untrained = "stage sft has not been trained; run `spark-framework train"
    assert untrained in refused("evaluate", run, "--stage", "sft")
    assert untrained in refused("train", run, "--stage", "rft")  # it starts from sft
    assert "round explore has 0 of 4 questions" in refused("train", run, "--stage", "ppo")
    assert "there is no stage dpo; stages: " in refused("train", run, "--stage", "dpo")
    assert "there is no stage dpo; stages: " in refused("evaluate", run, "--stage", "dpo")
    assert "there is no round later; rounds: " in refused("generate", _config_of(run, tmp_path), "--round", "later")


def _config_of(run: Path, tmp_path: Path) -> Path:
    return config_file(tmp_path, {**json.loads((run / "run.json").read_text())["config"], "run": str(run)})


def test_an_incomplete_round(refused: Refused, tmp_path: Path, demonstrations: Any) -> None:
    run = demonstrations(tmp_path / "run")
    commits = run / "trajectories.commits"
    commits.write_text("".join(commits.read_text().splitlines(keepends=True)[:-1]))
    assert "round demonstrations has 4 of 6 questions" in refused("train", run, "--stage", "sft")


def test_trajectories_without_tokens_cannot_be_trained_on(
    refused: Refused, tmp_path: Path, demonstrations: Any
) -> None:
    run = demonstrations(tmp_path / "run")
    stored = list(TrajectoryStore(run / "trajectories.jsonl").read())
    for name in ("trajectories.jsonl", "trajectories.commits"):
        (run / name).unlink()
    steps = [
        tuple(
            step.model_copy(
                update={"candidates": tuple(c.model_copy(update={"token_ids": ()}) for c in step.candidates)}
            )
            for step in trajectory.steps
        )
        for trajectory in stored
    ]
    bare = [t.model_copy(update={"steps": part}) for t, part in zip(stored, steps, strict=True)]
    TrajectoryStore(run / "trajectories.jsonl").append("demonstrations", bare, next_index=6)
    assert "holds no token ids (a text-only policy wrote it)" in refused("train", run, "--stage", "sft")


def test_a_servers_policy_cannot_be_trained(refused: Refused, tiny: Path, tmp_path: Path, demonstrations: Any) -> None:
    policy = {"use": "server", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    run = demonstrations(tmp_path / "run", policy=policy)
    assert "policy.use: training needs a `local` policy" in refused("train", run, "--stage", "sft")


# -- the disk --------------------------------------------------------------------------------------------------------

LIMITED = """
    import resource, signal, sys
    import peft, transformers
    from spark_framework.cli import main
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    run, file = sys.argv[1:]
    for limit, argv in ((6000, ["generate", file]), (30_000, ["train", run, "--stage", "sft"])):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        print("code", main(argv), file=sys.stderr)
"""


def test_a_full_disk(tiny: Path, tmp_path: Path, demonstrations: Any) -> None:
    """A limit on the size of files stands for the full disk; afterwards the same commands work."""
    generated = tmp_path / "generated"
    run = demonstrations(tmp_path / "run", stages={"sft": {**STAGE, "data": "demonstrations"}})
    round_ = {"name": "demonstrations", "proposer": "scripted", "questions": 6, "wave_size": 2}
    file = config_file(tmp_path, settings(tiny, generated, rollouts=[round_], stages={}))
    command = [sys.executable, "-c", dedent(LIMITED), str(run), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert lines[1::2] == ["code 2", "code 2"], done.stderr
    assert len(lines) == 4
    assert all("free some space" in line for line in lines[::2])
    assert not (run / "train" / "sft" / "adapter").exists()
    assert main(["generate", str(file)]) == 0
    assert len(list(TrajectoryStore(generated / "trajectories.jsonl").read())) == 6
    assert main(["train", str(run), "--stage", "sft"]) == 0
