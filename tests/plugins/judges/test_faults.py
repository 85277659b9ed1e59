"""What a judge does when its server misbehaves; both providers over real HTTP. A failure is never a number."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from spark_framework.api import JudgeError, JudgeRequest, Price, UserError, Verdict
from spark_framework.config.judging import JudgingSection
from spark_framework.host.manager import Host
from spark_framework.judging import client as judging
from spark_framework.judging.runner import open_judging
from spark_plugin_judges.llm import prompt, prompted_judge
from spark_plugin_judges.llm.prompted_judge import NOT_BEHAVIOUR, PromptedJudge
from spark_plugin_judges.llm.provider_errors import retry_after
from tests.plugins.judges.calls import GOOD, JUDGES, KEY, UNUSABLE, N, a_request, bad, new_judge
from tests.plugins.judges.server import Answer, JudgeServer

Ask = Callable[..., Verdict]


@pytest.fixture(params=JUDGES)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    return str(request.param)


@pytest.fixture
def new(name: str, server: JudgeServer) -> Iterator[Callable[..., PromptedJudge]]:
    """Builds the judge against the server."""
    judges: list[PromptedJudge] = []

    def build(**settings: Any) -> PromptedJudge:
        judges.append(new_judge(name, server, **settings))
        return judges[-1]

    yield build
    for judge in judges:
        judge.close()


@pytest.fixture
def ask(new: Callable[..., PromptedJudge], server: JudgeServer) -> Ask:
    """Scores a step with the given answers planned."""

    def score(*answers: Answer, step: JudgeRequest | None = None, **settings: Any) -> Verdict:
        server.plan[:] = answers
        return new(**settings).score(step or a_request())

    return score


def fault_of(ask: Ask, *answers: Answer, **settings: Any) -> JudgeError:
    with pytest.raises(JudgeError) as caught:
        ask(*answers, **settings)
    told = "".join(traceback.format_exception(caught.value))
    assert KEY not in told
    assert "\n" not in str(caught.value)
    return caught.value


def test_scores_go_back_to_the_candidates_that_were_shown(ask: Ask) -> None:
    verdict = ask(Answer(GOOD))
    assert sorted(verdict.order) == list(range(N))
    for place, candidate in enumerate(verdict.order):
        assert verdict.scores[candidate] == place
        assert verdict.process_ok[candidate] == (place % 2 == 0)
    assert verdict.usage == {"input_tokens": 2000, "cached_tokens": verdict.usage["cached_tokens"], "output_tokens": 90}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_reply_is_shown_to_the_model_once_and_never_guessed(
    ask: Ask, server: JudgeServer, text: str
) -> None:
    assert max(ask(Answer(text), Answer(GOOD)).scores) == 8
    first, second = (asked.json["messages"] for asked in server.requests)
    shown = second[len(first) :]
    assert [message["role"] for message in shown] == (["assistant", "user"] if text else ["user"])
    assert shown[0]["content"] == text[:4000] or not text
    assert "cannot be used" in shown[-1]["content"]
    assert fault_of(ask, Answer(text), Answer(text)).kind == "invalid"
    assert len(server.requests) == 4


def test_a_reply_that_was_cut_is_asked_for_again_with_twice_the_room(ask: Ask, server: JudgeServer) -> None:
    cut = Answer(bad()[:30], finish="length")
    ask(cut, Answer(GOOD), max_tokens=50)
    first, second = (asked.json for asked in server.requests)
    assert second == first | {"max_tokens": 100}
    fault = fault_of(ask, cut, cut)
    assert fault.kind == "invalid"
    assert "judge.max_tokens" in str(fault)


def test_a_second_request_has_a_key_of_its_own(new: Callable[..., PromptedJudge], server: JudgeServer) -> None:
    judge = new()
    server.plan[:] = [Answer("no")]
    first = judge.request(a_request())
    assert first.key
    reply = judge.send(first)
    assert judge.repaired(first, reply, JudgeError("bad")).key != first.key


@pytest.mark.parametrize("answer", [Answer(refusal="I cannot help with that"), Answer("", finish="content_filter")])
def test_a_refusal_is_not_retried(ask: Ask, server: JudgeServer, answer: Answer) -> None:
    assert fault_of(ask, answer).kind == "refusal"
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_a_busy_server_is_transient_and_is_not_retried_here(ask: Ask, server: JudgeServer, status: int) -> None:
    fault = fault_of(ask, Answer(status=status, headers={"Retry-After": "7"}))
    assert (fault.kind, fault.retry_after) == ("transient", 7)
    assert len(server.requests) == 1


def test_retry_after_is_seconds_milliseconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert retry_after({"retry-after": soon}) == pytest.approx(100, abs=3)
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert [retry_after({"retry-after": odd}) for odd in ("nan", "-5", "inf", "soon", "", "Fri, 31 Dec 1999")] == [
        None
    ] * 6
    assert retry_after({}) is None


@pytest.mark.parametrize("manner", ["hang", "drip"])
def test_a_server_that_does_not_come_to_an_end_is_left(ask: Ask, manner: Any) -> None:
    fault = fault_of(ask, Answer(manner=manner), timeout=0.2)
    assert fault.kind == "transient"
    assert "0.2 seconds" in str(fault)


@pytest.mark.parametrize(
    "answer", [Answer(manner="reset"), Answer(manner="cut"), Answer(raw=b'{"id": "x", "choi'), Answer(raw=b"")]
)
def test_a_broken_answer_is_transient(ask: Ask, answer: Answer) -> None:
    assert fault_of(ask, answer).kind == "transient"


def test_connections_go_on_after_a_broken_one(new: Callable[..., PromptedJudge], server: JudgeServer) -> None:
    judge = new()
    for manner in ("reset", "cut", "whole"):
        server.plan[:] = [Answer(manner=manner)]  # type: ignore[arg-type]
        if manner == "whole":
            assert len(judge.score(a_request()).scores) == N
        else:
            with pytest.raises(JudgeError):
                judge.score(a_request())


def test_a_dead_server_is_transient_and_named(name: str) -> None:
    gone = JudgeServer()
    gone.start().stop()
    with pytest.raises(JudgeError, match="is the server running") as caught:
        new_judge(name, gone).score(a_request())
    assert caught.value.kind == "transient"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(status=401, error={"message": f"Bad key {KEY[:9]}", "type": "authentication_error"}), "_API_KEY"),
        (Answer(status=402, error={"message": "pay", "type": "billing_error"}), "no credit"),
        (Answer(status=400, error={"message": "Your credit balance is too low"}), "no credit"),
        (Answer(status=403), r"may not use .*judge\.model"),
        (Answer(status=404, error={"message": "model: nope"}), r"judge\.model"),
        (Answer(status=410, error={"message": "The model was retired."}), r"judge\.model"),
        (Answer(status=400, error={"message": "This model has been deprecated"}), r"has no model"),
        (Answer(status=400, error={"message": "temperature is deprecated for this model"}), r"temperature is depr"),
        (Answer(status=400, error={"message": f"bad\nthing with {KEY}"}), r"bad thing with \(the key\)"),
        (Answer(status=422, raw=b'{"detail": "Unprocessable"}'), "Unprocessable"),
        (Answer(status=404, raw=b"<html>not here</html>"), r"nothing answers .*judge\.base_url"),
        (Answer(status=404, raw=b'{"detail": "Not Found"}'), r"nothing answers .*judge\.base_url"),
        (Answer(status=307, headers={"Location": "/elsewhere"}, raw=b""), r"nothing answers .*judge\.base_url"),
        (Answer(raw=b"<html>Log in</html>"), r"does not speak .*judge\.base_url"),
        (Answer(raw=b'{"hello": 1}'), r"does not speak .*judge\.base_url"),
        (Answer(raw=b"[1, 2]"), r"does not speak .*judge\.base_url"),
    ],
)  # fmt: skip
def test_what_only_the_user_can_mend_says_what_to_set(
    ask: Ask, server: JudgeServer, answer: Answer, words: str
) -> None:
    fault = fault_of(ask, answer)
    assert fault.kind == "config"
    assert len(server.requests) == 1
    with pytest.raises(JudgeError, match=words):
        raise fault


def test_a_retired_model_names_the_setting_and_gpt_4o_s_retirement(ask: Ask, name: str) -> None:
    gone = Answer(
        status=404,
        error={"message": "The model does not exist", "code": "model_not_found", "type": "not_found_error"}
        if name == "gpt4o"
        else {"message": "model: claude-sonnet-5-5", "type": "not_found_error"},
    )
    fault = fault_of(ask, gone)
    assert fault.kind == "config"
    assert "set judge.model to a model that is served" in str(fault)
    assert ("retires GPT-4o on 2027-01-14 and names gpt-6-luna" in str(fault)) == (name == "gpt4o")
    assert "GPT-4o" not in str(fault_of(ask, gone, model="another"))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=400, error={"message": "This model's maximum context length is 8192 tokens"}),
        Answer(status=400, error={"message": "prompt is too long: 1000001 tokens > 1000000 maximum"}),
        Answer(status=413),
    ],
)
def test_a_step_that_is_too_long_fails_alone(ask: Ask, answer: Answer) -> None:
    assert fault_of(ask, answer).kind == "invalid"


def test_an_error_with_status_200_is_read_as_an_error(ask: Ask) -> None:
    assert fault_of(ask, Answer(raw=b'{"error": {"message": "slow down", "code": 429}}')).kind == "transient"
    assert fault_of(ask, Answer(raw=b'{"error": {"message": "no such key", "code": 401}}')).kind == "config"


@pytest.mark.parametrize("value", [None, "", "  \n", "sk-\u00e9", "sk-a\nX-Evil: 1"])
def test_a_missing_or_impossible_key_is_named(
    name: str, server: JudgeServer, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    judge = new_judge(name, server, api_key_env="MY_KEY")
    with pytest.raises(UserError, match="MY_KEY"):
        judge.prepare()
    with pytest.raises(JudgeError, match="MY_KEY") as caught:
        judge.score(a_request())
    assert caught.value.kind == "config"
    assert not server.requests


def test_the_key_is_sent_and_never_logged(ask: Ask, server: JudgeServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ask()
    fault_of(ask, Answer(status=500))
    assert {asked.headers["authorization"] for asked in server.requests} == {f"Bearer {KEY}"}
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://[", "http://host:port/v1", ""]
)
def test_an_invalid_address_is_refused_before_the_first_request(name: str, url: str) -> None:
    kind, _ = JUDGES[name]
    with pytest.raises(ValueError, match="base_url"):
        kind.Config(base_url=url)


def test_closing_twice_is_harmless_and_scoring_goes_on_after_it(new: Callable[..., PromptedJudge]) -> None:
    judge = new()
    before = judge.score(a_request())
    judge.close()
    judge.close()
    assert judge.score(a_request()) == before


def test_many_threads_share_the_connections(new: Callable[..., PromptedJudge], server: JudgeServer) -> None:
    server.latency = 0.02
    judge = new()
    with ThreadPoolExecutor(16) as pool:
        verdicts = list(pool.map(lambda seed: judge.score(a_request(seed)), [*range(40), *range(40)]))
    assert verdicts[:40] == verdicts[40:]
    assert 2 <= server.most_at_once <= 16
    assert len(server.connections) <= 16


# -- with the runtime --------------------------------------------------------------------------------------------------


@pytest.fixture
def calls() -> Any:
    return Host().calls


def test_the_runtime_tries_transient_failures_again_and_then_asks_no_more(
    new: Callable[..., PromptedJudge], server: JudgeServer, calls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(judging.time, "sleep", pauses.append)
    judge, step = new(), a_request()
    server.plan[:] = [Answer(status=429, headers={"Retry-After": "3"}), Answer(manner="reset"), Answer(GOOD)]
    with open_judging(calls, tmp_path / "judge.sqlite", JudgingSection(), "run", [judge]) as session:
        (first,) = session.judge_all(judge, [step])
        assert isinstance(first, Verdict)
        assert max(first.scores) == 8
        assert 3 in pauses
        (again,) = session.judge_all(judge, [step])
        assert again == first
    assert len(server.requests) == 3
    assert [(row[1], row[2]) for row in ledger(tmp_path)] == [("ok", 1), ("transient", 2)]


def test_the_runtime_repairs_once_and_stores_no_failure(
    new: Callable[..., PromptedJudge], server: JudgeServer, calls: Any, tmp_path: Path
) -> None:
    judge, step = new(), a_request()
    server.plan[:] = [Answer("no"), Answer("no"), Answer("no"), Answer(GOOD)]
    with open_judging(calls, tmp_path / "judge.sqlite", JudgingSection(), "run", [judge]) as session:
        (failed,) = session.judge_all(judge, [step])
        assert isinstance(failed, JudgeError)
        assert failed.kind == "invalid"
        (mended,) = session.judge_all(judge, [step])
        assert isinstance(mended, Verdict)
    assert len(server.requests) == 4
    paid = [(outcome, attempts, given) for _, outcome, attempts, given, *_ in ledger(tmp_path)]
    assert paid == [("invalid", 3, 6000), ("ok", 1, 2000)]


OTHER_SETTINGS = {
    "both": {
        "model": "another", "max_tokens": 99, "reasons": "before", "repeat": 1,
    },
    "gpt4o": {"temperature": 0.5, "seed": 3, "reasoning_effort": "low", "response_format": "json_object"},
    "claude": {"thinking": "adaptive", "effort": "low"},
}  # fmt: skip


def test_every_setting_that_could_change_a_verdict_changes_the_key(
    name: str, new: Callable[..., PromptedJudge], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, judge = a_request(), new()
    settings = OTHER_SETTINGS["both"] | OTHER_SETTINGS[name]
    judges = [judge, *(new(**{key: value}) for key, value in settings.items())]
    assert set(settings) | NOT_BEHAVIOUR | {"base_url"} == set(type(judge).Config.model_fields)
    assert len({one.request(step).key for one in judges}) == len(judges)
    assert len({one.fingerprint() for one in judges}) == len(judges)
    monkeypatch.setenv("OTHER", KEY)
    same = new(api_key_env="OTHER", timeout=5, price=Price(input=1, output=1))
    assert (same.request(step).key, same.fingerprint()) == (judge.request(step).key, judge.fingerprint())


@pytest.mark.parametrize(("part", "asked"), [("prompt", 2), ("parser", 1)])
def test_another_prompt_asks_again_and_another_parser_reads_again(
    new: Callable[..., PromptedJudge], server: JudgeServer, calls: Any, tmp_path: Path, part: str, asked: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def judged() -> Verdict:
        judge = new()
        with open_judging(calls, tmp_path / "judge.sqlite", JudgingSection(), "run", [judge]) as session:
            (verdict,) = session.judge_all(judge, [a_request()])
            assert isinstance(verdict, Verdict)
            return verdict

    before = judged()
    assert judged() == before
    assert len(server.requests) == 1
    if part == "prompt":
        monkeypatch.setattr(prompt, "REMINDER", "Score {first} to {last} anew.")
    else:
        monkeypatch.setattr(prompted_judge, "PARSER_VERSION", 99)
    assert judged().fingerprint != before.fingerprint
    assert len(server.requests) == asked


def ledger(folder: Path) -> list[tuple[Any, ...]]:
    from spark_framework.judging.cache import JudgeStore

    store = JudgeStore(folder / "judge.sqlite")
    try:
        return list(store.ledger("run"))
    finally:
        store.close()
