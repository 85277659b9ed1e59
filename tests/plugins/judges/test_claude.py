"""The Claude judge's own wire: Anthropic's messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spark_framework.api import ApiReply, JudgeError, Usage, Verdict
from spark_plugin_judges.llm.claude import Claude
from spark_plugin_judges.llm.gpt4o import GPT4o
from spark_plugin_judges.llm.reply import reply_schema
from tests.plugins.judges.calls import GOOD, KEY, NAMES, a_request, shown_block
from tests.plugins.judges.server import Answer, JudgeServer

Ask = Callable[..., Verdict]


@pytest.fixture
def ask(server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Scores a step against the server with the given answers planned."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    judges: list[Claude] = []

    def score(*answers: Answer, **settings: Any) -> Verdict:
        server.plan[:] = answers
        judges.append(Claude(Claude.Config(base_url=server.url, **settings)))
        return judges[-1].score(a_request())

    yield score
    for judge in judges:
        judge.close()


def test_the_wire_request(ask: Ask, server: JudgeServer) -> None:
    ask(max_tokens=321)
    (asked,) = server.requests
    body = asked.json
    assert asked.path == "/v1/messages"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["anthropic-version"] == "2026-10-21"
    assert set(body) == {"model", "max_tokens", "system", "messages", "output_config", "thinking"}
    assert (body["model"], body["max_tokens"]) == ("claude-sonnet-5-5", 321)
    assert body["thinking"] == {"type": "between_tools"}
    assert list(shown_block(body["messages"][0]["content"])["candidates"]) == list(NAMES)


def test_the_schema_is_what_anthropics_own_transform_makes_of_it(ask: Ask, server: JudgeServer) -> None:
    from anthropic import transform_schema

    for reasons in ("none", "before"):
        ask(reasons=reasons)
        asked = server.requests[-1].json["output_config"]["format"]
        assert asked == {"type": "json_schema", "schema": transform_schema(reply_schema(NAMES, reasons))}  # type: ignore[arg-type]


def test_thinking_and_effort_are_sent_where_they_are_set(ask: Ask, server: JudgeServer) -> None:
    ask(thinking=None)
    assert "thinking" not in server.requests[-1].json
    ask(thinking="adaptive", effort="low")
    assert server.requests[-1].json["thinking"] == {"type": "adaptive"}
    assert server.requests[-1].json["output_config"]["effort"] == "low"


def test_both_providers_are_shown_the_same() -> None:
    step = a_request()
    chat, messages = GPT4o().request(step).body, Claude().request(step).body
    assert chat["messages"][0]["content"] == messages["system"]
    assert chat["messages"][1:] == messages["messages"]


def test_usage_counts_the_whole_input(server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    judge = Claude(Claude.Config(base_url=server.url))
    reply = judge.send(judge.request(a_request()))
    judge.close()
    assert reply.usage == Usage(input_tokens=2000, cached_tokens=1000, output_tokens=90)
    assert reply.model == "claude-sonnet-5-5"


def test_only_text_is_read(server: JudgeServer) -> None:
    thought = {"type": "thinking", "thinking": "c1 deserves a 10", "signature": "x"}
    body = {"content": [thought, {"type": "text", "text": GOOD}], "stop_reason": "end_turn"}
    assert max(Claude().read(a_request(), ApiReply(body=body)).scores) == 8


@pytest.mark.parametrize(
    ("end", "kind", "cut"),
    [
        ("max_tokens", "invalid", True),
        ("model_context_window_exceeded", "invalid", True),
        ("refusal", "refusal", False),
        ("pause_turn", "invalid", False),
    ],
)
def test_the_stop_reason_is_looked_at_before_the_text(end: str, kind: str, cut: bool) -> None:
    judge = Claude()
    text = GOOD if kind == "refusal" or cut else GOOD[:20]
    reply = ApiReply(body={"content": [{"type": "text", "text": text}], "stop_reason": end})
    with pytest.raises(JudgeError) as caught:
        judge.read(a_request(), reply)
    assert caught.value.kind == kind
    api_request = judge.request(a_request())
    assert (judge.repaired(api_request, reply, caught.value).body["max_tokens"] == 1200) is cut


@pytest.mark.parametrize("body", [{"content": []}, {"content": [None]}, {"content": [{"type": "text"}]}])
def test_a_reply_without_words_is_invalid(body: dict[str, Any]) -> None:
    with pytest.raises(JudgeError) as caught:
        Claude().read(a_request(), ApiReply(body=body))
    assert caught.value.kind == "invalid"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(status=529, error={"type": "overloaded_error", "message": "Overloaded"}), "transient", "Overloaded"),
        (Answer(status=404, error={"type": "not_found_error", "message": "model: nope"}), "config", "judge.model"),
        (Answer(status=401, error={"type": "authentication_error", "message": KEY}), "config", "ANTHROPIC_API_KEY"),
        (Answer(status=402, error={"type": "billing_error", "message": "pay"}), "config", "no credit"),
        (
            Answer(status=400, error={"message": "no", "details": {"error_code": "enforced_spend_limit_reached"}}),
            "config",
            "limit",
        ),
        (
            Answer(status=400, error={"message": "thinking.type: use between_tools on this model"}),
            "config",
            "between_tools",
        ),
    ],
)
def test_anthropics_errors_say_what_to_do(ask: Ask, answer: Answer, kind: str, words: str) -> None:
    with pytest.raises(JudgeError, match=words) as caught:
        ask(answer)
    assert caught.value.kind == kind
    assert "2027" not in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [{"model": "claude-haiku-5-5"}, {"thinking": "adaptive"}, {"effort": "low"}, {"reasons": "before"}, {"repeat": 2}],
)
def test_what_may_change_a_verdict_changes_key_and_fingerprint(changed: dict[str, Any]) -> None:
    other = Claude(Claude.Config(**changed))
    assert other.request(a_request()).key != Claude().request(a_request()).key
    assert other.fingerprint() != Claude().fingerprint()


def test_the_list_price_is_anthropics() -> None:
    assert Claude.provider == "anthropic"
    assert Claude().priced_model == "claude-sonnet-5-5"
