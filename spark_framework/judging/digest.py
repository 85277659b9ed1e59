"""What a judge sees of a step, as a short name: whatever could change a verdict changes it."""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from ..contracts import Judge, JudgeRequest
from ..records import Candidate

_CANDIDATES = TypeAdapter(tuple[Candidate, ...])


class StepDigests:
    """Digests of steps. A step's candidates are digested once, as long as they live here: `forget` between waves."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[tuple[Candidate, ...], bytes]] = {}

    def of(self, judge: Judge, request: JudgeRequest) -> str:
        """64 hex digits over the judge's code and settings, the question, all steps so far, the candidates and the
        seed."""
        digest = hashlib.sha256(f"{reader(judge)}\n{request.seed}\n{request.question.model_dump_json()}".encode())
        for step in request.steps:
            digest.update(b"%d" % step.chosen + self._candidates(step.candidates))
        digest.update(self._candidates(request.candidates))
        return digest.hexdigest()

    def forget(self) -> None:
        """Let go of the candidates."""
        self._known.clear()

    def _candidates(self, candidates: tuple[Candidate, ...]) -> bytes:
        known = self._known.get(id(candidates))
        if known is None:
            known = (candidates, hashlib.sha256(_CANDIDATES.dump_json(candidates)).digest())
            self._known[id(candidates)] = known
        return known[1]


def reader(judge: Judge) -> str:
    """Names the judge's behaviour: its settings (fingerprint) and the code of the package that it comes from."""
    return f"{judge.fingerprint()}-{_code(type(judge))}"


@cache
def _code(cls: type) -> str:
    """Digest of all files beside the judge's module: prompts and parsers count, and so does a change of any of them."""
    try:
        folder = Path(inspect.getfile(cls)).parent
    except (TypeError, OSError):  # written in a notebook: its source is all there is
        return hashlib.sha256(inspect.getsource(cls).encode()).hexdigest()[:16]
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix in {".py", ".txt", ".md", ".json"}:
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]
