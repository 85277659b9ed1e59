"""A run with many judged states, made once and copied."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spark_framework import generate
from tests.plugins.judges.server import JudgeServer
from tests.runs import config
from tests.studies.noisy import Noisy

OWN = {"use": "tests.studies.noisy:Noisy", "noise": 0.5}
"""The run's judge."""
ROUND = {
    "name": "explore", "questions": 12, "branches": 2, "branch_among": "policy", "wave_size": 5, "temperature": 1.0,
}  # fmt: skip


@pytest.fixture(scope="session")
def original(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 questions in waves of 5, two branches of up to 3 steps each, 4 candidates a step; the policy knows nothing."""
    run = tmp_path_factory.mktemp("studied") / "run"
    families = ["arithmetic", "molar_mass", "capital_city"]
    return generate(
        config(
            tiny, run, questions={"use": "practice", "families": families}, tools=["calculator", "science", "solver"],
            steps=3, judge=OWN, rollouts=[ROUND], stages={},
        )
    )  # fmt: skip


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """A copy to work on, without what its generation asked."""
    copied = tmp_path / "run"
    shutil.copytree(original, copied, ignore=shutil.ignore_patterns("judge.sqlite*", ".lock"))
    Noisy.asked = 0
    return copied


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeServer]:
    """A server that judges as OpenAI and as Anthropic."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    server = JudgeServer().start()
    yield server
    server.stop()


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`command("rejudge", run, …)`: exit code, standard output and standard error of `spark-framework`."""
    from spark_framework.cli import main

    def call(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call
