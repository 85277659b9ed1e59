"""The questions of a run, which must not change from its first command to its last."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from ..config.run import RunConfig
from ..errors import DataError
from ..questions import MmluProConfig, PracticeConfig, QuestionSet, open_questions

Identity = dict[str, Any]
"""`fingerprint` of the content, and `revision` of the hub dataset, or None."""


def opened_questions(config: RunConfig) -> tuple[QuestionSet, Identity]:
    """The questions of a config and their identity for `run.json`. An unchanged file is read once per process.

    Raises:
        UserError: they cannot be read.
    """
    path = config.questions.path if isinstance(config.questions, MmluProConfig) else None
    return _opened(config.questions, config.seed, None if path is None else _file_state(path))


def changed_part(stored: Identity, now: Identity, config: RunConfig) -> str | None:
    """Describes what has changed since the run was created; None if nothing has."""
    if stored.get("revision") != now["revision"]:
        return f"the hub dataset had revision {stored.get('revision')}, but now has {now['revision']}"
    if stored.get("fingerprint") != now["fingerprint"]:
        return f"{_source(config)} had fingerprint {stored.get('fingerprint')}, but now has {now['fingerprint']}"
    return None


@lru_cache(maxsize=1)
def _opened(
    config: PracticeConfig | MmluProConfig, seed: int, state: tuple[int, ...] | None
) -> tuple[QuestionSet, Identity]:
    questions = open_questions(config, seed)
    return questions, {"fingerprint": questions.fingerprint(), "revision": questions.revision}


def _file_state(path: Path) -> tuple[int, ...]:
    """Changes whenever the file is written."""
    try:
        stat = path.stat()
    except OSError as exc:
        raise DataError(f"cannot read {path}: {exc.strerror}; set `path` to a parquet or JSONL file") from exc
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _source(config: RunConfig) -> str:
    if isinstance(config.questions, MmluProConfig):
        return str(config.questions.path or config.questions.hub)
    return "the practice generator"
