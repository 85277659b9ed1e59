"""The framework as its users have it: a wheel in an environment of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.third_party.environments import ROOT, Environment, build


@pytest.fixture(scope="session")
def core_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build([ROOT], tmp_path_factory.mktemp("core"))[0]


@pytest.fixture
def environment(core_wheel: Path, tmp_path: Path) -> Environment:
    """A fresh environment with the core's wheel."""
    environment = Environment(tmp_path / "venv")
    environment.install(core_wheel)
    return environment


@pytest.fixture(scope="session")
def tiny_policy(tiny: Path) -> dict[str, Any]:
    """The config of a policy that can be trained in seconds."""
    return {"model": str(tiny), "dtype": "float32", "device": "cpu", "prompt": "short", "threads": 1}
