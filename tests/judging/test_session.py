"""Client and runner against a real HTTP server: nothing is asked twice, nothing is invented, nothing overspent."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spark_framework.api import Judge, JudgeError, JudgeRequest, Usage, Verdict
from spark_framework.errors import ConfigError, RunError, UserError
from tests.judging import asking
from tests.judging.asking import Asking, Server, session, steps


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def judge(server: Server) -> Asking:
    return Asking(Asking.Config(url=server.url))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "judge.sqlite"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_framework.judging.client.FIRST_WAIT", 0.0)


def judged(path: Path, judge: Judge, requests: list[JudgeRequest], **terms: Any) -> list[Any]:
    with session(path, judge, **terms) as opened:  # type: ignore[arg-type]
        return opened.judge_all(judge, requests)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(path)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


# -- the store -----------------------------------------------------------------------------------------------------


def test_changing_nothing_costs_nothing(server: Server, judge: Asking, path: Path) -> None:
    first = judged(path, judge, steps(5))
    assert judged(path, judge, steps(5)) == first
    assert judged(path, Asking(judge.config), steps(5), mode="only") == first
    assert sum(server.asked.values()) == 5
    assert all(verdict.request for verdict in first)


@pytest.mark.parametrize("change", [{"model": "other"}, {"prompt": "other"}])
def test_another_model_or_prompt_asks_again(server: Server, judge: Asking, path: Path, change: dict[str, str]) -> None:
    judged(path, judge, steps(2))
    judged(path, Asking(judge.config.model_copy(update=change)), steps(2))
    assert sum(server.asked.values()) == 4


def test_another_parser_reads_the_stored_reply(server: Server, judge: Asking, path: Path) -> None:
    class Harsh(Asking):
        def fingerprint(self) -> str:
            return "harsh"

        def read(self, request: JudgeRequest, reply: Any) -> Verdict:
            verdict = super().read(request, reply)
            return verdict.model_copy(update={"scores": tuple(score - 1 for score in verdict.scores)})

    judged(path, judge, steps(3))
    harsh = judged(path, Harsh(judge.config), steps(3))
    assert [verdict.scores[0] for verdict in harsh] == [6, 6, 6]
    assert sum(server.asked.values()) == 3


def test_another_seed_candidate_or_history_is_another_step(server: Server, judge: Asking, path: Path) -> None:
    (step,) = steps(1)
    judged(path, judge, [step])
    judged(path, judge, [step.model_copy(update={"seed": 99})])
    assert server.asked["q0"] == 2
    changed = step.candidates[0].model_copy(update={"observation": "z"})
    judged(path, judge, [step.model_copy(update={"candidates": (changed, *step.candidates[1:])})])
    assert server.asked["q0"] == 2  # this judge does not look at candidates: its request is the same


def test_refresh_asks_again_and_only_never(server: Server, judge: Asking, path: Path) -> None:
    judged(path, judge, steps(1))
    server.plan["q0"] = [3]
    assert judged(path, judge, steps(1), mode="refresh")[0].scores[0] == 3
    assert judged(path, judge, steps(1))[0].scores[0] == 3
    assert server.asked["q0"] == 2
    with pytest.raises(UserError, match=r"lacks a reply of judge asking to question 'q1'.*`only`"):
        judged(path, judge, steps(2), mode="only")


def test_equal_steps_at_the_same_time_are_one_call(server: Server, judge: Asking, path: Path) -> None:
    server.latency = 0.05
    verdicts = judged(path, judge, steps(1) * 50, concurrency=16)
    assert len(verdicts) == 50
    assert server.asked["q0"] == 1


def test_concurrency_is_bounded(server: Server, judge: Asking, path: Path) -> None:
    server.latency = 0.02
    judged(path, judge, steps(24), concurrency=4)
    assert 2 <= server.most_at_once <= 4


def test_a_judge_without_a_wire_needs_no_file(path: Path) -> None:
    from spark_plugin_judges.scripted import Scripted

    assert [verdict.scores[0] for verdict in judged(path, Scripted(), steps(2))] == [5, 5]
    assert not path.exists()


def test_no_store_of_judgements(judge: Asking, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, " * 100)
    with pytest.raises(RunError, match=r"notes\.txt is not a valid judge store"):
        judged(file, judge, steps(1))


# -- failures ------------------------------------------------------------------------------------------------------


def test_what_passes_is_tried_again_and_every_attempt_is_counted(server: Server, judge: Asking, path: Path) -> None:
    server.plan["q0"] = ["transient", "transient", 8]
    assert judged(path, judge, steps(1))[0].scores[0] == 8
    assert rows(path, "SELECT outcome FROM attempt ORDER BY id") == [("transient",), ("transient",), ("ok",)]


def test_a_server_that_stays_away_is_a_failure(server: Server, judge: Asking, path: Path) -> None:
    server.plan["q1"] = ["transient"] * 5
    good, bad = judged(path, judge, steps(2), attempts=3)
    assert good.scores[0] == 7
    assert (bad.kind, server.asked["q1"]) == ("transient", 3)


def test_an_unusable_reply_is_repaired_once(server: Server, judge: Asking, path: Path) -> None:
    server.plan = {"q0": [6.5, 6], "q1": [None, 7.5, 9]}
    mended, failed = judged(path, judge, steps(2))
    assert mended.scores[0] == 6
    assert (failed.kind, server.asked["q1"]) == ("invalid", 2)
    assert rows(path, "SELECT count(*), total(usd) FROM attempt WHERE outcome = 'invalid'") == [(3, 3.0)]
    assert judged(path, judge, steps(1)) == [mended]
    assert server.asked["q0"] == 2


def test_a_refusal_is_not_retried(server: Server, judge: Asking, path: Path) -> None:
    server.plan["q0"] = ["refusal"] * 3
    (refused,) = judged(path, judge, steps(1))
    assert isinstance(refused, JudgeError)
    assert (refused.kind, server.asked["q0"]) == ("refusal", 1)


def test_a_fault_of_the_settings_ends_the_command(server: Server, judge: Asking, path: Path) -> None:
    server.plan["q0"] = ["config"]
    with pytest.raises(ConfigError, match="judge: status 503"):
        judged(path, judge, steps(1))


# -- money ---------------------------------------------------------------------------------------------------------


def test_the_budget_stops_before_it_is_exceeded_and_the_run_goes_on(server: Server, judge: Asking, path: Path) -> None:
    """A call costs a dollar."""
    with pytest.raises(RunError, match=r"budget of \$3 is used up: \$3\.0000 are spent"):
        judged(path, judge, steps(10), budget=3.0, concurrency=2)
    assert sum(server.asked.values()) == 3
    assert rows(path, "SELECT total(usd) FROM attempt") == [(3.0,)]
    assert len(judged(path, judge, steps(10), budget=10.0)) == 10
    assert sum(server.asked.values()) == 10


@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_calls_on_their_way_count_at_their_worst(
    server: Server, judge: Asking, path: Path, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    """A call may cost three dollars and costs one: the tenth could not have been paid in the worst case."""
    monkeypatch.setattr(Asking, "most_tokens", lambda *_: Usage(input_tokens=3000))
    server.latency = 0.01
    with pytest.raises(RunError, match=r"raise judging\.budget"):
        judged(path, judge, steps(40), budget=11.0, concurrency=concurrency)
    assert sum(server.asked.values()) == 9
    assert rows(path, "SELECT total(usd) FROM attempt") == [(9.0,)]
    with pytest.raises(RunError, match=r"raise judging\.budget"):
        judged(path, judge, steps(40), budget=11.0, concurrency=concurrency)
    assert sum(server.asked.values()) == 9
    assert len(judged(path, judge, steps(40), budget=50.0, concurrency=concurrency)) == 40
    assert sum(server.asked.values()) == 40


def test_a_failed_attempt_that_cost_something_counts(server: Server, judge: Asking, path: Path) -> None:
    server.plan["q0"] = [7.5, 8]
    with pytest.raises(RunError, match=r"\$2\.0000 are spent"):
        judged(path, judge, steps(3), budget=2.0, concurrency=1)
    assert sum(server.asked.values()) == 2


def test_a_fault_of_the_settings_leaves_the_rest_unasked(server: Server, judge: Asking, path: Path) -> None:
    server.plan = {f"q{k}": ["config"] for k in range(200)}
    with pytest.raises(ConfigError):
        judged(path, judge, steps(200), concurrency=2)
    assert sum(server.asked.values()) < 200


def test_a_budget_needs_a_price(judge: Asking, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Asking, "price", None)
    monkeypatch.setattr(Asking, "provider", "openai")
    with pytest.raises(ConfigError, match="the price of m is not known"):
        judged(path, judge, steps(1), budget=1.0)


# -- several processes, and kill -9 --------------------------------------------------------------------------------


def test_four_writers_killed_ten_times(server: Server, judge: Asking, path: Path) -> None:
    """No acknowledged verdict is lost, none is paid twice, and what is left in the end equals an undisturbed run."""
    count, server.latency = 400, 0.004
    rng = random.Random(7)
    acknowledged: set[str] = set()
    command = [sys.executable, "-m", asking.__name__, str(path), server.url, str(count)]
    for _ in range(10):
        writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        for writer in writers:  # they are at work when the first is killed
            assert writer.stdout is not None
            acknowledged.add(writer.stdout.readline().strip())
        for writer in writers:
            time.sleep(rng.uniform(0.0, 0.02))
            writer.kill()
        for writer in writers:
            assert writer.stdout is not None
            lines = writer.stdout.read().split("\n")
            acknowledged.update(lines[:-1])
            writer.wait()
            writer.stdout.close()
        stored = {row[0] for row in rows(path, "SELECT json_extract(verdict, '$.request') FROM verdict")}
        keys = {step.question.id: judge.request(step).key for step in steps(count)}
        assert {keys[one] for one in acknowledged if one} <= stored
    verdicts = judged(path, judge, steps(count))
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "SELECT max(n) FROM (SELECT count(*) AS n FROM attempt WHERE outcome = 'ok' GROUP BY key)") == [
        (1,)
    ]
    assert sum(server.asked.values()) <= count + 10 * 4 * 4  # a killed writer loses at most what was on the wire
    undisturbed = judged(path.with_name("other.sqlite"), judge, steps(count))
    assert verdicts == undisturbed
