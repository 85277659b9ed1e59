"""The folder of a run: its manifest, its files, and the lock that keeps a second process out."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..config.load import check_config
from ..config.run import RunConfig
from ..contracts.algorithm import Algorithm
from ..errors import RunError
from ..policy.action_space import ActionSpace
from ..util.launcher import is_first
from .trajectories import TrajectoryStore

HOW_ASKED = frozenset({"mode", "file", "concurrency", "attempts", "budget", "batch_poll"})
"""Settings of `judging` that change no verdict, and may change from one command to the next."""
PACKAGES = ("spark-framework", "torch", "transformers", "peft", "accelerate", "datasets", "pydantic", "pluggy")


class RunFolder:
    """Paths inside a run's folder. `open_run` makes one, `existing_run` finds one."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path, self.config = path, config

    def trajectories(self) -> TrajectoryStore:
        return TrajectoryStore(self.path / "trajectories.jsonl")

    def evaluation(self, stage: str, temperature: float) -> TrajectoryStore:
        name = stage if temperature == self.config.evaluation.temperatures[0] else f"{stage}@{temperature:g}"
        return TrajectoryStore(self.path / "eval" / f"{name}.jsonl")

    def stage(self, name: str) -> Path:
        return self.path / "train" / name

    def adapter(self, name: str) -> Path:
        """Where a finished stage's adapter is. Raises `RunError` where the stage has not been trained."""
        path = self.stage(name) / "adapter"
        if not (path / "adapter_config.json").is_file():
            raise RunError(f"stage {name} has not been trained; run `spark-framework train {self.path} --stage {name}`")
        return path

    def replies(self) -> Path:
        return self.config.replies.file or self.path / "replies.sqlite"

    def judgements(self) -> Path:
        """The SQLite file with judges' replies and the ledger."""
        return self.config.judging.file or self.path / "judge.sqlite"

    @property
    def ledger_name(self) -> str:
        """By what name the ledger knows the run: where it is, however the path was typed."""
        return str(self.path.resolve())

    def actions(self) -> ActionSpace:
        """The actions that the run's trajectories were made with."""
        file = self.path / "actions.json"
        if not file.is_file():
            raise RunError(f"{self.path} has no trajectories yet; make them with `spark-framework generate CONFIG`")
        return ActionSpace.from_json(file.read_text(encoding="utf-8"))

    def pin_action_space(self, space: ActionSpace) -> None:
        """Keep the actions with the run. What a policy reads of its tools must not change within a run.

        Raises:
            RunError: the tools, their descriptions or their arguments are no longer those of the run.
        """
        file = self.path / "actions.json"
        if not file.is_file():
            write_whole(file, space.to_json())
            return
        before, now = ({action.name: action for action in one.actions} for one in (self.actions(), space))
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if changed or list(before) != list(now):
            raise RunError(
                f"{self.path} was made with other tools ({', '.join(changed) or 'in another order'}): bring the same "
                "versions back, or choose another `run`"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time works on a run, or several that were launched together, of which the first has
        the lock. It goes with the process, also after kill -9."""
        if not is_first():
            yield
            return
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                raise RunError(
                    f"{self.path} is in use by another process; wait for it or choose another `run`"
                ) from exc
            yield


def open_run(config: RunConfig) -> RunFolder:
    """The run's folder, made if need be. A folder of another config is refused: nothing is overwritten."""
    path = config.run
    manifest = path / "run.json"
    settings = config.model_dump(mode="json", exclude={"run"})
    if manifest.is_file():
        if difference := _difference(_identity(_stored_config(manifest)), _identity(settings)):
            raise RunError(
                f"{path} belongs to another config ({difference}); choose another `run` or delete the folder"
            )
        return RunFolder(path, config)
    path.mkdir(parents=True, exist_ok=True)
    if path.joinpath("trajectories.jsonl").exists():
        raise RunError(f"{path} holds trajectories but no run.json; choose another `run` or delete the folder")
    write_whole(manifest, json.dumps({"config": settings, **_surroundings(config)}, indent=2) + "\n")
    return RunFolder(path, config)


def existing_run(path: Path) -> RunFolder:
    """The run in a folder, with the config that it was made with."""
    manifest = path / "run.json"
    if not manifest.is_file():
        raise RunError(f"{path} is no run folder (it has no run.json); make one with `spark-framework generate CONFIG`")
    data = {**_stored_config(manifest), "run": str(path)}
    return RunFolder(path, check_config(data, RunConfig, str(manifest)))


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that it is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as exc:
        raise RunError(f"{path}: {exc.strerror}; free some space and give the same command again") from exc


def _stored_config(manifest: Path) -> dict[str, Any]:
    try:
        value = json.loads(manifest.read_text(encoding="utf-8"))
        config: dict[str, Any] = dict(value["config"])
    except (ValueError, TypeError, KeyError) as exc:
        raise RunError(f"{manifest} is damaged ({exc!r}); restore it or delete the run") from exc
    return config


def _identity(settings: dict[str, Any]) -> dict[str, Any]:
    """What makes a run the one that it is: not how patiently and for how much its judge is asked, nor where replies of
    the network are kept."""
    judging = {key: value for key, value in settings.get("judging", {}).items() if key not in HOW_ASKED}
    return {**settings, "judging": judging, "replies": None}


def _difference(stored: Any, wanted: Any, at: str = "") -> str | None:
    """The first key in which two configs differ, or None."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in [*stored, *(key for key in wanted if key not in stored)]:
            if difference := _difference(stored.get(key), wanted.get(key), f"{at}.{key}" if at else key):
                return difference
        return None
    return None if stored == wanted else f"{at}: {stored!r} there, {wanted!r} here"


def _surroundings(config: RunConfig) -> dict[str, Any]:
    choices = [*config.tools, config.judge, config.selector, *config.reward.diversity, *config.reward.process]
    for stage in config.stages.values():
        algorithm = stage.build()
        assert isinstance(algorithm, Algorithm)  # the config has checked the kind
        choices += [stage, *algorithm.components()]
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "plugins": [choice.lock() for choice in choices],
        "versions": {"python": platform.python_version(), **versions},
        "hardware": {"machine": platform.machine(), "system": platform.platform(), "cpus": os.cpu_count()},
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
