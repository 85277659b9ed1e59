"""Online services that misbehave, on loopback: each way ends in an answer or in one clear line."""

from __future__ import annotations

import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import pytest
from pydantic import ValidationError

from spark_plugin_tools.knowledge.sources.mediawiki import lead
from spark_plugin_tools.knowledge.sources.web_search import BENCHMARK_MIRRORS, brave, tavily
from spark_plugin_tools.knowledge.sources.wiktionary import definition
from spark_plugin_tools.shared.http_client import Client, OnlineSettings, plain
from tests.plugins.tools import online_server as bad
from tests.plugins.tools.online_calls import ENTROPY, ENTROPY_TEXT, RESULTS, SOURCES, Ask, every_source, failure
from tests.plugins.tools.online_server import KEY, OnlineServer


@every_source
@pytest.mark.parametrize("act", [bad.status(429), bad.status(500), bad.status(503), bad.reset, bad.garbled])
def test_a_busy_or_broken_service_is_retried(
    server: OnlineServer, client: Client, pauses: list[float], ask: Ask, act: bad.Act
) -> None:
    server.plan = [act, act]
    assert ask(client, server)
    assert pauses == [0.5, 1.0]
    server.plan = [act, act, act]
    given_up = failure(lambda: ask(client, server))
    assert given_up.transient
    assert str(given_up).startswith(server.host)
    assert str(given_up).endswith("(attempts: 3)")
    assert len(server.requests) == 6


@every_source
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>hello</html>",
        b'{"query": {"pages": [',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"[]",
        b"3",
        b"null",
        b'{"message": "hello"}',
        b'{"query": {"pages": 3}, "results": 3, "web": 3, "en": 3}',
        b'{"query": {"pages": [3]}, "results": [3], "type": "search", "web": {"results": [{}]}, "en": [{}]}',
    ],
)
def test_a_reply_that_is_not_the_services_is_an_error(
    server: OnlineServer, client: Client, ask: Ask, raw: bytes
) -> None:
    server.plan = [bad.body(raw)]
    odd = failure(lambda: ask(client, server))
    assert odd.transient
    assert str(odd).startswith(server.host)
    assert len(server.requests) == 1


@every_source
@pytest.mark.parametrize("act", [bad.hang, bad.drip_headers, bad.drip_body])
def test_a_service_that_does_not_come_to_an_end_is_given_up_at_the_deadline(
    server: OnlineServer, new_client: Any, ask: Ask, act: bad.Act
) -> None:
    impatient = new_client(timeout=0.5)
    ask(impatient, server)  # connected
    server.plan = [act]
    late = failure(lambda: ask(impatient, server))
    assert str(late) == f"{server.host} gave no answer within 0.5 s"
    assert late.transient
    assert ask(new_client(), server)


@every_source
def test_a_huge_reply_is_dropped_on_the_way(server: OnlineServer, client: Client, ask: Ask) -> None:
    ask(client, server)  # imports and connection
    packed = bad.bomb(megabytes=256)
    assert len(packed) < 300_000
    for act in (bad.body(packed, Content_Encoding="gzip"), bad.endless):
        server.plan = [act]
        tracemalloc.start()
        huge = failure(lambda: ask(client, server))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert "more than 2 MB" in str(huge)
        assert peak < 16 << 20
    assert ask(client, server)


def test_compressed_replies_are_read_and_broken_ones_are_asked_for_again(
    server: OnlineServer, client: Client, pauses: list[float]
) -> None:
    good = {"batchcomplete": True, "query": {"pages": [{"index": 1, **ENTROPY}]}}
    server.plan = [bad.body(b"no gzip", Content_Encoding="gzip"), bad.zipped(good)]
    assert lead(client, server.api_url, "entropy") == ENTROPY_TEXT
    assert pauses == [0.5]


@pytest.mark.parametrize("code", ["maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError"])
def test_a_wiki_that_asks_for_patience_gets_it(
    server: OnlineServer, client: Client, pauses: list[float], code: str
) -> None:
    lag = bad.reply({"error": {"code": code, "info": "Waiting for a database"}}, Retry_After="5")
    server.plan = [lag]
    assert lead(client, server.api_url, "entropy") == ENTROPY_TEXT
    assert pauses == [5.0]
    server.plan = [lag, lag, lag]
    overloaded = failure(lambda: lead(client, server.api_url, "entropy"))
    assert "overloaded" in str(overloaded)
    assert overloaded.transient


