"""Tests for plugins: inherit a contract, give one fixture, and pytest checks what the framework relies on.

    from spark_framework.testing import SelectorContract

    class TestRarityFirst(SelectorContract):
        @pytest.fixture
        def selector(self):
            return RarityFirst()

Names are loaded on first use: pytest imports this package in every project where the framework is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .algorithm import AlgorithmContract
    from .component import ComponentContract
    from .judge import JudgeContract
    from .project import Project
    from .pytest_plugin import FakeDistribution
    from .remote_judge import RemoteJudgeContract
    from .reward import RewardTermContract
    from .samples import sample_request, sample_stage_data, sample_step, sample_trajectory
    from .selector import SelectorContract
    from .tool import ToolContract

_PUBLIC = {
    "AlgorithmContract": "algorithm",
    "ComponentContract": "component",
    "FakeDistribution": "pytest_plugin",
    "JudgeContract": "judge",
    "Project": "project",
    "RewardTermContract": "reward",
    "SelectorContract": "selector",
    "ToolContract": "tool",
    "RemoteJudgeContract": "remote_judge",
    "sample_request": "samples",
    "sample_stage_data": "samples",
    "sample_step": "samples",
    "sample_trajectory": "samples",
}

__all__ = [
    "AlgorithmContract",
    "ComponentContract",
    "FakeDistribution",
    "JudgeContract",
    "Project",
    "RemoteJudgeContract",
    "RewardTermContract",
    "SelectorContract",
    "ToolContract",
    "sample_request",
    "sample_stage_data",
    "sample_step",
    "sample_trajectory",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
