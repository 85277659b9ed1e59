"""Maps a model's raw values to scores from 0 to 10: a monotone map, fitted once and stored in a file."""

from __future__ import annotations

import hashlib
import json
import math
from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, ValidationError, model_validator

from ..errors import DataError, JudgeError, RunError, UserError
from ..records import Candidate, Record, Verdict
from .components import ComponentConfig, JudgeRequest
from .remote_judge import ApiReply, RemoteJudge


class Calibration(Record):
    """A monotone map from raw values to scores: linear between its knots, constant beyond them."""

    raw: tuple[float, ...]
    """Knots, strictly rising, in the judge's own unit."""
    scores: tuple[float, ...]
    """The score at each knot, in [0, 10], never falling."""
    judge: str
    scale: str
    """`CalibratedJudge.scale` of the judge that it was fitted for."""
    fitted_on: str
    """Where the raw values and their targets came from."""
    n: int
    """How many pairs it was fitted on."""

    @model_validator(mode="after")
    def _is_monotone(self) -> Calibration:
        if not len(self.raw) == len(self.scores) >= 2:
            raise ValueError("a map needs at least two knots, each with a score")
        if not all(map(math.isfinite, self.raw)) or any(a >= b for a, b in pairwise(self.raw)):
            raise ValueError("the raw values are not finite and strictly rising")
        if not (self.scores[0] >= 0 and self.scores[-1] <= 10) or not all(a <= b for a, b in pairwise(self.scores)):
            raise ValueError("the scores are not in [0, 10] and rising")
        return self

    @cached_property
    def hash(self) -> str:
        """Sixteen hex digits over everything in it."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:16]

    def score(self, value: float) -> float:
        """The score of a raw value."""
        right = bisect_left(self.raw, value)
        if right == 0:
            return self.scores[0]
        if right == len(self.raw):
            return self.scores[-1]
        (x0, x1), (y0, y1) = self.raw[right - 1 : right + 1], self.scores[right - 1 : right + 1]
        return min(y0 + (y1 - y0) * (value - x0) / (x1 - x0), y1)

    def save(self, path: Path) -> None:
        """Write the file. Raises `RunError` if it cannot be written."""
        text = json.dumps({**self.model_dump(), "hash": self.hash}, indent=1, ensure_ascii=False) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise RunError(f"{path}: {exc.strerror}; choose another file") from exc

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read the file. Raises `DataError` if it is missing, is not a map, or was changed."""
        try:
            fields: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
            stored = fields.pop("hash", None)
            calibration = cls.model_validate(fields)
        except OSError as exc:
            raise DataError(f"the calibration map {path} cannot be read ({exc.strerror})") from exc
        except ValidationError as exc:
            first = exc.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"{path} is not a calibration map: {where + ': ' if where else ''}{first['msg']}") from exc
        except (ValueError, TypeError) as exc:
            raise DataError(f"{path} is not a calibration map: it is not a JSON object") from exc
        if stored != calibration.hash:
            raise DataError(f"{path} was changed after it was fitted (its hash does not fit); fit it again")
        return calibration


def fit_calibration(
    raw: Sequence[float], target: Sequence[float], *, judge: str = "", scale: str = "", fitted_on: str = ""
) -> Calibration:
    """Isotonic least-squares regression of target scores on raw values (pool adjacent violators).

    The knots are the ends of the pooled blocks. So the map is the least-squares fit at every value that it was fitted
    on, and values between two blocks keep their order.

    Args:
        raw: the judge's raw values.
        target: for each the score that it should have, in [0, 10].
        judge, scale, fitted_on: what the map is for and what it was fitted on; stored in the map.

    Raises:
        DataError: values are not finite or not in range, there are fewer than two different raw values, or the targets
            do not rise with the raw values at all, so that the map would be flat.
    """
    if len(raw) != len(target):
        raise DataError(f"{len(raw)} raw values but {len(target)} target scores")
    if not all(map(math.isfinite, raw)) or not all(0 <= score <= 10 for score in target):
        raise DataError("a map is fitted on finite raw values and target scores from 0 to 10")
    groups: dict[float, list[float]] = {}
    for value, score in zip(raw, target, strict=True):
        groups.setdefault(value, []).append(score)
    values = sorted(groups)
    from scipy.optimize import isotonic_regression

    means = [math.fsum(groups[value]) / len(groups[value]) for value in values]
    fit = isotonic_regression(means, weights=[len(groups[value]) for value in values])
    if len(fit.blocks) < 3:  # the bounds of one block
        raise DataError(
            f"the target scores do not rise with the raw values ({len(raw)} pairs, {len(values)} different raw values):"
            " the map would be flat; fit on more steps, or choose another model"
        )
    knots: list[tuple[float, float]] = []
    for first, after in pairwise(map(int, fit.blocks)):
        score = min(max(float(fit.x[first]), 0.0), 10.0)
        knots += [(values[at], score) for at in sorted({first, after - 1})]
    return Calibration(
        raw=tuple(x for x, _ in knots), scores=tuple(y for _, y in knots),
        judge=judge, scale=scale, fitted_on=fitted_on, n=len(raw),
    )  # fmt: skip


