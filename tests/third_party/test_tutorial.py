"""The tutorial `first-tool.md`, followed literally in an empty folder; and the other example of a plugin with its test.

Two things differ: pip downloads nothing, and the run has a tokenizer in the place of a model.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from spark_framework.testing.project import new_project
from tests.third_party.environments import OFFLINE, ROOT, Environment, run

EXAMPLES = ROOT / "docs" / "examples"
PAGE = ROOT / "docs" / "tutorial" / "first-tool.md"
BLOCK = re.compile(r"(.*?)^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUFF = f"{sys.executable} -m ruff"
MODULE = '#!/bin/sh\nexec "{python}" -m {name} "$@"\n'
PIP = """#!/bin/sh
command=$1; shift
exec "{python}" -m pip "$command" {offline} --no-build-isolation "$@"
"""


class Shell(NamedTuple):
    """A reader's terminal, with the environment activated."""

    environment: Environment
    variables: dict[str, str]

    @classmethod
    def open(cls, environment: Environment) -> Shell:
        bin_folder = environment.python.parent
        for name in ("pip", "pytest", "mypy"):
            script = bin_folder / name
            text = PIP if name == "pip" else MODULE
            script.write_text(text.format(python=environment.python, name=name, offline=" ".join(OFFLINE)))
            script.chmod(0o755)
        return cls(environment, {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"})

    def run(self, script: str, folder: Path, check: bool = True) -> str:
        """What some lines print, on both streams."""
        return run(["bash", "-ec", f"exec 2>&1\n{script}"], folder, check, **self.variables).stdout


def test_the_tutorial_is_followed(environment, tmp_path):
    shell, folder, printed = Shell.open(environment), tmp_path / "empty", ""
    model = new_project(tmp_path / "project", {}).folder / "model"
    folder.mkdir()
    for before, language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "bash":
            printed = shell.run(text, folder, check="tools try" not in text)  # the last of those calls fails
            if entered := re.search(r"^cd (\S+)$", text, re.MULTILINE):
                folder /= entered[1]
        elif language == "python":
            target = re.search(r"Replace `([^`]+)`", before)
            assert (folder / target[1]).exists()
            (folder / target[1]).write_text(text.partition("\n")[2], encoding="utf-8")
        elif language == "yaml":
            target = re.search(r"into `([^`]+)`", before)
            assert "policy: {prompt: short}" in text
            text = text.replace("{prompt: short}", f"{{prompt: short, model: {json.dumps(str(model))}}}")
            (folder / target[1]).write_text(text, encoding="utf-8")
        else:
            if broken := re.search(r"Replace `([^`]+)` with `([^`]+)`", before):
                module = folder / "src" / "spark_tool_primes" / "__init__.py"
                good = module.read_text(encoding="utf-8")
                assert broken[1] in good
                module.write_text(good.replace(broken[1], broken[2]), encoding="utf-8")
                printed = shell.run("pytest", folder, check=False)
                module.write_text(good, encoding="utf-8")
            assert [line for line in text.splitlines() if line not in printed] == []

    manifest = json.loads((folder / "runs" / "primes" / "run.json").read_text(encoding="utf-8"))
    assert ("primes", "spark-tool-primes", "0.1.0") in {
        (plugin["name"], plugin["distribution"], plugin["version"]) for plugin in manifest["plugins"]
    }
    assert (folder / "dist" / "spark_tool_primes-0.1.0-py3-none-any.whl").exists()
    assert "27 passed" in shell.run("pytest", folder)
    shell.run(f"{RUFF} check --no-cache . && {RUFF} format --no-cache --check . && mypy --cache-dir=/dev/null", folder)


def test_the_example_of_a_judge_passes_its_own_test(environment, tmp_path):
    shell = Shell.open(environment)
    shell.run("spark-framework plugins new judge terse && pip install ./spark-judge-terse", tmp_path)
    folder = tmp_path / "spark-judge-terse"
    shutil.copy(EXAMPLES / "terse_judge.py", folder / "src" / "spark_judge_terse" / "__init__.py")
    shutil.copy(EXAMPLES / "test_terse.py", folder / "tests" / "test_terse.py")
    assert "27 passed" in shell.run("pip install -e . && pytest", folder)
    shell.run(f"{RUFF} check --no-cache . && {RUFF} format --no-cache --check . && mypy --cache-dir=/dev/null", folder)
