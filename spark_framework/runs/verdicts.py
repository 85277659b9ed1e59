"""Recorded verdicts: one JSON line per step, written by `rejudge` and read by the judge `replay`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..contracts.components import JudgeRequest
from ..errors import DataError
from ..records import Candidate, Record, Verdict
from ..util.files import append_lines, complete_size

_SHOWN = {"action", "arguments", "thought", "text", "observation", "ok", "error"}
"""The fields of a candidate that a judge can see. Tokens and their probabilities differ between machines."""


class RecordedVerdict(Record):
    """One line of a file."""

    trajectory: str
    """The trajectory's id, for readers of the file: verdicts are looked up by `digest`."""
    step: int
    question_id: str
    digest: str
    """`step_digest` of the request."""
    verdict: Verdict


def step_digest(request: JudgeRequest) -> str:
    """64 hex digits over everything that a judge sees of a step: the question without its answer, the earlier calls,
    and the candidates. It does not depend on the seed or on earlier verdicts."""
    seen = [
        request.question.without_gold().model_dump(mode="json"),
        [_shown(step.candidate) for step in request.steps],
        [_shown(candidate) for candidate in request.candidates],
    ]
    text = json.dumps(seen, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class VerdictFile:
    """A file of recorded verdicts. It is append-only and survives `kill -9` at any byte: an incomplete last line is not
    read, and is truncated before the next append."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size: int | None = None

    def read(self) -> dict[str, Verdict]:
        """The verdicts by `step_digest`; empty if there is no file. Raises `DataError`, which names a damaged line."""
        return {line.digest: line.verdict for line in self.lines()}

    def lines(self) -> Iterator[RecordedVerdict]:
        """All complete lines. Raises `DataError`, which names a damaged line."""
        data = self._bytes()
        for number, line in enumerate(data[: complete_size(data)].splitlines(), 1):
            try:
                yield RecordedVerdict.model_validate_json(line)
            except ValidationError as exc:
                first = exc.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the line"
                raise DataError(f"{self.path}, line {number}: {where}: {first['msg']}") from exc

    def append(self, verdicts: Sequence[RecordedVerdict]) -> None:
        """Append verdicts; return when they are on disk. Raises `RunError` if they cannot be written."""
        size = complete_size(self._bytes()) if self._size is None else self._size
        self._size = append_lines(self.path, size, (verdict.model_dump_json() for verdict in verdicts))

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as exc:
            raise DataError(f"{self.path}: cannot be read ({exc.strerror})") from exc


def _shown(candidate: Candidate) -> dict[str, object]:
    return candidate.model_dump(mode="json", include=_SHOWN)
