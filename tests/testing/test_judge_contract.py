"""JudgeContract: a good judge passes; every bad one is found by the check that is there for it."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import pytest

from spark_framework.api import ComponentConfig, Judge, JudgeError, JudgeRequest, Verdict
from spark_framework.testing import ComponentContract, JudgeContract, sample_request
from tests.testing.failing import Faults, assert_found, checks_of, failures

FAULTS = Faults()


class Terse(Judge):
    """9 less one for every ten characters of an observation."""

    name = "terse"

    def score(self, request: JudgeRequest) -> Verdict:
        if any(candidate.arguments is None for candidate in request.candidates):
            raise JudgeError("a call could not be read")
        return self.verdict([max(0.0, 9 - len(c.observation or "") / 10) for c in request.candidates])

    def verdict(self, scores: list[float], **fields: Any) -> Verdict:
        known = {"process_ok": (True,) * len(scores), "judge": self.name, "fingerprint": self.fingerprint()}
        return Verdict(scores=tuple(scores), **{**known, **fields})


# -- a verdict -----------------------------------------------------------------------------------------------------


@FAULTS.found_by("every_candidate_gets_its_score", says="3 scores for 2 candidates")
class Generous(Terse):
    """One score too many for two candidates."""

    def score(self, request: JudgeRequest) -> Verdict:
        scores = list(super().score(request).scores)
        return self.verdict(scores + scores[:1] * (len(scores) == 2))


@FAULTS.found_by("every_candidate_gets_its_score", "odd_steps_get_a_verdict_or_a_judge_error", says="is not in [0, 10]")
class NotANumber(Terse):
    """A verdict that was never checked, with a score that is none."""

    def score(self, request: JudgeRequest) -> Verdict:
        verdict = super().score(request)
        return Verdict.model_construct(**{**dict(verdict), "scores": (math.nan,) * len(verdict.scores)})


@FAULTS.found_by("every_candidate_gets_its_score", says="raised ZeroDivisionError: ")
class Ranks(Terse):
    """Scores by rank, which takes two."""

    def score(self, request: JudgeRequest) -> Verdict:
        last = len(request.candidates) - 1
        scores = super().score(request).scores
        return self.verdict([round(10 * sum(other < one for other in scores) / last, 6) for one in scores])


@FAULTS.found_by("a_verdict_names_its_judge", says="set judge=self.name")
class Anonymous(Terse):
    """Does not sign."""

    def score(self, request: JudgeRequest) -> Verdict:
        return super().score(request).model_copy(update={"judge": "somebody"})


@FAULTS.found_by("a_verdict_names_its_judge", says="set fingerprint=self.fingerprint()")
class Unmarked(Terse):
    """Does not say with which settings."""

    def score(self, request: JudgeRequest) -> Verdict:
        return super().score(request).model_copy(update={"fingerprint": ""})


@FAULTS.found_by("a_verdict_is_the_same_every_time", says="a new instance judges differently")
class KnowsItself(Terse):
    """Every instance has its own view."""

    made = itertools.count()

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self.number = next(self.made)

    def score(self, request: JudgeRequest) -> Verdict:
        return self.verdict(list(super().score(request).scores), reason=f"says number {self.number}")


@FAULTS.found_by("scores_belong_to_candidates_and_not_to_places", says="in reverse order the candidates score")
class Tires(Terse):
    """Gives less and less."""

    def score(self, request: JudgeRequest) -> Verdict:
        return self.verdict([score / (k + 1) for k, score in enumerate(super().score(request).scores)])


@FAULTS.found_by("eight_threads_get_the_verdict_of_one", says="add a lock")
class Shared(Terse):
    """Keeps in itself what belongs to the call."""

    busy = 0

    def score(self, request: JudgeRequest) -> Verdict:
        self.busy += 1
        time.sleep(0.002)
        together, self.busy = self.busy, 0
        return self.verdict([min(10.0, score * together) for score in super().score(request).scores])


# -- what it may know ----------------------------------------------------------------------------------------------


@FAULTS.found_by("the_stored_answer_changes_nothing", says="or declare uses_gold = True")
class Peeks(Terse):
    """Reads the stored answer where there is one."""

    def score(self, request: JudgeRequest) -> Verdict:
        verdict = super().score(request)
        return verdict if request.question.answer is None else self.verdict([0.0] * len(verdict.scores))


@FAULTS.found_by("an_oracle_without_the_answer_says_so", says="of kind 'invalid': use 'config'")
class Oracle(Terse):
    """Needs the answer, and says the wrong thing where there is none."""

    uses_gold = True

    def score(self, request: JudgeRequest) -> Verdict:
        if request.question.answer is None:
            raise JudgeError("there is no answer to compare with")
        return super().score(request)


# -- odd input -----------------------------------------------------------------------------------------------------


@FAULTS.found_by("odd_steps_get_a_verdict_or_a_judge_error", says="a candidate that was not executed: 8 scores for 9")
class Skips(Terse):
    """Leaves out what was not executed."""

    def score(self, request: JudgeRequest) -> Verdict:
        scores = super().score(request).scores
        return self.verdict([s for s, c in zip(scores, request.candidates, strict=True) if c.ok is not None])


@FAULTS.found_by("odd_steps_get_a_verdict_or_a_judge_error", says="raised AttributeError: ")
class Trusts(Terse):
    """Takes it that all were executed."""

    def score(self, request: JudgeRequest) -> Verdict:
        return self.verdict([float(len(c.observation.split()) % 10) for c in request.candidates])  # type: ignore[union-attr]


@FAULTS.found_by("odd_steps_get_a_verdict_or_a_judge_error", says="the JudgeError has no text")
class Sulks(Terse):
    """Says nothing."""

    def score(self, request: JudgeRequest) -> Verdict:
        if not request.steps:
            raise JudgeError("")
        return super().score(request)


@FAULTS.found_by("odd_steps_get_a_verdict_or_a_judge_error", says="the verdict cannot be stored")
class Quotes(Terse):
    """Repeats half of a surrogate pair."""

    def score(self, request: JudgeRequest) -> Verdict:
        return self.verdict(list(super().score(request).scores), reason=request.candidates[0].thought)


@FAULTS.found_by("odd_steps_get_a_verdict_or_a_judge_error", says="took more than 0.5 s")
class Ponders(Terse):
    """Takes its time for long observations."""

    def score(self, request: JudgeRequest) -> Verdict:
        time.sleep(2 * any(len(c.observation or "") > 10_000 for c in request.candidates))
        return super().score(request)


@FAULTS.found_by("judging_changes_no_request", says="copy lists and mappings before you change them")
class Strips(Terse):
    """Takes away the arguments that it has read."""

    def score(self, request: JudgeRequest) -> Verdict:
        verdict = super().score(request)
        for candidate in request.candidates:
            (candidate.arguments or {}).pop("query", None)
        return verdict


class BoundedContract(JudgeContract):
    time_limit = 0.5


class TestTerse(BoundedContract):
    has_entry_point = False

    @pytest.fixture
    def judge(self) -> Judge:
        return Terse()


@FAULTS.each()
def test_a_bad_judge_is_found(fault):
    assert_found(fault, BoundedContract)


def test_every_check_of_judges_has_found_a_fault():
    assert FAULTS.checks() == set(checks_of(JudgeContract)) - set(checks_of(ComponentContract))


def test_a_judge_that_draws_without_a_seed_is_found():
    class Draws(Terse):
        def score(self, request: JudgeRequest) -> Verdict:
            return self.verdict([next(COUNT) % 10.0 for _ in request.candidates])

    found = failures(BoundedContract, Draws())
    assert "the same step is judged differently: draw from `request.seed`" in found["a_verdict_is_the_same_every_time"]


COUNT = itertools.count()


def test_scores_by_place_can_be_declared():
    assert failures(BoundedContract, Tires(), order_matters=True) == {}


def test_a_sample_of_ones_own_is_used():
    asked = sample_request(candidates=3)

    class Own(BoundedContract):
        def sample(self) -> JudgeRequest:
            return asked

    assert failures(Own, Terse()) == {}
