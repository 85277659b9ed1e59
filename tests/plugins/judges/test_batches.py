"""Batches at both providers, over real HTTP: results in any order, failed rows, ends before the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spark_framework.api import ApiReply, ApiRequest, Batches, JudgeError, Usage, Verdict
from spark_framework.config.judging import JudgingSection
from spark_framework.host.manager import Host
from spark_framework.judging.runner import open_judging
from spark_plugin_judges.llm.prompted_judge import PromptedJudge
from tests.plugins.judges.calls import GOOD, JUDGES, KEY, a_request, new_judge
from tests.plugins.judges.server import Answer, JudgeServer

STEPS = [a_request(seed) for seed in range(5)]


@pytest.fixture(params=JUDGES)
def judge(
    request: pytest.FixtureRequest, server: JudgeServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PromptedJudge]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    built = new_judge(request.param, server)
    yield built
    built.close()


@pytest.fixture
def batches(judge: PromptedJudge) -> Batches:
    service = judge.batches()
    assert service is not None
    return service


@pytest.fixture
def asked(judge: PromptedJudge) -> dict[str, ApiRequest]:
    return {api_request.key: api_request for api_request in map(judge.request, STEPS)}


def results(batches: Batches, batch: str) -> dict[str, ApiReply | JudgeError]:
    rows = list(batches.results(batch))
    found = dict(rows)
    assert len(found) == len(rows)
    return found


def test_results_come_back_by_key_in_any_order(
    judge: PromptedJudge, batches: Batches, asked: dict[str, ApiRequest], server: JudgeServer
) -> None:
    batch = batches.submit("first", asked)
    assert [batches.is_done(batch)] * 2 == [batches.is_done(batch)] * 2 == [True, True]
    found = results(batches, batch)
    assert set(found) == set(asked)
    assert [key for key, _ in batches.results(batch)] != list(asked)
    for step in STEPS:
        api_request = judge.request(step)
        live = judge.send(api_request)
        assert found[api_request.key] == live
        assert judge.read(step, live) == judge.score(step)
    assert isinstance(live.usage, Usage)


def test_a_batch_takes_its_time(batches: Batches, asked: dict[str, ApiRequest], server: JudgeServer) -> None:
    server.polls = 3
    batch = batches.submit("slow", asked)
    assert [batches.is_done(batch) for _ in range(4)] == [False, False, True, True]


def test_a_failed_row_is_its_error_and_spoils_no_other(
    batches: Batches, asked: dict[str, ApiRequest], server: JudgeServer
) -> None:
    server.plan = [
        Answer(GOOD),
        Answer(status=429, error={"type": "rate_limit_error", "message": "slow down"}),
        Answer(status=404, error={"type": "not_found_error", "code": "model_not_found", "message": "model: gone"}),
        Answer("not JSON"),
    ]
    batch = batches.submit("mixed", asked)
    while not batches.is_done(batch):
        pass
    found = results(batches, batch)
    kinds = [found[key].kind if isinstance(found[key], JudgeError) else "reply" for key in asked]  # type: ignore[union-attr]
    assert kinds == ["reply", "transient", "config", "reply", "reply"]


def test_an_expired_batch_gives_what_it_finished(
    batches: Batches, asked: dict[str, ApiRequest], server: JudgeServer
) -> None:
    server.polls, server.unfinished, server.batch_end = 0, 2, "expired"
    batch = batches.submit("late", asked)
    assert batches.is_done(batch)
    found = [results(batches, batch)[key] for key in asked]
    assert [isinstance(one, ApiReply) for one in found] == [True, True, True, False, False]
    assert {one.kind for one in found if isinstance(one, JudgeError)} == {"transient"}


def test_a_batch_in_which_every_row_failed_is_read_as_well(
    batches: Batches, asked: dict[str, ApiRequest], server: JudgeServer
) -> None:
    server.polls, server.plan = 0, [Answer(status=500)] * 5
    batch = batches.submit("bad day", asked)
    assert batches.is_done(batch)
    found = results(batches, batch)
    assert [getattr(found[key], "kind", None) for key in asked] == ["transient"] * 5


def test_openai_finds_a_batch_by_its_name(
    judge: PromptedJudge, batches: Batches, asked: dict[str, ApiRequest], server: JudgeServer
) -> None:
    made = [batches.submit(f"batch {k}", asked) for k in range(3)]
    if judge.name == "gpt4o":
        assert [batches.find(f"batch {k}") for k in range(3)] == made
    assert batches.find("another") is None


def test_the_name_is_found_on_a_later_page(server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    judge = new_judge("gpt4o", server)
    batches = judge.batches()
    assert batches is not None
    asked = {"k": judge.request(STEPS[0])}
    first = batches.submit("the first", asked)
    for k in range(130):
        server._begin([], {"spark": f"other {k}"})
    assert batches.find("the first") == first


def test_what_is_uploaded_to_openai(server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    judge = new_judge("gpt4o", server)
    asked = {api_request.key: api_request for api_request in map(judge.request, STEPS)}
    batches = judge.batches()
    assert batches is not None
    batches.submit("n", asked)
    rows = [json.loads(line) for line in server.files["file-0"].splitlines()]
    assert [row["custom_id"] for row in rows] == list(asked)
    assert all(row["body"] == asked[row["custom_id"]].body for row in rows)
    assert {(row["method"], row["url"]) for row in rows} == {("POST", "/v1/chat/completions")}
    assert KEY.encode() not in server.files["file-0"]


def test_a_rejected_batch_reports_the_reason(server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.polls, server.batch_end = 0, "failed"
    judge = new_judge("gpt4o", server)
    batches = judge.batches()
    assert batches is not None
    batch = batches.submit("too much", {"k": judge.request(STEPS[0])})
    with pytest.raises(JudgeError, match="token_limit_exceeded: Enqueued token limit reached") as caught:
        batches.is_done(batch)
    assert caught.value.kind == "config"


def test_a_server_without_batches_names_the_setting(
    judge: PromptedJudge, server: JudgeServer, asked: dict[str, ApiRequest]
) -> None:
    kind, path = JUDGES[judge.name]
    elsewhere = kind(kind.Config(base_url=f"{server.url}/elsewhere{path}")).batches()
    assert elsewhere is not None
    with pytest.raises(JudgeError, match=r"judging\.batch") as caught:
        elsewhere.submit("n", asked)
    assert caught.value.kind == "config"


def test_a_dead_server_is_transient(batches: Batches, asked: dict[str, ApiRequest], server: JudgeServer) -> None:
    server.server.close()
    for connection in tuple(server.connections):
        connection.transport.abort()
    with pytest.raises(JudgeError) as caught:
        batches.submit("n", asked)
    assert caught.value.kind == "transient"


def test_results_that_came_in_part_are_transient(server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.polls = 0
    judge = new_judge("gpt4o", server)
    batches = judge.batches()
    assert batches is not None
    batch = batches.submit("n", {"k": judge.request(STEPS[0])})
    whole = server._openai_batch(server.batches[0])
    monkeypatch.setattr(server, "_openai_batch", lambda _: whole)
    server.files[whole["output_file_id"]] = server.files[whole["output_file_id"]][:-20]
    with pytest.raises(JudgeError, match="in part") as caught:
        list(batches.results(batch))
    assert caught.value.kind == "transient"


def test_a_wave_in_batches_scores_as_a_live_one(judge: PromptedJudge, server: JudgeServer, tmp_path: Path) -> None:
    calls: Any = Host().calls
    with open_judging(calls, tmp_path / "live.sqlite", JudgingSection(), "run", [judge]) as session:
        live = session.judge_all(judge, STEPS)
    before = len(server.asked)
    server.plan = [Answer(), Answer(status=500)]
    terms = JudgingSection(batch=True, batch_poll=0.01)
    with open_judging(calls, tmp_path / "batch.sqlite", terms, "run", [judge]) as session:
        batched = session.judge_all(judge, STEPS)
        assert all(isinstance(verdict, Verdict) for verdict in batched)
        assert batched == live
        assert session.judge_all(judge, STEPS) == live
    assert server.stats()["batch_rows"] == 5
    assert server.asked.total() == before + 1  # the failed row
