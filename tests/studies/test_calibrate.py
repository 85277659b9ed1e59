"""`calibrate`: from raw values to scores, once, and then nothing is computed again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spark_framework import calibrate, rejudge
from spark_framework.api import (
    ApiReply,
    ApiRequest,
    CalibratedJudge,
    Calibration,
    JudgeError,
    JudgeRequest,
    Price,
    Usage,
    UserError,
)
from spark_framework.judging.cache import JudgeStore
from spark_framework.runs.decisions import judged_decisions
from spark_framework.runs.run_dir import existing_run
from spark_framework.runs.verdicts import VerdictFile

Command = Callable[..., tuple[int, str, str]]


class Sharp(CalibratedJudge):
    """Its raw values are 100 times the scores that `noisy` gives for worth alone, less 300: it only lacks the scale."""

    name = "sharp"
    sent = 0
    answers: dict[str, Any]

    def scale(self) -> str:
        return "s1"

    def request(self, request: JudgeRequest) -> ApiRequest:
        shown = [[c.action, str(c.arguments)] for c in request.candidates]
        return ApiRequest(
            endpoint="local:sharp", body={"q": request.question.text, "n": len(request.steps), "shown": shown}
        )

    def send(self, api_request: ApiRequest) -> ApiReply:
        import random

        type(self).sent += 1
        body = api_request.body
        worth = [random.Random(f"{body['q']}/{body['n']}/{a}/{b}").uniform(3, 9) for a, b in body["shown"]]
        return ApiReply(body={"values": [100 * value - 300 for value in worth]})


class Blind(Sharp):
    """Its raw values say nothing."""

    name = "blind"

    def send(self, api_request: ApiRequest) -> ApiReply:
        return ApiReply(body={"values": [1.0 for _ in api_request.body["shown"]]})


@pytest.fixture(autouse=True)
def _counted() -> None:
    Sharp.sent = 0


def worth(run: Path) -> str:
    """Verdicts without noise beside the run's own."""
    rejudge(run, {"use": "tests.studies.noisy:Noisy"}, name="worth")
    return "worth"


def test_the_map_gives_the_other_judge_s_scores(run: Path) -> None:
    done = calibrate(run, Sharp, against=worth(run))
    assert done.file == run / "calibration" / "sharp.json"
    assert done.spearman == pytest.approx(1, abs=0.05)
    assert done.error < 0.5 < done.error_of_mean  # the other judge rounds
    assert done.viable == pytest.approx(done.viable_target, abs=0.05)
    states = judged_decisions(existing_run(run))
    judged = rejudge(run, {"use": f"{__name__}:Sharp", "calibration": str(done.file)})
    assert (judged.judged, judged.calls) == (len(states), 0)  # the raw values were kept
    assert Sharp.sent == len(states)
    mapped, target = (VerdictFile(run / "rejudged" / f"{n}.jsonl").read() for n in ("sharp", "worth"))
    for state in states:
        assert mapped[state.digest].scores == pytest.approx(target[state.digest].scores, abs=0.6)


def test_fitting_again_computes_nothing_again_and_gives_the_same_map(run: Path, tmp_path: Path) -> None:
    first = calibrate(run, Sharp, output=tmp_path / "map.json")
    sent, text = Sharp.sent, first.file.read_bytes()
    calibrate(run, Sharp, output=tmp_path / "map.json")
    assert (Sharp.sent, first.file.read_bytes()) == (sent, text)


def test_the_map_records_what_it_is_fitted_on(run: Path) -> None:
    done = calibrate(run, Sharp, questions=6)
    found = Calibration.load(done.file)
    assert (found.judge, found.scale) == ("sharp", "s1")
    assert found.fitted_on == "run, noisy"  # the run's own judge
    assert found.n == 4 * done.states < 4 * len(judged_decisions(existing_run(run)))


def test_from_refusal_to_a_judged_run_by_commands(run: Path, command: Command) -> None:
    """The line that refuses names the command, and the file that this writes is taken."""
    judge = f"{__name__}:Sharp"
    code, _, err = command("rejudge", run, "--judge", judge)
    assert code == 2
    assert "fit one with `spark-framework calibrate RUN --judge sharp" in err
    code, out, _ = command("calibrate", run, "--judge", judge)
    assert code == 0
    assert out.startswith(f"{run / 'calibration' / 'sharp.json'}: ")
    assert "mean error on questions left out: " in out
    file = run / "calibration" / "sharp.json"
    code, out, _ = command("rejudge", run, "--judge", judge, "--set", f"judge.calibration={file}")
    assert code == 0
    assert " 0 calls" in out


