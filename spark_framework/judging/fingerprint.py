"""Fingerprints of a judge's behaviour and of a step as the judge sees it. They change with all that affects a
verdict."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType

from pydantic import TypeAdapter

from ..contracts.components import Judge, JudgeRequest
from ..records import Candidate
from .component_files import component_files

_CANDIDATES = TypeAdapter(tuple[Candidate, ...])


_GOLD = {"answer", "plan"}


class StepFingerprints:
    """Fingerprints of steps. Hashes of candidates are cached for a wave: call `forget` after each one."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[tuple[Candidate, ...], bytes]] = {}

    def of(self, judge: Judge, request: JudgeRequest) -> str:
        """64 hex digits over the judge's code and settings, the question (with the gold answer only if the judge sees
        it), all steps so far, the candidates and the seed."""
        question = request.question.model_dump_json(exclude=None if judge.uses_gold else _GOLD)
        digest = hashlib.sha256(f"{behaviour_id(judge)}\n{request.seed}\n{question}".encode())
        for step in request.steps:
            digest.update(b"%d" % step.chosen + self._candidates(step.candidates))
        digest.update(self._candidates(request.candidates))
        return digest.hexdigest()

    def forget(self) -> None:
        """Clear the cache."""
        self._known.clear()

    def _candidates(self, candidates: tuple[Candidate, ...]) -> bytes:
        known = self._known.get(id(candidates))
        if known is None:
            known = (candidates, hashlib.sha256(_CANDIDATES.dump_json(candidates)).digest())
            self._known[id(candidates)] = known
        return known[1]


def behaviour_id(judge: Judge) -> str:
    """Identifies a judge's behaviour: its settings (`fingerprint`) and its code."""
    return f"{judge.fingerprint()}-{_code(type(judge))}"


@cache
def _code(cls: type) -> str:
    """Digest of the code of a judge (`_parts`)."""
    digest = hashlib.sha256()
    for part in _parts(cls):
        digest.update(part)
    return digest.hexdigest()[:16]


def _parts(cls: type) -> Iterator[bytes]:
    """For a class in a package: its module, what that imports from the package, and their data files; for a module in a
    shared folder (site-packages): its file; for a class written in a notebook: its methods."""
    try:
        file = Path(inspect.getfile(cls))
    except (TypeError, OSError):  # a notebook's classes have no file
        methods = ((name, getattr(value, "__func__", value)) for name, value in sorted(vars(cls).items()))
        yield from (name.encode() + _bytecode(m.__code__) for name, m in methods if hasattr(m, "__code__"))
        return
    if not sys.modules[cls.__module__].__package__:  # its folder is shared: site-packages, or a project with runs
        yield file.read_bytes()
        return
    yield from (name.encode() + path.read_bytes() for name, path in component_files(cls.__module__, file))


def _bytecode(code: CodeType) -> bytes:
    """What a function does, independent of its file and line."""
    parts = [code.co_code, repr(code.co_names).encode()]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts.append(_bytecode(constant))
        else:  # a set has no order
            parts.append(repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant).encode())
    return b"\n".join(parts)
