"""Somebody else's judge, from idea to run: the wheel of the core, nothing of the checkout, nothing downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_framework.testing.project import Project, new_project
from tests.third_party.environments import Environment, build


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return new_project(tmp_path / "project", {"judge": {"use": "blunt", "short": 30}})


def manifest(project: Project) -> dict:
    return json.loads((project.run_folder / "run.json").read_text(encoding="utf-8"))


def test_a_judge_is_written_built_installed_used_and_uninstalled(environment: Environment, project, tmp_path):
    environment.command("plugins", "new", "judge", "blunt", "--to", tmp_path)
    environment.install(*build([tmp_path / "spark-judge-blunt"], tmp_path / "wheels"))
    rows = [line.split() for line in environment.command("plugins", "list").stdout.splitlines()]
    assert ["judge", "blunt", "spark-judge-blunt", "0.1.0", "ready"] in rows

    environment.command("generate", project.config, cwd=tmp_path)
    entry = next(one for one in manifest(project)["plugins"] if one["kind"] == "judge")
    assert (entry["name"], entry["distribution"], entry["version"]) == ("blunt", "spark-judge-blunt", "0.1.0")
    assert entry["target"] == "spark_judge_blunt"
    verdicts = [step.verdict for t in project.trajectories() for step in t.steps if step.verdict]
    assert len(verdicts) >= 4
    assert {(verdict.judge, verdict.fingerprint) for verdict in verdicts} == {("blunt", entry["fingerprint"])}

    environment.pip("uninstall", "--yes", "spark-judge-blunt")
    done = environment.command("config", "check", project.config, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no judge 'blunt' (installed: " in done.stderr
    assert done.stderr.count("\n") == 1


HOSTILE = {
    "sleeps": "import time; time.sleep(600)",
    "raises": "raise RuntimeError('at import')",
    "exits": "import sys; sys.exit(0)",
    "dies": "import os; os._exit(0)",
    "prints": "print('{}'); import sys; print('{}', file=sys.stderr)",
    "spawns": "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()",
    "recurses": "def f(): f()\nf()",
    "crashes": "import os; os.abort()",
}
ROGUE = """
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"
[project]
name = "spark-rogue"
version = "6.6.6"
[project.entry-points."spark_framework.v1"]
"judge.blunt" = "rogue.raises"
{entries}
[project.entry-points."spark_framework.v9"]
"judge.later" = "rogue.dies"
[tool.hatch.build.targets.wheel]
packages = ["rogue"]
"""


@pytest.fixture
def rogue(tmp_path: Path) -> Path:
    """The project of a distribution whose modules do harm when they are imported; it wants to be `judge.blunt` too."""
    entries = "\n".join(f'"judge.{name}" = "rogue.{name}"' for name in HOSTILE)
    package = tmp_path / "rogue" / "rogue"
    package.mkdir(parents=True)
    (package.parent / "pyproject.toml").write_text(ROGUE.format(entries=entries), encoding="utf-8")
    (package / "__init__.py").write_text("", encoding="utf-8")
    for name, source in HOSTILE.items():
        (package / f"{name}.py").write_text(source, encoding="utf-8")
    return package.parent


def test_hostile_neighbours_harm_nobody(environment: Environment, project, rogue, tmp_path):
    environment.command("plugins", "new", "judge", "blunt", "--to", tmp_path)
    environment.install(*build([tmp_path / "spark-judge-blunt", rogue], tmp_path / "wheels"))
    malformed = environment.site / "foreign-1.0.dist-info" / "entry_points.txt"
    malformed.parent.mkdir()
    malformed.write_text("no header = here\n", encoding="utf-8")

    listed = environment.command("plugins", "list", "--json")
    states = {(o["distribution"], f"{o['kind']}.{o['name']}"): o["state"] for o in json.loads(listed.stdout)}
    assert "listed with importlib.metadata" in listed.stderr
    assert states["spark-judge-blunt", "judge.blunt"] == states["spark-rogue", "judge.blunt"] == "conflict"
    assert states["spark-rogue", "judge.later"] == "incompatible"
    assert {states["spark-rogue", f"judge.{name}"] for name in HOSTILE} == {"ready"}

    refused = environment.command("generate", project.config, check=False)
    assert refused.returncode == 2
    assert "spark-judge-blunt 0.1.0 and spark-rogue 6.6.6: name one in full" in refused.stderr
    for argv in (
        ("--set", "judge.use=spark-judge-blunt/blunt"),
        ("-p", "no:spark-rogue/judge.blunt", "--set", f"run={tmp_path / 'other'}"),
    ):
        done = environment.command("generate", project.config, *argv)
        assert done.stderr == ""
    entry = next(one for one in manifest(project)["plugins"] if one["kind"] == "judge")
    assert (entry["distribution"], entry["version"]) == ("spark-judge-blunt", "0.1.0")
    assert len(project.trajectories()) == 4

    chosen = environment.command("config", "check", project.config, "--set", "judge=raises", check=False)
    assert chosen.returncode == 2
    for part in ("judge 'raises' of spark-rogue 6.6.6", "RuntimeError: at import", "-p no:judge.raises"):
        assert part in chosen.stderr

    doctor = environment.command("plugins", "doctor", "-p", "no:judge.sleeps", check=False)
    assert doctor.returncode == 1
    rows = [line.split(maxsplit=3) for line in doctor.stdout.splitlines()]
    found = {row[0]: row[3] for row in rows if row[1:3] == ["spark-rogue", "6.6.6"]}
    assert found == {
        **{f"judge.{name}": "broken" for name in HOSTILE}, "judge.sleeps": "disabled",
        "judge.blunt": "in conflict", "judge.later": "written for plugin API v9",
    }  # fmt: skip
    assert ["metadata", "foreign", "1.0", "unreadable"] in rows
    assert {row[3] for row in rows if row[1:3] == ["spark-framework", "0.1.0"]} == {"good"}
