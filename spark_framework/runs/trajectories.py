"""Trajectories on disk: append-only JSONL that survives `kill -9` at any byte.

After each wave, one line with the size of the data file `NAME.jsonl` is appended to `NAME.commits`. Data after the last
complete commit are not read, and are truncated before the next append. Reading does not change files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import DataError
from ..records import Trajectory
from ..util.files import append_lines, complete_size


class TrajectoryStore:
    """The finished trajectories of a run or of an evaluation.

    Args:
        path: the data file; it need not exist.

    Raises:
        DataError: the data file is shorter than its commits record, or the commits are damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._commits = path.with_suffix(".commits")
        self._done: dict[str, int] = {}
        self._size = self._commits_size = 0
        self.dropped: dict[str, list[int]] = {}
        """For each round, the index of the question of every trajectory that was dropped because the judge failed."""
        for commit in self._read_commits():
            self._apply(commit)
        if _size(path) < self._size:
            raise DataError(f"{path} is shorter than its commits record; restore it or delete the run")

    def next_index(self, round_name: str) -> int:
        """Index of the first question of the round that has not been committed."""
        return self._done.get(round_name, 0)

    def append(
        self, round_name: str, trajectories: Sequence[Trajectory], *, next_index: int, dropped: Sequence[int] = ()
    ) -> None:
        """Store one wave's trajectories; return when they are on disk. Raises `RunError` if they cannot be written.

        Args:
            next_index: index of the first question after the wave.
            dropped: the question's index for each trajectory that was dropped because the judge failed.
        """
        size = append_lines(self.path, self._size, (trajectory.model_dump_json() for trajectory in trajectories))
        commit = {"round": round_name, "next": next_index, "size": size, "lost": list(dropped)}
        self._commits_size = append_lines(self._commits, self._commits_size, [json.dumps(commit)])
        self._apply(commit)

    def read(self, round_name: str | None = None) -> Iterator[Trajectory]:
        """All committed trajectories, in the order of the questions; of one round if `round_name` is given."""
        if not self._size:
            return
        left = self._size
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                left -= len(line)
                try:
                    trajectory = Trajectory.model_validate_json(line)
                except ValidationError as exc:
                    first = exc.errors()[0]
                    where = ".".join(map(str, first["loc"])) or "the line"
                    raise DataError(f"{self.path}, line {number}: {where}: {first['msg']}") from exc
                if round_name is None or trajectory.round == round_name:
                    yield trajectory
                if left <= 0:
                    return

    def _apply(self, commit: dict[str, Any]) -> None:
        name = commit["round"]
        self._size, self._done[name] = commit["size"], commit["next"]
        self.dropped.setdefault(name, []).extend(commit["lost"])

    def _read_commits(self) -> Iterator[dict[str, Any]]:
        data = self._commits.read_bytes() if self._commits.exists() else b""
        self._commits_size = complete_size(data)
        for number, line in enumerate(data[: self._commits_size].splitlines(), 1):
            try:
                yield json.loads(line)
            except ValueError as exc:
                raise DataError(f"{self._commits}, line {number}: {exc}; restore it or delete the run") from exc


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
