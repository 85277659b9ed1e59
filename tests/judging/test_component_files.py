"""A fingerprint covers what a component imports, and not its neighbours."""

from __future__ import annotations

import importlib
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from spark_framework.judging.component_files import component_files

NUMBERS = count()
FILES = {
    "__init__.py": "", "shared/__init__.py": "", "shared/http.py": "from ..base import X", "base.py": "X = 1",
    "shared/other.py": "", "llm/__init__.py": "from .neighbour import N", "llm/neighbour.py": "N = 1",
    "llm/judge.py": "import json\ndef f():\n    from ..shared import http", "llm/prompts/score.txt": "Score it.",
    "absolute.py": "import {name}.shared.other\nimport {name}.nothing", "notes.txt": "", "llm/notes.bin": "",
}  # fmt: skip


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / f"fingerprinted_{next(NUMBERS)}"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("{name}", folder.name))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return folder


def covered(package: Path, file: str) -> set[str]:
    module = f"{package.name}.{file.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")
    importlib.import_module(package.name)
    found = component_files(module, package / file)
    assert all(path.is_file() for _, path in found)
    return {name.removeprefix(f"{package.name}/").removeprefix(package.name) for name, _ in found}


def test_imports_are_followed_and_neighbours_are_not(package: Path) -> None:
    files = covered(package, "llm/judge.py")
    assert {"llm/judge.py", "shared/http.py", "base.py", "llm/prompts/score.txt"} <= files
    assert not files & {"llm/neighbour.py", "shared/other.py", "absolute.py", "llm/notes.bin"}


def test_absolute_imports_count_and_data_of_sub_packages_do_not(package: Path) -> None:
    files = covered(package, "absolute.py")
    assert {"absolute.py", "shared/other.py", "notes.txt"} <= files
    assert not files & {"llm/prompts/score.txt", "llm/judge.py", "shared/http.py"}


def test_a_component_in_a_package_s_init_covers_the_complete_package(package: Path) -> None:
    assert {"llm/neighbour.py", "llm/judge.py", "shared/http.py"} <= covered(package, "llm/__init__.py")


def _reader(package: Path) -> str:
    """Of a judge in `llm/judge.py`, as a new process sees it."""
    code = (
        f"import sys; sys.path.insert(0, {str(package.parent)!r}); "
        "from spark_framework.judging.fingerprint import _code; "
        f"from {package.name}.llm.judge import J; print(_code(J))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_fingerprint_changes_with_a_helper_and_with_a_prompt_only(package: Path) -> None:
    with (package / "llm/judge.py").open("a") as file:
        file.write("\nclass J: pass\n")
    before = _reader(package)
    (package / "llm/neighbour.py").write_text("N = 2")
    assert _reader(package) == before
    (package / "base.py").write_text("X = 2")
    helper = _reader(package)
    (package / "llm/prompts/score.txt").write_text("Score it well.")
    assert len({before, helper, _reader(package)}) == 3