def test_a_wiki_that_refuses_a_query_gives_the_reason(server: OnlineServer, client: Client) -> None:
    server.plan = [bad.reply({"error": {"code": "badvalue", "info": "Unrecognized\nvalue\x07 " + "x " * 900}})]
    refused = failure(lambda: lead(client, server.api_url, "entropy"))
    assert str(refused).startswith("the wiki refused the query: Unrecognized value x")
    server.plan = [bad.status(403)]
    assert "give a contact" in str(failure(lambda: lead(client, server.api_url, "entropy")))


@pytest.mark.parametrize(
    ("header", "pause"), [("0", 0), ("2.5", 2.5), ("-5", 0.5), ("nan", 0.5), ("soon", 0.5), ("", 0.5)]
)
def test_a_short_wish_to_wait_is_granted_and_nonsense_is_not(
    server: OnlineServer, client: Client, pauses: list[float], header: str, pause: float
) -> None:
    server.plan = [bad.status(429, Retry_After=header)]
    assert lead(client, server.api_url, "entropy") == ENTROPY_TEXT
    assert pauses == [pause]


def test_a_wish_to_wait_may_be_a_date(server: OnlineServer, client: Client, pauses: list[float]) -> None:
    server.plan = [bad.status(503, Retry_After="Fri, 01 Jan 2021 00:00:00 GMT")]
    assert lead(client, server.api_url, "entropy") == ENTROPY_TEXT
    assert pauses == [0.5]
    server.plan = [bad.status(503, Retry_After=formatdate(time.time() + 3000, usegmt=True))]
    assert "asks to wait 3000 s" in str(failure(lambda: lead(client, server.api_url, "x"))).replace("2999", "3000")


@pytest.mark.parametrize("header", ["120", "inf", "9" * 400])
def test_a_long_wish_to_wait_ends_the_call_and_the_service_is_left_alone(
    server: OnlineServer, client: Client, pauses: list[float], header: str
) -> None:
    server.plan = [bad.status(429, Retry_After=header)]
    asked = failure(lambda: lead(client, server.api_url, "entropy"))
    assert ("asks to wait 120 s" if header == "120" else "asks to wait 86400 s") in str(asked)
    assert asked.transient
    again = failure(lambda: lead(client, server.api_url, "entropy"))
    assert "wants no request for another" in str(again)
    assert again.transient
    assert len(server.requests) == 1
    assert pauses == []


def test_a_pause_beyond_the_deadline_is_not_begun(server: OnlineServer, new_client: Any, pauses: list[float]) -> None:
    server.plan = [bad.status(503, Retry_After="4")]
    busy = failure(lambda: lead(new_client(timeout=3), server.api_url, "entropy"))
    assert "(attempts: 1)" in str(busy)
    assert pauses == []


def test_redirects_are_followed_within_the_host(server: OnlineServer, client: Client) -> None:
    target = "/w/api.php?" + "&".join(
        f"{name}={value}"
        for name, value in {
            "action": "query",
            "format": "json",
            "formatversion": 2,
            "generator": "search",
            "gsrlimit": 5,
            "prop": "extracts%7Cpageprops",
            "exintro": 1,
            "explaintext": 1,
            "maxlag": 5,
        }.items()
    )
    server.plan = [bad.redirect("/moved"), bad.redirect(server.url + "/again", 301), bad.redirect(target, 308)]
    assert lead(client, server.api_url, "entropy") == ENTROPY_TEXT
    server.plan = [bad.redirect("/search", 307)]
    assert tavily(client, server.url, KEY, "entropy", 3, BENCHMARK_MIRRORS) == RESULTS
    assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"


@every_source
def test_redirects_elsewhere_and_without_end_are_not_followed(server: OnlineServer, client: Client, ask: Ask) -> None:
    other = OnlineServer()
    elsewhere = (other.url + "/x", "http://localhost:1/", "https://127.0.0.1/", "http://169.254.169.254/", "ftp://a/b")
    for location in elsewhere:
        server.plan = [bad.redirect(location, 307)]
        assert "redirects to another host" in str(failure(lambda: ask(client, server)))
    other.stop()
    assert other.requests == []
    assert len(server.requests) == len(elsewhere)
    server.plan = [bad.redirect("/", 307)] * 9
    assert "without end" in str(failure(lambda: ask(client, server)))
    assert len(server.requests) == len(elsewhere) + 4
    server.plan = [bad.redirect("http://[::1")]
    assert "status 302" in str(failure(lambda: ask(client, server)))


