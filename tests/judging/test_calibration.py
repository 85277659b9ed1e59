"""Raw values become scores through a map that was fitted for them, or not at all."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from spark_framework.api import (
    ApiReply,
    ApiRequest,
    CalibratedJudge,
    Calibration,
    Candidate,
    JudgeError,
    JudgeRequest,
    Question,
    UserError,
    Verdict,
    fit_calibration,
)
from spark_framework.config.judging import JudgingSection
from spark_framework.errors import DataError
from spark_framework.host.manager import Host
from spark_framework.judging.runner import open_judging


class Lengths(CalibratedJudge):
    """The raw value of a candidate is the length of its observation."""

    name = "lengths"
    weights = "w1"
    sent = 0

    def scale(self) -> str:
        return self.weights

    def request(self, request: JudgeRequest) -> ApiRequest:
        return ApiRequest(endpoint="local:lengths", body={"texts": [c.observation for c in request.candidates]})

    def send(self, api_request: ApiRequest) -> ApiReply:
        self.sent += 1
        return ApiReply(body={"values": [len(text) for text in api_request.body["texts"]]})


def request(*lengths: int, **changes: Any) -> JudgeRequest:
    question = Question(id="q", text="?", options=("a", "b"), answer=None, category="c", source="s")
    candidates = tuple(
        Candidate(**{"action": "t", "arguments": {}, "observation": "x" * n, "ok": True, **changes}) for n in lengths
    )
    return JudgeRequest(question=question, steps=(), candidates=candidates)


def fitted(
    path: Path, raw: tuple[float, ...] = (0, 10), target: tuple[float, ...] = (0, 10), scale: str = "w1"
) -> Path:
    fit_calibration(raw, target, judge="lengths", scale=scale, fitted_on="a test").save(path)
    return path


def lengths(path: Path | None, **settings: Any) -> Lengths:
    return Lengths(Lengths.Config(calibration=path, **settings))


# -- fitting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_fit_is_that_of_scikit_learn(seed: int) -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    rng = random.Random(seed)
    n = rng.randint(3, 200)
    raw = [round(rng.gauss(0, 1), rng.choice((1, 6))) for _ in range(n)]  # with and without ties
    target = [min(max(5 + 2 * value + rng.gauss(0, 2), 0.0), 10.0) for value in raw]
    fit = fit_calibration(raw, target)
    reference = isotonic.IsotonicRegression(out_of_bounds="clip").fit(raw, target)
    points = [rng.uniform(min(raw) - 1, max(raw) + 1) for _ in range(100)] + raw
    for value, expected in zip(points, reference.predict(points), strict=True):
        assert fit.score(value) == pytest.approx(float(expected), abs=1e-9)


def pooled(points: list[tuple[float, int]]) -> list[float]:
    """Pool adjacent violators: means with weights, in order, to the fitted value at each."""
    blocks: list[tuple[float, int, int]] = []
    for mean, weight in points:
        count = 1
        while blocks and blocks[-1][0] >= mean:
            before, more, members = blocks.pop()
            mean, weight, count = (before * more + mean * weight) / (more + weight), more + weight, count + members
        blocks.append((mean, weight, count))
    return [mean for mean, _, count in blocks for _ in range(count)]


@pytest.mark.parametrize("seed", range(50))
def test_the_fit_pools_adjacent_violators(seed: int) -> None:
    rng = random.Random(seed)
    raw = [round(rng.gauss(0, 1), rng.choice((1, 6))) for _ in range(rng.randint(3, 200))]
    target = [min(max(5 + 2 * value + rng.gauss(0, 2), 0.0), 10.0) for value in raw]
    groups: dict[float, list[float]] = {}
    for value, score in zip(raw, target, strict=True):
        groups.setdefault(value, []).append(score)
    expected = pooled([(fmean(groups[value]), len(groups[value])) for value in sorted(groups)])
    fit = fit_calibration(raw, target)
    assert [fit.score(value) for value in sorted(groups)] == pytest.approx(expected, abs=1e-12)


def test_a_fit_by_hand() -> None:
    """3 and 1 violate the order and are pooled to 2; two equal raw values count as their mean."""
    fit = fit_calibration([1, 2, 3, 4, 4], [0, 3, 1, 8, 10], fitted_on="paper")
    assert (fit.raw, fit.scores) == ((1, 2, 3, 4), (0, 2, 2, 9))
    assert (fit.n, fit.fitted_on) == (5, "paper")
    assert [fit.score(value) for value in (-9, 1.5, 2.5, 3.5, 99)] == [0, 1, 2, 5.5, 9]


def test_a_map_is_monotone_and_stays_in_range() -> None:
    rng = random.Random(1)
    raw = [rng.choice((rng.gauss(0, 1e-12), rng.gauss(0, 1e12))) for _ in range(300)]
    target = [10.0 if value > 0 else rng.uniform(0, 10) for value in raw]
    fit = fit_calibration(raw, target)
    points = sorted(rng.choice(raw) + rng.gauss(0, 1) for _ in range(2000))
    scores = [fit.score(value) for value in (-1e300, *points, 1e300)]
    assert all(a <= b for a, b in pairwise(scores))
    assert min(scores) >= 0
    assert max(scores) <= 10


@pytest.mark.parametrize(
    ("raw", "target", "reason"),
    [
        ([1, 2, 3], [3, 2, 1], "would be flat"),
        ([1, 2, 3], [5, 5, 5], "would be flat"),
        ([2, 2, 2], [1, 5, 9], "1 different raw values"),
        ([], [], "would be flat"),
        ([1, 2], [1], "2 raw values but 1 target"),
        ([1, math.nan], [1, 2], "finite"),
        ([1, math.inf], [1, 2], "finite"),
        ([1, 2], [1, 10.5], "from 0 to 10"),
        ([1, 2], [1, math.nan], "from 0 to 10"),
    ],
)
def test_what_gives_no_map_is_refused(raw: list[float], target: list[float], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        fit_calibration(raw, target)


# -- the file ------------------------------------------------------------------------------------------------------


def test_a_saved_map_is_the_same_when_it_is_loaded(tmp_path: Path) -> None:
    fit = fit_calibration([0.1, 0.2, 1 / 3], [0, 4, 9.7], judge="contrast", scale="abc", fitted_on="runs/x")
    fit.save(tmp_path / "new" / "map.json")
    loaded = Calibration.load(tmp_path / "new" / "map.json")
    assert loaded == fit
    assert json.loads((tmp_path / "new" / "map.json").read_text())["hash"] == fit.hash


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scores": [0, 9]}, "hash does not fit"),
        ({"hash": "0"}, "hash does not fit"),
        ({"scale": "other"}, "hash does not fit"),
        ({"raw": [10, 0]}, "strictly rising"),
        ({"raw": [0, math.nan]}, "finite"),
        ({"scores": [0, 11]}, r"\[0, 10\]"),
        ({"scores": [math.nan, 5]}, r"\[0, 10\]"),
        ({"raw": [1], "scores": [1]}, "two knots"),
        ({"raw": "x"}, "raw"),
        ({"more": 1}, "more"),
    ],
)
def test_a_map_that_was_changed_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = fitted(tmp_path / "map.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=reason):
        Calibration.load(path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "null", '"x"'])
def test_a_file_that_is_not_a_map_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(DataError, match="is not a calibration map"):
        Calibration.load(tmp_path / "map.json")


def test_a_missing_map_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json cannot be read"):
        lengths(tmp_path / "none.json").prepare()


# -- the judge -----------------------------------------------------------------------------------------------------


def test_without_a_map_there_is_no_score_and_the_message_says_how_to_get_one() -> None:
    judge = lengths(None)
    with pytest.raises(UserError, match=r"`spark-framework calibrate RUN --judge lengths --output map\.json`"):
        judge.prepare()
    with pytest.raises(JudgeError, match="needs a calibration map") as caught:
        judge.score(request(3))
    assert caught.value.kind == "config"
    assert judge.sent == 0
    assert judge.raw(judge.send(judge.request(request(3, 7)))) == (3.0, 7.0)  # what a map is fitted on


def test_a_map_for_other_weights_is_refused(tmp_path: Path) -> None:
    judge = lengths(fitted(tmp_path / "map.json", scale="w2"))
    with pytest.raises(UserError, match="fitted for other weights"):
        judge.prepare()
    with pytest.raises(JudgeError, match="fitted for other weights") as caught:
        judge.score(request(3))
    assert caught.value.kind == "config"


def test_scores_follow_the_map_and_raw_values_are_told(tmp_path: Path) -> None:
    judge = lengths(fitted(tmp_path / "map.json"))
    judge.prepare()
    verdict = judge.score(request(0, 4, 7, 12))
    assert verdict.scores == (0, 4, 7, 10)
    assert verdict.process_ok == (False, False, True, True)
    assert verdict.reason == "raw 0 4 7 12"
    assert (verdict.judge, verdict.fingerprint) == ("lengths", judge.fingerprint())


def test_process_ok_needs_a_call_that_ran_and_a_score_above_its_threshold(tmp_path: Path) -> None:
    path = fitted(tmp_path / "map.json")
    assert lengths(path, process_threshold=8).score(request(8, 9)).process_ok == (False, True)
    assert lengths(path).score(request(9, ok=None)).process_ok == (True,)
    assert lengths(path).score(request(9, ok=False)).process_ok == (False,)
    assert lengths(path).score(request(9, arguments=None)).process_ok == (False,)


@pytest.mark.parametrize("values", [[1.0], [1.0, None], [1.0, math.nan], [1.0, True], [1.0, "2"], None, [1, 2, 3]])
def test_raw_values_that_are_not_one_finite_number_each_are_a_failure(tmp_path: Path, values: Any) -> None:
    judge = lengths(fitted(tmp_path / "map.json"))
    with pytest.raises(JudgeError, match="raw values") as caught:
        judge.read(request(1, 2), ApiReply(body={"values": values}))
    assert caught.value.kind == "invalid"


def test_the_fingerprint_covers_the_map_s_content_and_not_its_place(tmp_path: Path) -> None:
    here, there = lengths(fitted(tmp_path / "a.json")), lengths(fitted(tmp_path / "b.json"))
    other = lengths(fitted(tmp_path / "c.json", target=(0, 9)))
    assert here.fingerprint() == there.fingerprint()
    heavier = lengths(fitted(tmp_path / "d.json", scale="w2"))
    heavier.weights = "w2"
    prints = {here.fingerprint(), other.fingerprint(), heavier.fingerprint(), lengths(None).fingerprint()}
    assert len(prints) == 4


def test_another_map_costs_nothing_since_raw_values_are_stored(tmp_path: Path) -> None:
    def judged(judge: Lengths) -> Verdict:
        with open_judging(Host().calls, tmp_path / "judge.sqlite", JudgingSection(), "run", [judge]) as session:
            (verdict,) = session.judge_all(judge, [request(2, 6)])
            assert isinstance(verdict, Verdict)
            return verdict

    first = lengths(fitted(tmp_path / "a.json"))
    second = lengths(fitted(tmp_path / "b.json", target=(0, 5)))
    assert judged(first).scores == (2, 6)
    assert judged(second).scores == (1, 3)
    assert (first.sent, second.sent) == (1, 0)
