"""The contract that every judge has to keep, and what this one does."""

from collections.abc import Callable

import pytest
from spark_framework.api import JudgeError
from spark_framework.testing import JudgeContract, Project, sample_request

from spark_judge_terse import Terse


class TestTerse(JudgeContract):
    @pytest.fixture
    def judge(self) -> Terse:
        return Terse()


def test_failures_score_least() -> None:
    request = sample_request()
    verdict = Terse().score(request)
    failed = [score for score, candidate in zip(verdict.scores, request.candidates, strict=True) if not candidate.ok]
    assert set(failed) == {1.0}


def test_without_observations_there_is_no_verdict() -> None:
    request = sample_request()
    unexecuted = tuple(candidate.model_copy(update={"ok": None}) for candidate in request.candidates)
    with pytest.raises(JudgeError, match="execute: all"):
        Terse().score(request.model_copy(update={"candidates": unexecuted}))


def test_a_run_takes_it(spark_project: Callable[..., Project]) -> None:
    project = spark_project(judge={"use": "terse", "short": 20})
    assert project.command("generate", project.config).code == 0
    verdicts = [step.verdict for trajectory in project.trajectories() for step in trajectory.steps if step.verdict]
    assert {verdict.judge for verdict in verdicts} == {"terse"}
