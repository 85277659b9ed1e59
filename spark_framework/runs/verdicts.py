"""Recorded verdicts: one JSON line a step, written by `rejudge` and read by the judge `replay` and by people."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..contracts.components import JudgeRequest
from ..errors import DataError, RunError
from ..records import Candidate, Record, Verdict

_SHOWN = {"action", "arguments", "thought", "text", "observation", "ok", "error"}
"""What a judge can see of a candidate. Tokens and their probabilities differ between machines and count for nothing."""


class RecordedVerdict(Record):
    """One line of a file."""

    trajectory: str
    """The trajectory's id, for people: what a verdict belongs to is found by its digest."""
    step: int
    question_id: str
    digest: str
    """`step_digest` of what was judged."""
    verdict: Verdict


def step_digest(request: JudgeRequest) -> str:
    """64 hex digits over what any judge sees of a step: the question without its answer, the calls that were made so
    far, and the candidates. Neither the seed nor an earlier verdict changes it."""
    seen = [
        request.question.without_gold().model_dump(mode="json"),
        [_shown(step.candidate) for step in request.steps],
        [_shown(candidate) for candidate in request.candidates],
    ]
    text = json.dumps(seen, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def recorded_verdicts(path: Path) -> dict[str, Verdict]:
    """Verdicts by `step_digest`, from a file of recorded verdicts or from a whole run.

    Args:
        path: a file that `rejudge` wrote, or a run folder, whose own verdicts are meant.

    Raises:
        UserError: there is nothing, or something else, or a line is damaged.
    """
    if path.is_dir():
        from .decisions import states_of
        from .run_dir import existing_run

        return {state.digest: state.verdict for state in states_of(existing_run(path))}
    verdicts = VerdictFile(path).read()
    if not verdicts:
        raise DataError(f"{path} holds no verdict; give a file that `spark-framework rejudge` wrote, or a run folder")
    return verdicts


class VerdictFile:
    """A file of recorded verdicts. It is only ever appended to, and survives `kill -9` at any byte: a last line without
    its end is not read, and cut off before the next append."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size: int | None = None

    def read(self) -> dict[str, Verdict]:
        """The verdicts by `step_digest`; none where there is no file. DataError names the line that is damaged."""
        return {line.digest: line.verdict for line in self.lines()}

    def lines(self) -> Iterator[RecordedVerdict]:
        """All whole lines. DataError names the one that is damaged."""
        whole = self._bytes()
        for number, line in enumerate(whole[: whole.rfind(b"\n") + 1].splitlines(), 1):
            try:
                yield RecordedVerdict.model_validate_json(line)
            except ValidationError as exc:
                first = exc.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the line"
                raise DataError(f"{self.path}, line {number}: {where}: {first['msg']}") from exc

    def append(self, verdicts: Sequence[RecordedVerdict]) -> None:
        """Add verdicts; returns when they are on disk. Raises `RunError` where the disk refuses."""
        data = "".join(verdict.model_dump_json() + "\n" for verdict in verdicts).encode()
        size = self._bytes().rfind(b"\n") + 1 if self._size is None else self._size
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.truncate(size)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            raise RunError(f"{self.path}: {exc.strerror}; free some space and give the same command again") from exc
        self._size = size + len(data)

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as exc:
            raise DataError(f"{self.path}: cannot be read ({exc.strerror})") from exc


def _shown(candidate: Candidate) -> dict[str, object]:
    return candidate.model_dump(mode="json", include=_SHOWN)