def test_a_proxy_is_used_where_one_is_set_and_http_may_become_https(
    server: OnlineServer, new_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    through = new_client(proxy=server.url, attempts=1)
    assert lead(through, "http://wiki.example/w/api.php", "entropy") == ENTROPY_TEXT
    assert server.requests[0].headers["host"] == "wiki.example"
    server.plan = [bad.redirect("https://wiki.example/w/api.php")]
    blocked = failure(lambda: lead(through, "http://wiki.example/w/api.php", "entropy"))
    assert "cannot be reached through the proxy" in str(blocked)
    assert [(seen.method, seen.headers["host"]) for seen in server.requests[2:3]] == [("CONNECT", "wiki.example:443")]
    assert lead(new_client(), server.api_url, "entropy") == ENTROPY_TEXT


@every_source
def test_a_service_that_is_not_there_is_transient(
    server: OnlineServer, client: Client, pauses: list[float], ask: Ask
) -> None:
    server.stop()
    gone = failure(lambda: ask(client, server))
    assert "cannot be reached (attempts: 3)" in str(gone)
    assert gone.transient


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://example.org",
        "file:///etc/passwd",
        "example.org",
        "https://",
        "http://me:secret@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://a b/",
        "http://example.org/?key=secret",
        "http://exa\nmple.org",
        "http://*/",
        "http://[v1.x]/",
        "http://[:::]/",
        "http://999.999.999.999/",
        "http://" + "a" * 300,
    ],
)
def test_a_bad_address_is_refused_and_not_repeated(client: Client, url: str) -> None:
    asks = (
        lambda: lead(client, url, "x"),
        lambda: definition(client, url, "x"),
        lambda: tavily(client, url, KEY, "x", 1, ()),
        lambda: brave(client, url, KEY, "x", 1, ()),
    )
    for ask in asks:
        text = str(failure(ask))
        assert "https://host" in text
        assert "secret" not in text
    with pytest.raises(ValidationError, match="https://host"):
        OnlineSettings(proxy=url)


@pytest.mark.parametrize("url", ["http://xn--/", "http://xn--_n.__9/", "http://a..b/", "http://-/"])
def test_a_host_name_that_cannot_be_one_is_an_error(new_client: Any, pauses: list[float], url: str) -> None:
    failure(lambda: lead(new_client(), url, "x"))
    failure(lambda: lead(new_client(proxy=url), "http://wiki.example/w/api.php", "x"))


# -- many threads, and the end -----------------------------------------------------------------------------------------


def test_eight_threads_ask_one_host_one_after_the_other(server: OnlineServer, new_client: Any) -> None:
    clients = [new_client(), new_client()]
    asks = list(SOURCES.values())
    expected = [ask(clients[0], server) for ask in asks]
    server.plan = [bad.slow] * 64
    gate = threading.Barrier(8)

    def work(thread: int) -> list[object]:
        gate.wait()
        return [ask(clients[thread % 2], server) for ask in asks for _ in range(2)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, range(8)))
    assert answers == [[one for one in expected for _ in range(2)]] * 8
    assert server.plan == []
    assert server.most_at_once == 1


def test_a_client_opens_nothing_before_it_is_used_and_opens_again_after_its_end(server: OnlineServer) -> None:
    before = threading.active_count()
    client = Client(OnlineSettings())
    client.close()
    assert threading.active_count() == before
    for _ in range(2):
        assert lead(client, server.api_url, "entropy") == ENTROPY_TEXT
        client.close()
        client.close()


def test_no_call_depends_on_an_earlier_one(server: OnlineServer, client: Client) -> None:
    for ask in SOURCES.values():
        ask(client, server)
    assert all("cookie" not in seen.headers for seen in server.requests)


@pytest.mark.parametrize(
    "settings",
    [
        {"contact": "me\r\nX-Evil: 1"},
        {"contact": "é"},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"attempts": 0},
        {"proxy": "http://user:secret@host"},
        {"contacts": "me"},
    ],
)
def test_settings_that_cannot_be_honoured_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OnlineSettings(**settings)


def test_plain_text_is_one_line_cut_between_words() -> None:
    assert plain(" a\r\n\tb\u2028c\x00\x1b[0m\u200b\ue000 ") == "a b c[0m"
    assert plain("one two three", 9) == "one two…"
    assert plain("x" * 50, 9) == "x" * 8 + "…"
