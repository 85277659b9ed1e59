"""What the online sources make of well-formed answers, alone and as tools, against a real server on loopback."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spark_framework.api import Tool, ToolContext, ToolError, UserError
from spark_framework.cli import main
from spark_plugin_tools.knowledge.dictionary import Dictionary
from spark_plugin_tools.knowledge.encyclopedia import Encyclopedia
from spark_plugin_tools.knowledge.search import Search
from spark_plugin_tools.knowledge.sources.mediawiki import lead
from spark_plugin_tools.knowledge.sources.web_search import BENCHMARK_MIRRORS, brave, tavily
from spark_plugin_tools.knowledge.sources.wiktionary import definition
from spark_plugin_tools.shared.http_client import Client
from tests.plugins.tools import online_server as bad
from tests.plugins.tools.calls import call
from tests.plugins.tools.online_calls import ENTROPY, ENTROPY_TEXT, PAGES, RESULTS, entry, failure
from tests.plugins.tools.online_server import KEY, OnlineServer


def test_an_article_is_asked_for_as_wikimedia_asks_for_it(server: OnlineServer, new_client: Any) -> None:
    client = new_client(contact="https://example.org/me; me@example.org")
    assert lead(client, server.api_url, "entropy") == ENTROPY_TEXT
    (seen,) = server.requests
    assert seen.params["maxlag"] == "5"
    assert seen.params["gsrsearch"] == "entropy"
    assert seen.headers["user-agent"].startswith("spark-framework/")
    assert seen.headers["user-agent"].endswith(" (+https://example.org/me; me@example.org)")
    assert seen.headers["accept-encoding"] == "gzip"


def test_the_best_article_is_shown_whatever_the_order_of_the_pages(server: OnlineServer, client: Client) -> None:
    server.articles = [ENTROPY, *({"title": f"Other {n}", "extract": "no"} for n in range(9))]
    assert lead(client, server.api_url, "entropy") == ENTROPY_TEXT


@pytest.mark.parametrize(
    ("query", "searched"),
    [
        ('insource:/.*/ "exact" AC/DC', "insource . exact AC DC"),
        ("-physics well-known ~x", "physics well-known x"),
        ("a\ud800b\x00\n c\u202e", "ab c"),
    ],
)
def test_a_query_is_words_and_no_search_operators(
    server: OnlineServer, client: Client, query: str, searched: str
) -> None:
    lead(client, server.api_url, query)
    assert server.requests[0].params["gsrsearch"] == searched


def test_no_article_an_empty_one_and_a_title_with_several_meanings_are_errors(
    server: OnlineServer, client: Client
) -> None:
    server.articles = []
    none = failure(lambda: lead(client, server.api_url, "zzz"))
    assert str(none) == "no article found for 'zzz'; try a shorter name"
    server.articles = [{"title": "Blank"}]
    assert "'Blank' has no opening text" in str(failure(lambda: lead(client, server.api_url, "blank")))
    server.articles = [
        {"title": "Mercury", "extract": "Mercury may refer to:", "pageprops": {"disambiguation": ""}},
        {"title": "Mercury (planet)", "extract": "x"},
        {"title": "Mercury (element)", "extract": "x"},
    ]
    several = failure(lambda: lead(client, server.api_url, "mercury"))
    assert str(several).endswith("several meanings; ask for one of them: Mercury (planet), Mercury (element)")
    assert not none.transient
    assert not several.transient


@pytest.mark.parametrize("query", ["", "  ", "\ud800", ":", '"-"'])
def test_an_empty_query_sends_no_request(server: OnlineServer, client: Client, query: str) -> None:
    assert str(failure(lambda: lead(client, server.api_url, query))) == "empty query"
    assert server.requests == []


def test_a_definition_is_text_without_markup(server: OnlineServer, client: Client) -> None:
    style = '<style data-x="1">.a{color:red}</style>'
    marked = style + 'A <i>measure</i>\n of <a href="/wiki/a?b=1&amp;c">AT&amp;T</a> &lt;b&gt;.'
    server.entries["set"] = {
        "fr": [entry("Noun", "un ensemble", language="French")],
        "en": [entry("Verb", "", marked, "two", "three", "four"), entry("Symbol"), entry("Proper noun", "a <b")],
    }
    assert definition(client, server.url, "set") == "set (verb): A measure of AT&T <b>; two; three. (proper noun): a."
    assert server.requests[0].path == "/api/rest_v1/page/definition/set"


def test_a_term_is_looked_up_as_written_and_then_in_lower_case(server: OnlineServer, client: Client) -> None:
    assert definition(client, server.url, "Entropy") == "entropy (noun): A measure of disorder."
    assert [seen.path.rpartition("/")[2] for seen in server.requests] == ["Entropy", "entropy"]
    server.entries["Zeitgeist"] = {"de": [entry("Noun", "spirit of the time", language="German")]}
    assert definition(client, server.url, "Zeitgeist") == "Zeitgeist (German noun): spirit of the time."


@pytest.mark.parametrize("term", ["zzz", "..", "", "a/../b?c#d", "%2e%2e", "\ud800"])
def test_a_term_without_entry_is_an_error_and_stays_in_its_place(
    server: OnlineServer, client: Client, term: str
) -> None:
    missing = failure(lambda: definition(client, server.url, term))
    assert str(missing).startswith("no entry for ")
    assert not missing.transient
    for seen in server.requests:
        assert seen.path.startswith("/api/rest_v1/page/definition/")
        assert seen.path.count("/") == 5
        assert seen.params == {}


def test_tavily_is_told_what_to_leave_out_and_the_key_goes_into_a_header(server: OnlineServer, client: Client) -> None:
    assert tavily(client, server.url + "/", KEY, "entropy", 3, BENCHMARK_MIRRORS) == RESULTS
    (seen,) = server.requests
    assert (seen.method, seen.path, seen.params) == ("POST", "/search", {})
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert (seen.body["query"], seen.body["max_results"]) == ("entropy", 3)
    assert set(seen.body["exclude_domains"]) == set(BENCHMARK_MIRRORS)


def test_brave_is_asked_for_more_so_that_enough_is_left(server: OnlineServer, client: Client) -> None:
    server.results = [PAGES[1]] * 10 + [{**PAGES[0], "text": "A <strong>scientific</strong> concept&#x27;s name"}] * 9
    found = brave(client, server.url, KEY, "entropy", 5, BENCHMARK_MIRRORS)
    assert [text for _, _, text in found] == ["A scientific concept's name"] * 5
    (seen,) = server.requests
    assert (seen.method, seen.path) == ("GET", "/res/v1/web/search")
    assert seen.headers["x-subscription-token"] == KEY
    assert KEY not in json.dumps(seen.params)


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/x",
        "https://HuggingFace.co./x",
        "http://a.b.huggingface.co:443",
        "https://en.wikipedia.org@huggingface.co/",
        "https://Mine.Example/",
        "no address",
        "http://[::1",
        "",
    ],
)
@pytest.mark.parametrize("search", [tavily, brave])
def test_excluded_hosts_are_left_out_whatever_the_service_sends(
    server: OnlineServer, client: Client, search: Any, url: str
) -> None:
    server.results = [{"title": "t", "url": url, "text": "x"}]
    assert "nothing found" in str(
        failure(lambda: search(client, server.url, KEY, "x", 3, (*BENCHMARK_MIRRORS, ".mine.example")))
    )
    kept = "https://nothuggingface.co/huggingface.co"
    server.results.append({"title": "t", "url": kept, "text": "x"})
    assert search(client, server.url, KEY, "x", 3, BENCHMARK_MIRRORS)[-1] == ("t", kept, "x")


@pytest.mark.parametrize("search", [tavily, brave])
def test_results_are_plain_text_in_the_order_of_the_service(server: OnlineServer, client: Client, search: Any) -> None:
    odd = {"title": "a\u202e\x07b\n", "url": "https://x.org/\ud83d", "text": "c\ud83d\x00\t d \u200b" + "word " * 900}
    server.results = [odd, {**PAGES[0], "text": " "}, *PAGES]
    first, *rest = search(client, server.url, KEY, "x", 20, BENCHMARK_MIRRORS)
    assert first[0] == "ab"
    assert all(text.isprintable() and text.encode() for text in first)
    assert first[2].startswith("c")
    assert len(first[2]) <= 600
    assert rest == RESULTS


@pytest.mark.parametrize("search", [tavily, brave])
@pytest.mark.parametrize("key", ["", " ", "tvly-\nsecret", "tvly-sécret", "tvly secret"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(
    server: OnlineServer, client: Client, search: Any, key: str
) -> None:
    text = str(failure(lambda: search(client, server.url, key, "x", 3, ())))
    assert "key" in text
    assert "cret" not in text
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "refused the key"), (402, "paid"), (422, "refused the key"), (432, "limit"), (418, "418")],
)
@pytest.mark.parametrize("search", [tavily, brave])
def test_a_refused_key_and_an_exhausted_account_are_told_apart_and_not_recorded(
    server: OnlineServer, client: Client, search: Any, status: int, words: str
) -> None:
    server.plan = [bad.status(status)]
    refused = failure(lambda: search(client, server.url, KEY, "x", 3, ()))
    assert words in str(refused)
    assert refused.transient
    assert len(server.requests) == 1
    assert "refused the key" in str(failure(lambda: search(client, server.url, "wrong-key", "x", 3, ())))


def test_keys_are_in_no_log(
    server: OnlineServer, client: Client, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for search in (tavily, brave):
        server.plan = [bad.status(401), bad.reset, bad.garbled, bad.redirect("/elsewhere")]
        for _ in range(2):
            failure(lambda search=search: search(client, server.url, KEY, "x", 3, ()))
    assert "HTTP Request" in caplog.text
    assert KEY not in caplog.text
    assert all(KEY not in seen.path + json.dumps(seen.params) for seen in server.requests)


# -- the tools that ask them -------------------------------------------------------------------------------------------


@pytest.fixture
def open_tool() -> Iterator[Callable[..., Tool]]:
    """Builds one of the three tools with the given settings, and closes it in the end."""
    tools: list[Tool] = []

    def build(cls: type[Tool], **settings: Any) -> Tool:
        tools.append(cls(cls.Config(**settings)))
        return tools[-1]

    yield build
    for tool in tools:
        tool.close()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVILY_API_KEY", KEY + "\n")
    monkeypatch.setenv("BRAVE_API_KEY", KEY)


def test_the_encyclopedia_asks_a_wiki(server: OnlineServer, open_tool: Any) -> None:
    wiki = open_tool(Encyclopedia, sources=("mediawiki",), api_url=server.api_url)
    assert wiki.needs == {"network"}
    wiki.prepare()
    for _ in range(2):
        assert call(wiki, {"query": "entropy"}) == ENTROPY_TEXT
        wiki.close()
    server.articles = []
    assert call(wiki, {"query": "zzz"}) == "error: no article found for 'zzz'; try a shorter name"
    assert open_tool(Encyclopedia).needs == frozenset()


def test_a_wiki_is_asked_for_what_is_not_packaged(server: OnlineServer, open_tool: Any) -> None:
    both = open_tool(Encyclopedia, sources=("packaged", "mediawiki"), api_url=server.api_url)
    assert call(both, {"query": "Peru"}).startswith("Peru is a country")
    assert server.requests == []
    assert call(both, {"query": "zyxwv"}) == ENTROPY_TEXT


def test_the_dictionary_asks_wiktionary(server: OnlineServer, open_tool: Any) -> None:
    wiktionary = open_tool(Dictionary, sources=("wiktionary",), wiktionary_url=server.url)
    assert wiktionary.needs == {"network"}
    assert call(wiktionary, {"term": "Entropy"}) == "entropy (noun): A measure of disorder."
    assert call(wiktionary, {"term": "zzz"}) == "error: no entry for 'zzz'; give one term"


@pytest.mark.parametrize(("source", "url"), [("tavily", "tavily_url"), ("brave", "brave_url")])
def test_search_asks_the_web(server: OnlineServer, open_tool: Any, keys: None, source: str, url: str) -> None:
    search = open_tool(Search, sources=(source,), **{url: server.url})
    assert search.needs == {"network"}
    search.prepare()
    lines = call(search, {"query": "entropy", "k": 5}).splitlines()
    assert len(lines) == len(RESULTS)
    for line, (title, address, text) in zip(lines, RESULTS, strict=True):
        assert title in line
        assert address in line
        assert text in line
    own_list = open_tool(Search, sources=(source,), exclude=("wikipedia.org",), **{url: server.url})
    assert "answer: B" in call(own_list, {"query": "entropy", "k": 5})


@pytest.mark.parametrize(("source", "variable"), [("tavily", "MY_TAVILY"), ("brave", "MY_BRAVE")])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_key_is_reported_before_the_first_request(
    server: OnlineServer,
    open_tool: Any,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    variable: str,
    value: str | None,
) -> None:
    monkeypatch.delenv(variable, raising=False)
    if value is not None:
        monkeypatch.setenv(variable, value)
    search = open_tool(Search, sources=(source,), **{f"{source}_url": server.url, f"{source}_key_env": variable})
    with pytest.raises(UserError, match=variable):
        search.prepare()
    with pytest.raises(ToolError, match=variable) as caught:
        search.call(search.Args(query="entropy"), ToolContext())
    assert caught.value.transient
    assert server.requests == []


@pytest.mark.parametrize(
    "odd", ["\x00", "%", "%2F..", "../../etc", "?a=1#b", "<script>", "{}", "\U0001f600", "a" * 80, '"', "-"]
)
def test_any_text_gets_one_line_of_an_answer(server: OnlineServer, open_tool: Any, keys: None, odd: str) -> None:
    asked = {
        "query": (
            open_tool(Encyclopedia, sources=("mediawiki",), api_url=server.api_url),
            open_tool(Search, sources=("tavily",), tavily_url=server.url),
            open_tool(Search, sources=("brave",), brave_url=server.url),
        ),
        "term": (open_tool(Dictionary, sources=("wiktionary",), wiktionary_url=server.url),),
    }
    for argument, tools in asked.items():
        for tool in tools:
            answer = call(tool, {argument: odd})
            assert answer.replace("\n", "").isprintable()
            assert answer.encode()
            assert "validation error" not in answer
    assert {seen.path.split("/")[1] for seen in server.requests} <= {"w", "search", "res", "api"}


def test_the_command_line_asks_a_wiki_where_the_network_is_allowed(
    server: OnlineServer, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--set", "sources=[mediawiki]", "--set", f"api_url={server.api_url}"]
    command = ["tools", "try", "encyclopedia", '{"query": "entropy"}', *settings]
    assert main(command) == 2
    assert "--allow network" in capsys.readouterr().err
    assert server.requests == []
    assert main([*command, "--allow", "network"]) == 0
    assert capsys.readouterr().out == ENTROPY_TEXT + "\n"
    server.plan = [bad.status(404)]
    assert main([*command, "--allow", "network"]) == 1
    assert "status 404" in capsys.readouterr().out
