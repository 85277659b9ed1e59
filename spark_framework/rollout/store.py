"""Trajectories on disk: append-only JSONL that survives `kill -9` at any byte.

Beside `NAME.jsonl` stands `NAME.commits`: after each wave, one line with the size that the data file has reached. What lies
beyond the last commit is cut off when the file is opened again, so nothing half-written is ever read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..errors import DataError, RunError
from ..records import Trajectory


class TrajectoryStore:
    """The finished trajectories of a run or of an evaluation.

    Args:
        path: the data file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._commits = path.with_suffix(".commits")
        self._done: dict[str, int] = {}
        self.dropped: dict[str, int] = {}
        size = 0
        for line in self._committed_lines():
            size = line["size"]
            self._done[line["round"]] = line["next"]
            self.dropped[line["round"]] = self.dropped.get(line["round"], 0) + line["dropped"]
        if path.exists():
            if path.stat().st_size < size:
                raise DataError(f"{path} is shorter than its record of commits says; restore it or delete the run")
            os.truncate(path, size)

    def next_index(self, round_name: str) -> int:
        """Index of the first question of the round that has not been committed."""
        return self._done.get(round_name, 0)

    def append(self, round_name: str, trajectories: Sequence[Trajectory], *, next_index: int, dropped: int = 0) -> None:
        """Store one wave's trajectories; returns when they are on disk. Raises `RunError` where the disk refuses."""
        before = self.path.stat().st_size if self.path.exists() else 0
        text = "".join(trajectory.model_dump_json() + "\n" for trajectory in trajectories)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            size = _append(self.path, text)
            commit = {"round": round_name, "next": next_index, "size": size, "dropped": dropped}
            _append(self._commits, json.dumps(commit) + "\n")
        except OSError as exc:
            if self.path.exists():
                os.truncate(self.path, before)
            raise RunError(f"{self.path}: {exc.strerror}; free some space and give the same command again") from exc
        self._done[round_name] = next_index
        self.dropped[round_name] = self.dropped.get(round_name, 0) + dropped

    def read(self, round_name: str | None = None) -> Iterator[Trajectory]:
        """All committed trajectories, in the order of the questions; of one round if it is named."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    trajectory = Trajectory.model_validate_json(line)
                except ValidationError as exc:
                    first = exc.errors()[0]
                    where = ".".join(map(str, first["loc"]))
                    raise DataError(f"{self.path}, line {number}: {where}: {first['msg']}") from exc
                if round_name is None or trajectory.round == round_name:
                    yield trajectory

    def _committed_lines(self) -> Iterator[dict[str, int]]:
        if not self._commits.exists():
            return
        whole = self._commits.read_bytes()
        kept = whole.rfind(b"\n") + 1
        if kept < len(whole):
            os.truncate(self._commits, kept)
        for line in whole[:kept].splitlines():
            yield json.loads(line)


def _append(path: Path, text: str) -> int:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()
