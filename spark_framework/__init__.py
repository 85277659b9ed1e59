"""SPaRK as a plugin framework: reinforcement learning that teaches language models to use many tools.

    from spark_framework import RunConfig, evaluate, generate, train

Names are loaded on first use: `import spark_framework` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config.files import preset
    from .config.load import load_config
    from .config.run import RunConfig
    from .host.manager import Host, using_host
    from .pipeline.evaluate import evaluate
    from .pipeline.generate import generate
    from .pipeline.train import export, train
    from .records import Question, Trajectory
    from .runs.trajectories import TrajectoryStore
    from .studies.calibrate import calibrate
    from .studies.judge_sensitivity.study import study_judges
    from .studies.ladder import ladder
    from .studies.rejudge import rejudge
    from .studies.reselect import reselect

_PUBLIC = {
    "Host": "host.manager",
    "Question": "records",
    "RunConfig": "config.run",
    "Trajectory": "records",
    "TrajectoryStore": "runs.trajectories",
    "calibrate": "studies.calibrate",
    "evaluate": "pipeline.evaluate",
    "export": "pipeline.train",
    "generate": "pipeline.generate",
    "ladder": "studies.ladder",
    "load_config": "config.load",
    "preset": "config.files",
    "rejudge": "studies.rejudge",
    "reselect": "studies.reselect",
    "study_judges": "studies.judge_sensitivity.study",
    "train": "pipeline.train",
    "using_host": "host.manager",
}

__all__ = [
    "Host",
    "Question",
    "RunConfig",
    "Trajectory",
    "TrajectoryStore",
    "calibrate",
    "evaluate",
    "export",
    "generate",
    "ladder",
    "load_config",
    "preset",
    "rejudge",
    "reselect",
    "study_judges",
    "train",
    "using_host",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
