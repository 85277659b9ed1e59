"""The example of `judge-sensitivity.md` prints what the page shows, and the tutorial's judge does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spark_framework.cli import main

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "judge-sensitivity.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for word, text in BLOCK.findall(PAGE) if word == language]


@pytest.fixture
def example(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files in an empty folder. Its candidates are scripted, so that any model's tokenizer does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(DOCS / "examples")
    config = yaml.safe_load(blocks("yaml")[0])
    config["policy"] |= {"model": str(tiny)}
    (tmp_path / "sensitivity.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "judges.yaml").write_text(blocks("")[0])
    return tmp_path


def test_the_worked_example_prints_what_the_page_shows(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = ["study", "judges", "runs/sensitivity", "--judges", "judges.yaml"]
    reselect = ["reselect", "runs/sensitivity", "--judge", "terse", "--selector", "top_score"]
    for words in (["generate", "sensitivity.yaml"], study, reselect):
        assert main(words) == 0
        assert f"spark-framework {' '.join(words)}\n" in PAGE
    printed = capsys.readouterr().out + (example / "runs/sensitivity/studies/judges/selections.md").read_text()
    shown = "".join(blocks("text")).splitlines()
    assert len(shown) > 30
    assert [line for line in shown if line not in printed] == []


def test_the_code_for_notebooks_runs(example: Path) -> None:
    assert main(["generate", "sensitivity.yaml"]) == 0
    space: dict[str, object] = {"__name__": "notebook"}
    sys.modules["notebook"] = type(sys)("notebook")
    try:
        exec(blocks("python")[0], space)
        rows = space["compare"](Path("runs/sensitivity"))  # type: ignore[operator]
    finally:
        del sys.modules["notebook"]
    assert [row[:2] for row in rows] == [("verifier", "longest")]  # the run's own judge first


def test_the_tutorial_s_judge_passes_its_own_tests(fake_distribution, tmp_path: Path) -> None:
    source = (DOCS / "examples" / "grounded_judge.py").read_text(encoding="utf-8")
    fake_distribution(
        "spark-judge-grounded", {"judge.grounded": "spark_judge_grounded"}, {"spark_judge_grounded": source}
    )
    (tmp_path / "test_grounded.py").write_text((DOCS / "examples" / "test_grounded.py").read_text(encoding="utf-8"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_grounded.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