class CalibratedJudge(RemoteJudge):
    """A judge whose model gives raw values in its own unit. A fitted map turns them into scores; without a map there
    are no scores, since a threshold on the 0-10 scale would be meaningless.

    `spark-framework calibrate` fits the map. Implement `scale`, `request` and `send`; a reply's body is
    `{"values": [one raw value for each candidate]}`. Raw values are stored as replies, so another map needs
    no new request.
    """

    class Config(ComponentConfig):
        calibration: Path | None = None
        """The map from raw values to scores: a file that `spark-framework calibrate` wrote."""
        process_threshold: float = Field(default=6.0, ge=0, le=10)
        """A candidate is process_ok if its score is above this value and its call could be parsed and did not fail."""

    not_behaviour: ClassVar[frozenset[str]] = frozenset({"calibration"})
    """Settings that the fingerprint leaves out: paths of files. Their content counts."""
    _calibration: Calibration | None = None

    @abstractmethod
    def scale(self) -> str:
        """**REQUIRED.** Hex digits that identify everything the raw values depend on besides the step: weights,
        tokenizer, form of the text. A map fitted on another scale is refused. Raises `UserError` if the model is
        missing."""

    def raw(self, reply: ApiReply) -> tuple[float, ...]:
        """The raw values in a reply, in the candidates' order. Raises `JudgeError` if one is not a finite number."""
        values = reply.body.get("values")
        if not isinstance(values, list) or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
            raise JudgeError("the model's raw values are not all finite numbers", "invalid")
        return tuple(map(float, values))

    def calibration(self) -> Calibration:
        """The map. Raises `UserError` if there is none, or if it was fitted on another scale."""
        if self._calibration is None:
            path = self.config.calibration
            if path is None:
                raise UserError(
                    "thresholded selection needs a calibration map; fit one with `spark-framework calibrate RUN "
                    f"--judge {self.name} --output map.json` and set judge.calibration to it"
                )
            found = Calibration.load(path)
            if found.scale != self.scale():
                raise UserError(
                    f"the calibration map {path} was fitted for other weights, another tokenizer or another judge "
                    f"({found.judge or 'unnamed'}); fit one with `spark-framework calibrate RUN --judge {self.name}`"
                )
            self._calibration = found
        return self._calibration

    def prepare(self) -> None:
        self.calibration()

    def fingerprint(self) -> str:
        """Depends on the settings, on everything the raw values depend on, and on the content of the map."""
        settings = self.config.model_dump_json(exclude=set(self.not_behaviour))
        fitted = self.calibration().hash if self.config.calibration else ""
        text = f"{type(self).__module__}.{type(self).__qualname__}\n{settings}\n{self.scale()}\n{fitted}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def score(self, request: JudgeRequest) -> Verdict:
        try:
            self.calibration()  # before anything is computed
        except UserError as exc:
            raise JudgeError(str(exc), "config") from exc
        return super().score(request)

    def read(self, request: JudgeRequest, reply: ApiReply) -> Verdict:
        values = self.raw(reply)
        if len(values) != len(request.candidates):
            raise JudgeError(f"{len(values)} raw values for {len(request.candidates)} candidates", "invalid")
        scores = tuple(map(self.calibration().score, values))
        return Verdict(
            scores=scores,
            process_ok=tuple(
                score > self.config.process_threshold and _ran(candidate)
                for score, candidate in zip(scores, request.candidates, strict=True)
            ),
            judge=self.name,
            fingerprint=self.fingerprint(),
            reason="raw " + " ".join(f"{value:.4g}" for value in values),
        )


def _ran(candidate: Candidate) -> bool:
    return candidate.arguments is not None and candidate.ok is not False
