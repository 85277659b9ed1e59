"""The contract that every judge has to keep, and what this one does."""

import pytest
from spark_framework.api import Candidate, Verdict
from spark_framework.testing import JudgeContract, sample_request

from spark_judge_grounded import Grounded


class TestGrounded(JudgeContract):
    @pytest.fixture
    def judge(self) -> Grounded:
        return Grounded()


def judged(*candidates: Candidate, **settings: float) -> Verdict:
    step = sample_request()
    question = step.question.model_copy(update={"text": "What is 12 times 3.5?"})
    request = step.model_copy(update={"question": question, "steps": (), "candidates": candidates})
    return Grounded(Grounded.Config(**settings)).score(request)


def call(expression: str | None, ok: bool = True) -> Candidate:
    arguments = None if expression is None else {"expression": expression}
    return Candidate(action="calculator", arguments=arguments, observation="42", ok=ok)


def test_numbers_from_nowhere_cost_points() -> None:
    assert judged(call("12 * 3.5"), call("12 * 4")).scores == (8.0, 4.0)
    assert judged(call("12 * 4"), foreign=0).scores == (0.0,)


def test_a_call_that_did_not_run_is_not_sound() -> None:
    verdict = judged(call("12 * 3.5", ok=False), call(None))
    assert verdict.scores == (1.0, 1.0)
    assert verdict.process_ok == (False, False)
