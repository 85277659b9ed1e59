"""Recorded verdicts: one JSON line a step, written by `rejudge` and read by the judge `replay` and by people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..contracts.components import JudgeRequest
from ..errors import DataError
from ..records import Candidate, Record, Verdict
from ..util.files import append_lines, whole_lines

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
        for number, line in enumerate(whole[: whole_lines(whole)].splitlines(), 1):
            try:
                yield RecordedVerdict.model_validate_json(line)
            except ValidationError as exc:
                first = exc.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the line"
                raise DataError(f"{self.path}, line {number}: {where}: {first['msg']}") from exc

    def append(self, verdicts: Sequence[RecordedVerdict]) -> None:
        """Add verdicts; returns when they are on disk. Raises `RunError` where the disk refuses."""
        size = whole_lines(self._bytes()) if self._size is None else self._size
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