def test_uninformative_raw_values_give_no_map(run: Path, command: Command) -> None:
    code, out, err = command("calibrate", run, "--judge", f"{__name__}:Blind")
    assert (code, out) == (2, "")
    assert "the map would be flat" in err
    assert not (run / "calibration").exists()


def test_a_map_under_which_no_candidate_can_be_viable_is_reported(run: Path) -> None:
    low = {"use": "scripted", "scores": {"calculator": 2, "think": 3}, "default_score": 1}
    rejudge(run, low, name="low")
    assert "no candidate can be viable: the map's highest score is " in str(calibrate(run, Sharp, against="low"))


def test_a_judge_with_scores_of_its_own_takes_no_map(run: Path) -> None:
    with pytest.raises(UserError, match="verifier already gives scores from 0 to 10"):
        calibrate(run, "verifier")


def test_scores_that_are_not_there_are_a_clear_line(run: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl has no verdict on this run; make some with"):
        calibrate(run, Sharp, against="none")


def test_only_computes_nothing(run: Path) -> None:
    with pytest.raises(UserError, match="lacks raw values"):
        calibrate(run, Sharp, overrides=["judging.mode=only"])
    assert Sharp.sent == 0


class Busy(Sharp):
    """Out of reach at every second attempt. A call costs a dollar."""

    name = "busy"
    attempts = 0

    @property
    def price(self) -> Price:
        return Price(input=1000.0, output=0.0)

    def most_tokens(self, api_request: ApiRequest) -> Usage:
        return Usage(input_tokens=1000)

    def send(self, api_request: ApiRequest) -> ApiReply:
        type(self).attempts += 1
        if type(self).attempts % 2:
            raise JudgeError("busy", "transient", retry_after=0.0)
        return super().send(api_request).model_copy(update={"usage": Usage(input_tokens=1000)})


@pytest.fixture
def busy() -> type[Busy]:
    Busy.attempts = Busy.sent = 0
    return Busy


def test_a_judge_out_of_reach_is_tried_again_and_every_attempt_is_counted(run: Path, busy: type[Busy]) -> None:
    done = calibrate(run, busy)
    assert (busy.sent, busy.attempts) == (done.states, 2 * done.states)
    folder = existing_run(run)
    with closing(JudgeStore(folder.judgements())) as store:
        counted = [(judge, outcome, attempts) for judge, outcome, attempts, *_ in store.ledger(folder.ledger_name)]
        assert counted == [("busy", "ok", done.states), ("busy", "transient", done.states)]
        assert store.spent(folder.ledger_name) == pytest.approx(done.states)


def test_attempts_are_limited_by_the_run_s_settings(run: Path, busy: type[Busy]) -> None:
    with pytest.raises(UserError, match=r"judge busy failed on trajectory .*: busy; run the same command again"):
        calibrate(run, busy, overrides=["judging.attempts=1"])
    assert (busy.sent, busy.attempts) == (0, 1)


def test_a_budget_stops_before_it_is_exceeded(run: Path, busy: type[Busy]) -> None:
    with pytest.raises(UserError, match=r"the budget of \$2\.5 is used up"):
        calibrate(run, busy, overrides=["judging.budget=2.5"])
    assert busy.sent == 2


def test_two_commands_at_a_time_compute_no_raw_value_twice(run: Path, tmp_path: Path) -> None:
    """Another process holds the lease of the first request: its reply is waited for, and not asked for again."""
    store = tmp_path / "judge.sqlite"
    shared = [f"judging.file={store}"]
    holder = [sys.executable, "-m", "tests.studies.lease_holder", str(run), str(store)]
    with subprocess.Popen(holder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        done = calibrate(run, {"use": f"{__name__}:Sharp"}, overrides=shared)
    assert Sharp.sent == done.states - 1


def test_the_shipped_judge_is_calibrated_with_a_real_model(run: Path, tiny: Path, command: Command) -> None:
    code, out, _ = command("calibrate", run, "--judge", "contrast", "--set", f"judge.model={tiny}", "--questions", "4")
    assert code in (0, 2)  # the tiny model's weights are random: its values may well say nothing
    file = run / "calibration" / "contrast.json"
    assert file.is_file() is (code == 0)
    if code == 0:
        assert json.loads(file.read_text())["judge"] == "contrast"
        assert "rank agreement within a state" in out
