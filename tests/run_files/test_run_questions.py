"""A run refuses questions other than those that it was made with."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spark_framework import RunConfig
from spark_framework.cli import main
from spark_framework.errors import RunError
from spark_framework.runs.run_dir import existing_run, open_run
from spark_framework.runs.run_questions import _opened
from tests.runs import config, config_file, settings

ROUNDS = [{"name": name, "questions": 2} for name in ("demonstrations", "explore")]


def rows(count: int = 20, answer: int = 1) -> list[dict[str, Any]]:
    return [
        {"question_id": n, "question": f"{n}+1?", "options": [str(n), str(n + 1)], "answer": "AB"[answer],
         "answer_index": answer, "category": "math"}
        for n in range(count)
    ]  # fmt: skip


def write(path: Path, content: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, content)))
    return path


@pytest.fixture
def made(tiny: Path, tmp_path: Path) -> RunConfig:
    """A run on a file of questions."""
    file = write(tmp_path / "q.jsonl", rows())
    made = config(tiny, tmp_path / "run", rollouts=ROUNDS, questions={"use": "mmlu_pro", "path": str(file)})
    open_run(made)
    return made


def test_a_changed_file_is_refused(made: RunConfig, tmp_path: Path) -> None:
    write(tmp_path / "q.jsonl", rows(answer=0))
    with pytest.raises(RunError, match=r"other questions: .*q\.jsonl had fingerprint .* choose another `run`"):
        open_run(made)
    with pytest.raises(RunError, match="other questions"):
        existing_run(made.run).questions()


def test_the_same_questions_in_a_touched_or_reordered_file_are_the_run_s(made: RunConfig, tmp_path: Path) -> None:
    before = open_run(made).questions().train(0, 10)
    os.utime(tmp_path / "q.jsonl", ns=(1, 1))
    assert open_run(made).questions().train(0, 10) == before
    write(tmp_path / "q.jsonl", rows()[::-1])  # they are sorted by id
    assert open_run(made).questions().train(0, 10) == before


@pytest.mark.parametrize("command", [
    ("generate", "CONFIG"), ("train", "RUN", "--stage", "sft"), ("evaluate", "RUN", "--stage", "base"),
    ("ladder", "CONFIG"),
])  # fmt: skip
def test_every_command_reports_it_in_one_line(
    command: tuple[str, ...], tiny: Path, tmp_path: Path, made: RunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"rollouts": ROUNDS, "questions": {"use": "mmlu_pro", "path": str(tmp_path / "q.jsonl")}}
    words = {"CONFIG": str(config_file(tmp_path, settings(tiny, made.run, **changes))), "RUN": str(made.run)}
    write(tmp_path / "q.jsonl", rows(19))
    assert main([words.get(word, word) for word in command]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "was created with other questions" in line


def test_a_manifest_without_questions_is_refused(made: RunConfig) -> None:
    manifest = made.run / "run.json"
    manifest.write_text(json.dumps({"config": json.loads(manifest.read_text())["config"]}))
    with pytest.raises(RunError, match="does not record the run's questions"):
        open_run(made)


def test_another_revision_of_the_hub_is_refused(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hub(list[dict[str, Any]]):
        info: Any

    def publish(commit: str) -> None:
        hub = Hub(rows())
        hub.info = SimpleNamespace(download_checksums={f"hf://datasets/a/b@{commit}/test.parquet": {}})
        monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=lambda *_, **__: hub))
        _opened.cache_clear()  # another process

    made = config(tiny, tmp_path / "run", rollouts=ROUNDS, questions={"use": "mmlu_pro", "hub": "a/b"})
    publish("0" * 40)
    open_run(made)
    assert json.loads((made.run / "run.json").read_text())["questions"]["revision"] == "0" * 40
    open_run(made)
    publish("1" * 40)
    with pytest.raises(RunError, match=r"the hub dataset had revision 000.* but now has 111"):
        open_run(made)


def test_an_unchanged_file_is_read_once(made: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = open_run(made).questions()
    assert existing_run(made.run).questions() is questions
