"""The fixtures that pytest finds wherever the framework is installed, as the author of a plugin uses them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from spark_framework.host.manager import current_host

JUDGE = """
    from spark_framework.api import ComponentConfig, Judge, Verdict, hookimpl
    class Flat(Judge):
        "The same for everybody."
        name = "flat"
        class Config(ComponentConfig):
            height: float = 7.0
            "The score."
        def score(self, request):
            n = len(request.candidates)
            return Verdict(scores=(self.config.height,) * n, process_ok=(True,) * n, judge=self.name,
                           fingerprint=self.fingerprint())
    @hookimpl
    def spark_judges(): return [Flat]
"""


@pytest.fixture
def flat(fake_distribution):
    return fake_distribution("my-judges", {"judge.flat": "flat_judge"}, {"flat_judge": JUDGE}, version="2.5")


def test_a_host_is_fresh_and_current(flat, spark_host):
    assert current_host() is spark_host
    assert spark_host.component_class("judge", "flat").entry.version == "2.5"


def test_a_fake_distribution_is_gone_afterwards():
    assert "flat_judge" not in sys.modules
    assert not any((Path(folder) / "flat_judge.py").exists() for folder in sys.path)


def test_a_project_runs_commands_and_shows_what_was_stored(flat, spark_project):
    project = spark_project(judge={"use": "flat", "height": 6.5})
    assert project.command("config", "check", project.config) == (0, f"{project.config}: valid\n", "")
    assert project.command("generate", project.config) == (0, f"{project.run_folder}\n", "")
    trajectories = project.trajectories()
    assert len(trajectories) == 4
    assert {s for t in trajectories for step in t.steps if step.verdict for s in step.verdict.scores} == {6.5}
    manifest = json.loads((project.run_folder / "run.json").read_text())
    assert ("flat", "my-judges", "2.5") in {(p["name"], p["distribution"], p["version"]) for p in manifest["plugins"]}


def test_two_projects_share_nothing(spark_project):
    first, second = spark_project(), spark_project(judge="nobody")
    assert first.folder != second.folder
    assert first.command("config", "check", first.config).code == 0
    done = second.command("config", "check", second.config)
    assert (done.code, done.out) == (2, "")
    assert "there is no judge 'nobody'" in done.err


TESTS = """
    import pytest
    from flat_judge import Flat
    from spark_framework.testing import JudgeContract

    class TestFlat(JudgeContract):
        @pytest.fixture
        def judge(self):
            return Flat()

    def test_fixtures_are_there(spark_host, fake_distribution, spark_project):
        pass
"""


@pytest.mark.parametrize(
    ("change", "failed", "says"),
    [
        (("", ""), 0, ""),
        (('"The score."', ""), 1, "Config: say below height what it means"),
        (("n = len(request.candidates)", "n = 9"), 1, "1 candidates: 9 scores for 1 candidates; give one each"),
        (("from spark", "import mpmath\n    from spark"), 1, "importing flat_judge imports mpmath: import inside"),
    ],
)
def test_a_failed_check_reports_in_pytest_what_to_change(fake_distribution, change, failed, says):
    source = JUDGE.replace(*change) if change[0] else JUDGE
    folder = fake_distribution("my-judges", {"judge.flat": "flat_judge"}, {"flat_judge": source})
    (folder / "test_flat.py").write_text(dedent(TESTS), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_flat.py"]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == (1 if failed else 0)
    assert says in done.stdout
    assert done.stdout.count("\nFAILED ") == failed
