"""The GPT-4o judge's own wire: OpenAI's chat completions, and other servers that speak them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from spark_framework.api import ApiReply, JudgeError, Price, Usage, Verdict
from spark_plugin_judges.llm import prompt, reply
from spark_plugin_judges.llm.gpt4o import GPT4o
from tests.plugins.judges.calls import GOOD, KEY, NAMES, a_request, bad, shown_block
from tests.plugins.judges.server import Answer, JudgeServer

Ask = Callable[..., Verdict]


@pytest.fixture
def ask(server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Scores a step against the server with the given answers planned."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    judges: list[GPT4o] = []

    def score(*answers: Answer, **settings: Any) -> Verdict:
        server.plan[:] = answers
        judges.append(GPT4o(GPT4o.Config(base_url=f"{server.url}/v1", **settings)))
        return judges[-1].score(a_request())

    yield score
    for judge in judges:
        judge.close()


def sent(ask: Ask, server: JudgeServer, *answers: Answer, **settings: Any) -> dict[str, Any]:
    ask(*answers, **settings)
    return server.requests[-1].json


def request_of(**settings: Any) -> Any:
    return GPT4o(GPT4o.Config(**settings)).request(a_request())


def test_the_wire_request(ask: Ask, server: JudgeServer) -> None:
    body = sent(ask, server, max_tokens=321)
    (asked,) = server.requests
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert set(body) == {"model", "messages", "max_tokens", "response_format", "temperature"}
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt-4o-2024-11-20", 0.0, 321)
    form = body["response_format"]["json_schema"]
    assert form["strict"] is True
    scores = form["schema"]["properties"]["scores"]
    assert scores["required"] == list(NAMES)
    assert scores["properties"]["c9"] == {"type": "integer", "enum": list(range(11))}
    assert scores["additionalProperties"] is False


def test_what_is_stored_is_exactly_what_was_sent(ask: Ask, server: JudgeServer) -> None:
    judge = GPT4o(GPT4o.Config(base_url=f"{server.url}/v1/", seed=3))
    api_request = judge.request(a_request())
    ask(seed=3)
    assert api_request.body == server.requests[0].json
    assert api_request.endpoint == f"{server.url}/v1/chat/completions"
    assert KEY not in api_request.text


def test_labels_match_what_was_shown(ask: Ask, server: JudgeServer) -> None:
    verdict = ask(Answer(GOOD))
    shown = shown_block(server.requests[0].json["messages"][1]["content"])["candidates"]
    for place, candidate in enumerate(verdict.order):
        assert shown[f"c{place + 1}"]["action"] == f"tool{candidate}"
        assert verdict.scores[candidate] == place


def test_openai_gets_its_own_name_for_the_room() -> None:
    assert request_of().body["max_completion_tokens"] == 600
    assert "max_tokens" not in request_of().body
    assert request_of().endpoint == "https://api.openai.com/v1/chat/completions"


def test_optional_settings_are_sent_where_they_are_set(ask: Ask, server: JudgeServer) -> None:
    assert "temperature" not in sent(ask, server, temperature=None)
    body = sent(ask, server, seed=4, reasoning_effort="low")
    assert (body["seed"], body["reasoning_effort"]) == (4, "low")


@pytest.mark.parametrize("form", ["json_object", "none"])
def test_servers_without_schemas_get_the_form_in_words(ask: Ask, server: JudgeServer, form: str) -> None:
    body = sent(ask, server, response_format=form)
    assert body.get("response_format") == ({"type": "json_object"} if form == "json_object" else None)
    assert all(f'"{name}": <whole number>' in body["messages"][0]["content"] for name in NAMES)
    with pytest.raises(JudgeError):
        ask(Answer(f"```json\n{bad()}\n```"), Answer("7 of 10"), response_format=form)


@pytest.mark.parametrize("reasons", ["before", "after"])
def test_reasons_come_back_in_the_candidates_order(ask: Ask, server: JudgeServer, reasons: str) -> None:
    scores = {name: k for k, name in enumerate(NAMES)}
    words = {name: f"place {k}" for k, name in enumerate(NAMES)}
    said = {"scores": scores, "process_ok": dict.fromkeys(NAMES, True), "reasons": words}
    verdict = ask(Answer(json.dumps(said)), reasons=reasons)
    schema = server.requests[0].json["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]).index("reasons") == (0 if reasons == "before" else 2)
    assert verdict.reason.splitlines() == [f"place {score:.0f}" for score in verdict.scores]
    for broken in (GOOD, json.dumps(said | {"reasons": words | {"c1": 7}})):
        with pytest.raises(JudgeError):
            ask(Answer(broken), Answer(broken), reasons=reasons)


def test_half_a_surrogate_pair_in_a_reason_can_be_stored(ask: Ask) -> None:
    said = {"scores": dict.fromkeys(NAMES, 5), "process_ok": dict.fromkeys(NAMES, True)}
    verdict = ask(Answer(json.dumps(said | {"reasons": dict.fromkeys(NAMES, "a\ud800b")})), reasons="after")
    assert "a?b" in verdict.model_dump_json()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(status=404, error={"message": "gone", "code": "model_not_found"}), "2027-01-14.*judge.model"),
        (Answer(status=400, error={"message": "no", "code": "model_deprecated"}), "2027-01-14.*judge.model"),
        (Answer(status=410, error={"message": "gpt-4o-2024-11-20 is shut down"}), "2027-01-14.*judge.model"),
        (Answer(status=404, raw=b'{"error": "model \\"x\\" not found, try pulling it first"}'), "judge.model"),
        (Answer(status=404, raw=b'{"object": "error", "message": "The model `x` does not exist."}'), "judge.model"),
        (Answer(status=429, error={"message": "pay", "code": "insufficient_quota"}), "OPENAI_API_KEY has no credit"),
        (Answer(status=404, error={"message": "Invalid URL (POST /v2/chat)"}), "nothing answers .*judge.base_url"),
        (Answer(status=400, error={"message": "Unsupported value: temperature"}), "Unsupported value: temperature"),
    ],
)
def test_openai_errors_say_what_to_set(ask: Ask, answer: Answer, words: str) -> None:
    with pytest.raises(JudgeError, match=words) as caught:
        ask(answer)
    assert caught.value.kind == "config"


def test_the_retirement_is_gpt_4os_alone(ask: Ask) -> None:
    with pytest.raises(JudgeError, match=r"judge\.model") as caught:
        ask(Answer(status=404, error={"message": "gone", "code": "model_not_found"}), model="llama-3.3-70b")
    assert "2027" not in str(caught.value)


def test_a_filter_before_the_model_is_a_refusal(ask: Ask) -> None:
    with pytest.raises(JudgeError) as caught:
        ask(Answer(status=400, error={"message": "filtered", "code": "content_filter"}))
    assert caught.value.kind == "refusal"


def test_usage_and_served_model_come_with_the_reply(server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    judge = GPT4o(GPT4o.Config(base_url=f"{server.url}/v1", model="alias"))
    server.plan = [Answer(model="alias-2026-01-01"), Answer(usage=False)]
    api_request = judge.request(a_request())
    first, silent = judge.send(api_request), judge.send(api_request)
    judge.close()
    assert first.model == "alias-2026-01-01"
    assert first.usage == Usage(input_tokens=2000, cached_tokens=1024, output_tokens=90)
    assert (silent.model, silent.usage) == ("alias", None)
    assert judge.read(a_request(), silent).usage == {}


@pytest.mark.parametrize(
    "body",
    [
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"message": None, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": None}, "finish_reason": "tool_calls"}]},
        {"choices": [{"message": {"content": [{"type": "text", "text": GOOD}]}}]},
    ],
)
def test_a_reply_without_words_is_invalid(body: dict[str, Any]) -> None:
    judge = GPT4o()
    api_request, answer = judge.request(a_request()), ApiReply(body=body)
    with pytest.raises(JudgeError) as caught:
        judge.read(a_request(), answer)
    assert caught.value.kind == "invalid"
    assert judge.repaired(api_request, answer, caught.value).body["messages"][-1]["role"] == "user"


def test_whatever_a_server_says_about_tokens_is_no_fault(ask: Ask) -> None:
    odd = {"choices": [{"message": {"content": GOOD}, "finish_reason": "stop"}]}
    for usage in (None, [], {}, {"prompt_tokens": "many", "completion_tokens": 1}):
        assert ask(Answer(raw=json.dumps(odd | {"usage": usage}).encode())).usage == {}


DIFFERENT: dict[str, Any] = {
    "model": "gpt-4o-mini", "base_url": "http://localhost/v1", "temperature": 1.0, "seed": 1, "reasoning_effort": "low",
    "response_format": "none", "max_tokens": 5, "reasons": "after", "repeat": 1,
}  # fmt: skip


@pytest.mark.parametrize("setting", DIFFERENT)
def test_what_may_change_a_verdict_changes_key_and_fingerprint(setting: str) -> None:
    changed = {setting: DIFFERENT[setting]}
    assert request_of(**changed).key != request_of().key
    assert GPT4o(GPT4o.Config(**changed)).fingerprint() != GPT4o().fingerprint()


def test_what_cannot_change_a_verdict_changes_neither() -> None:
    changed = {"timeout": 5, "api_key_env": "OTHER", "price": Price(input=1, output=2)}
    assert request_of(**changed).key == request_of().key
    assert GPT4o(GPT4o.Config(**changed)).fingerprint() == GPT4o().fingerprint()


def test_prompt_and_parser_change_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before, key = GPT4o().fingerprint(), request_of().key
    monkeypatch.setattr(prompt, "REMINDER", "Score {first} to {last}.")
    assert GPT4o().fingerprint() != before
    assert request_of().key != key
    monkeypatch.undo()
    assert GPT4o().fingerprint() == before
    monkeypatch.setattr("spark_plugin_judges.llm.prompted_judge.PARSER_VERSION", reply.PARSER_VERSION + 1)
    assert GPT4o().fingerprint() != before


def test_candidates_order_and_seed_change_the_key() -> None:
    judge, step = GPT4o(), a_request()
    turned = step.model_copy(update={"candidates": step.candidates[::-1]})
    keys = {judge.request(one).key for one in (step, turned, a_request(8), a_request(text="other?"))}
    assert len(keys) == 4
    assert judge.request(a_request()).key in keys


def test_the_gold_answer_does_not_change_the_request() -> None:
    judge = GPT4o()
    assert judge.uses_gold is False
    assert judge.request(a_request(answer=1)).key == judge.request(a_request(answer=0)).key


@pytest.mark.parametrize(
    ("url", "model"),
    [
        ("https://api.openai.com/v1", "gpt-4o-2024-11-20"),
        ("https://eu.api.openai.com/v1", "gpt-4o-2024-11-20"),
        ("https://gateway.example.com/v1", "gpt-4o-2024-11-20"),
        ("http://127.0.0.1:8000/v1", None),
        ("http://localhost:11434/v1", None),
        ("http://10.1.2.3/v1", None),
        ("http://[::1]:8000/v1", None),
        ("http://gpu-node:8000/v1", None),
    ],
)
def test_only_a_server_in_ones_own_network_is_free(url: str, model: str | None) -> None:
    assert GPT4o(GPT4o.Config(base_url=url)).priced_model == model


def test_prices_can_be_set() -> None:
    judge = GPT4o(GPT4o.Config.model_validate({"price": {"input": 2.5, "output": 10}}))
    assert judge.price == Price(input=2.5, output=10)
    with pytest.raises(ValidationError):
        GPT4o.Config.model_validate({"price": {"input": 2.5}})
