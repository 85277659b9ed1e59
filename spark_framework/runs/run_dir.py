"""The folder of a run: its manifest, the paths of its files, and its lock."""

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

from ..config.judging import JudgingSection
from ..config.load import check_config
from ..config.run import RunConfig
from ..contracts.algorithm import Algorithm
from ..errors import RunError
from ..policy.action_space import ActionSpace
from ..questions import QuestionSet
from ..util.files import write_atomic
from ..util.launcher import is_first
from .run_questions import changed_part, opened_questions
from .trajectories import TrajectoryStore

MUTABLE_JUDGING_KEYS = frozenset({"mode", "file", "concurrency", "attempts", "budget", "batch_poll"})
"""Settings of `judging` that do not change verdicts. They may differ from one command to the next."""
PACKAGES = ("spark-framework", "torch", "transformers", "peft", "accelerate", "datasets", "pydantic", "pluggy")


MANIFEST = "run.json"
TRAJECTORIES = "trajectories.jsonl"
JUDGEMENTS = "judge.sqlite"


class RunFolder:
    """All paths inside a run's folder. `open_run` creates one, `existing_run` opens one."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path, self.config = path, config

    @property
    def manifest(self) -> Path:
        """`run.json`: config, questions, plugins, versions."""
        return self.path / MANIFEST

    def read_manifest(self) -> dict[str, Any]:
        """The content of `run.json`. Raises `RunError` if it is damaged."""
        return _read_manifest(self.manifest)

    def trajectories(self) -> TrajectoryStore:
        """The trajectories of all rounds."""
        return TrajectoryStore(self.path / TRAJECTORIES)

    def evaluation(self, stage: str, temperature: float) -> TrajectoryStore:
        """A stage's answers to the test questions at one temperature."""
        name = stage if temperature == self.config.evaluation.temperatures[0] else f"{stage}@{temperature:g}"
        return TrajectoryStore(self.path / "eval" / f"{name}.jsonl")

    def evaluation_metrics(self, stage: str) -> Path:
        """The file with a stage's metrics."""
        return self.path / "eval" / f"{stage}.json"

    def stage(self, name: str) -> Path:
        """The folder of a stage: adapter, checkpoints, log."""
        return self.path / "train" / name

    def adapter_folder(self, name: str) -> Path:
        """The folder for a stage's adapter, which need not exist yet."""
        return self.stage(name) / "adapter"

    def is_trained(self, name: str) -> bool:
        """Whether a stage's adapter exists."""
        return (self.adapter_folder(name) / "adapter_config.json").is_file()

    def adapter(self, name: str) -> Path:
        """The adapter of a trained stage. Raises `RunError` if the stage has not been trained."""
        if not self.is_trained(name):
            raise RunError(f"stage {name} has not been trained; run `spark-framework train {self.path} --stage {name}`")
        return self.adapter_folder(name)

    def reference_cache(self) -> Path:
        """The folder with log-probabilities of the reference model."""
        return self.path / "cache"

    def rejudged(self, name: str, repeat: int = 0) -> Path:
        """The file with a judge's verdicts on the run."""
        return self.path / "rejudged" / (f"{name}.{repeat}.jsonl" if repeat else f"{name}.jsonl")

    def reselected(self, name: str) -> Path:
        """The file with the choices of another selector."""
        return self.path / "reselected" / f"{name}.jsonl"

    def calibration(self, judge: str) -> Path:
        """The file with a judge's calibration map."""
        return self.path / "calibration" / f"{judge}.json"

    def study(self, name: str) -> Path:
        """The folder of a study's tables."""
        return self.path / "studies" / name

    def ladder(self) -> Path:
        """The file with the ladder's figures."""
        return self.path / "ladder.json"

    def replies(self) -> Path:
        """The SQLite file with tools' recorded replies."""
        return self.config.replies.file or self.path / "replies.sqlite"

    def judgements(self, judging: JudgingSection | None = None) -> Path:
        """The SQLite file with judges' replies and the ledger; None uses the run's own `judging` section."""
        return (judging or self.config.judging).file or self.path / JUDGEMENTS

    def questions(self) -> QuestionSet:
        """The run's questions.

        Raises:
            RunError: they have changed since the run was created.
            UserError: they cannot be read.
        """
        questions, now = opened_questions(self.config)
        if self.manifest.is_file():
            stored = self.read_manifest().get("questions")
            if not isinstance(stored, dict):
                raise RunError(f"{self.manifest} does not record the run's questions; choose another `run`")
            if changed := changed_part(stored, now, self.config):
                raise RunError(
                    f"{self.path} was created with other questions: {changed}; restore them, or choose another `run`"
                )
        return questions

    @property
    def ledger_name(self) -> str:
        """The run's name in the ledger: its resolved path."""
        return str(self.path.resolve())

    @property
    def _actions(self) -> Path:
        return self.path / "actions.json"

    def actions(self) -> ActionSpace:
        """The actions of the run's trajectories. Raises `RunError` if there are no trajectories yet."""
        file = self._actions
        if not file.is_file():
            raise RunError(f"{self.path} has no trajectories yet; create them with `spark-framework generate CONFIG`")
        return ActionSpace.from_json(file.read_text(encoding="utf-8"))

    def pin_action_space(self, space: ActionSpace) -> None:
        """Store the actions with the run, or check them. A policy must read the same texts about its tools in all of a
        run.

        Raises:
            RunError: the tools, their descriptions or their arguments have changed since the run was created.
        """
        file = self._actions
        if not file.is_file():
            write_atomic(file, space.to_json())
            return
        before, now = ({action.name: action for action in one.actions} for one in (self.actions(), space))
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if changed or list(before) != list(now):
            raise RunError(
                f"{self.path} was created with other tools ({', '.join(changed) or 'in another order'}): "
                "restore the same versions, or choose another `run`"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run, so that one process at a time works on it. Of several processes that were launched together,
        the first holds the lock. The lock ends with the process, also after kill -9.

        Raises:
            RunError: another process works on the run.
        """
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
    """The run's folder, created if it does not exist.

    Raises:
        RunError: the folder belongs to another config, or to other questions; nothing is overwritten.
        UserError: the questions cannot be read.
    """
    folder = RunFolder(config.run, config)
    settings = config.model_dump(mode="json", exclude={"run"})
    if folder.manifest.is_file():
        if difference := _difference(_identity(_stored_config(folder.manifest)), _identity(settings)):
            raise RunError(
                f"{folder.path} belongs to another config ({difference}); choose another `run` or delete the folder"
            )
        folder.questions()  # raises if they have changed
        return folder
    if (folder.path / TRAJECTORIES).exists():
        raise RunError(f"{folder.path} holds trajectories but no run.json; choose another `run` or delete the folder")
    _, questions = opened_questions(config)
    manifest = {"config": settings, "questions": questions, **_surroundings(config)}
    write_atomic(folder.manifest, json.dumps(manifest, indent=2) + "\n")
    return folder


def is_run(path: Path) -> bool:
    """Whether a folder is a run folder."""
    return (path / MANIFEST).is_file()


def existing_run(path: Path) -> RunFolder:
    """The run in a folder, with its stored config.

    Raises:
        RunError: it is not a run folder, or `run.json` is damaged.
    """
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise RunError(
            f"{path} is not a run folder (it has no run.json); create one with `spark-framework generate CONFIG`"
        )
    data = {**_stored_config(manifest), "run": str(path)}
    return RunFolder(path, check_config(data, RunConfig, str(manifest)))


def _read_manifest(manifest: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = dict(json.loads(manifest.read_text(encoding="utf-8")))
        dict(value["config"])
    except (ValueError, TypeError, KeyError) as exc:
        raise RunError(f"{manifest} is damaged ({exc!r}); restore it or delete the run") from exc
    return value


def _stored_config(manifest: Path) -> dict[str, Any]:
    return dict(_read_manifest(manifest)["config"])


def _identity(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that identify a run: not the judge's retry and budget settings, nor the file of tools' recorded
    replies."""
    judging = {key: value for key, value in settings.get("judging", {}).items() if key not in MUTABLE_JUDGING_KEYS}
    return {**settings, "judging": judging, "replies": None}


def _difference(stored: Any, wanted: Any, at: str = "") -> str | None:
    """The first key in which two configs differ, or None."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in [*stored, *(key for key in wanted if key not in stored)]:
            if difference := _difference(stored.get(key), wanted.get(key), f"{at}.{key}" if at else key):
                return difference
        return None
    return None if stored == wanted else f"{at}: {stored!r} in run.json, {wanted!r} here"


def _surroundings(config: RunConfig) -> dict[str, Any]:
    specs = [*config.tools, config.judge, config.selector, *config.reward.diversity, *config.reward.process]
    for stage in config.stages.values():
        algorithm = stage.build()
        assert isinstance(algorithm, Algorithm)  # the config has checked the kind
        specs += [stage, *algorithm.components()]
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "plugins": [spec.lock() for spec in specs],
        "versions": {"python": platform.python_version(), **versions},
        "hardware": {"machine": platform.machine(), "system": platform.platform(), "cpus": os.cpu_count()},
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
