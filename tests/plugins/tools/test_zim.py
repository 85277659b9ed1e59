"""`encyclopedia` with a ZIM file that the tests write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from spark_framework.api import UserError
from spark_plugin_tools.knowledge.encyclopedia import Encyclopedia
from spark_plugin_tools.knowledge.sources.zim import lead_of
from tests.plugins.tools.calls import call

pytest.importorskip("libzim")

HASTINGS = """<html><head><title>x</title><style>p {color: red}</style></head><body><h1>Battle of Hastings</h1>
<table class="infobox"><tr><td><p>Date</p></td></tr></table>
<p>The <b>Battle of Hastings</b><sup class="reference">[1]</sup> was fought on 14&nbsp;October 1066 , near Hastings.</p>
<p>William won &amp; Harold fell.</p><h2>Background</h2><p>Not of the lead.</p></body></html>"""
PAGES = {
    "Battle of Hastings": HASTINGS,
    "Okapi": "<p>It is a relative of the giraffe.</p>",
    "Mass–energy equivalence": '<p>It says <math alttext="E = mc^2"><mi>E</mi></math> of bodies at rest.</p>',
    "Giraffe": "<p>The giraffe is a tall mammal. " + "It eats leaves. " * 200 + "</p>",
    "Empty": "<table><tr><td>giraffe giraffe giraffe giraffe</td></tr></table>",
    **{f"Filler {number}": f"<p>Filler {number} is a place with a battle.</p>" for number in range(30)},
}


def write(path: Path, indexed: bool = True) -> Path:
    from libzim.writer import Creator, Hint, Item, StringProvider

    class Article(Item):  # type: ignore[misc]
        def __init__(self, title: str, page: str) -> None:
            super().__init__()
            self.title, self.page = title, page

        def get_path(self) -> str:
            return self.title.replace(" ", "_")

        def get_title(self) -> str:
            return self.title

        def get_mimetype(self) -> str:
            return "text/html"

        def get_contentprovider(self) -> Any:
            return StringProvider(self.page)

        def get_hints(self) -> dict[Any, int]:
            return {Hint.FRONT_ARTICLE: 1}

    with Creator(path).config_indexing(indexed, "eng") as creator:
        for title, page in PAGES.items():
            creator.add_item(Article(title, page))
        creator.add_redirection("Hastings", "Hastings 1066", "Battle_of_Hastings", {Hint.FRONT_ARTICLE: 1})
        creator.set_mainpath("Okapi")
    return path


@pytest.fixture(scope="module")
def zim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("zim") / "small.zim")


@pytest.fixture
def encyclopedia(zim: Path) -> Encyclopedia:
    return Encyclopedia(Encyclopedia.Config(sources=("zim",), zim=zim))


LEAD = "The Battle of Hastings was fought on 14 October 1066, near Hastings. William won & Harold fell."


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("Battle of Hastings", LEAD),
        ("battle of hastings?", LEAD),
        ("Hastings 1066", LEAD),
        ("what was the battle of Hastings", LEAD),
        ("who won at Hastings", LEAD),
        ("okapi", "Okapi: It is a relative of the giraffe."),
        ("relative of the giraffes", "Okapi: It is a relative of the giraffe."),
        ("mass energy equivalence", "Mass–energy equivalence: It says E = mc^2 of bodies at rest."),
    ],
)
def test_titles_redirects_and_full_text(encyclopedia: Encyclopedia, query: str, text: str) -> None:
    assert call(encyclopedia, {"query": query}) == text


@pytest.mark.parametrize("query", ["battle of Xyzzy", '"', "(*", "\ud800", "w" * 200, "Empty", "zzz AND okapi"])
def test_what_is_not_there_is_an_error(encyclopedia: Encyclopedia, query: str) -> None:
    assert call(encyclopedia, {"query": query}).startswith("error: ")


def test_a_long_lead_is_cut_between_words(encyclopedia: Encyclopedia) -> None:
    text = call(encyclopedia, {"query": "giraffe"})
    assert 1100 < len(text) <= 1200
    assert text.endswith("…")


def test_the_zim_file_goes_before_the_packaged_articles(zim: Path) -> None:
    both = Encyclopedia(Encyclopedia.Config(zim=zim))
    assert call(both, {"query": "Battle of Hastings"}) == LEAD
    assert call(both, {"query": "capital of Peru"}) == "Peru is a country in South America. Its capital is Lima."
    assert both.source_names()[:2] == ("zim", "packaged")


def test_a_file_without_full_text_index_is_searched_by_title(tmp_path: Path) -> None:
    plain = Encyclopedia(Encyclopedia.Config(sources=("zim",), zim=write(tmp_path / "plain.zim", indexed=False)))
    assert call(plain, {"query": "Okapi"}) == "Okapi: It is a relative of the giraffe."
    assert call(plain, {"query": "zzz"}).startswith("error: ")


def test_the_fingerprint_covers_the_file(zim: Path, encyclopedia: Encyclopedia, tmp_path: Path) -> None:
    same = Encyclopedia(encyclopedia.config)
    assert same.fingerprint() == encyclopedia.fingerprint()
    path = zim.with_name("moved.zim")
    path.write_bytes(zim.read_bytes())
    before = Encyclopedia(Encyclopedia.Config(zim=path)).fingerprint()
    write(tmp_path / "new.zim").replace(path)
    assert Encyclopedia(Encyclopedia.Config(zim=path)).fingerprint() != before


def test_what_is_no_zim_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.zim").write_text("not a ZIM file, but longer than the header of one " * 9)
    with pytest.raises(UserError, match=r"text\.zim is not a ZIM file"):
        Encyclopedia(Encyclopedia.Config(zim=tmp_path / "text.zim")).prepare()


def test_eight_threads(encyclopedia: Encyclopedia) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: call(encyclopedia, {"query": "who won at Hastings"}), range(100))) == {LEAD}


@pytest.mark.parametrize(
    ("page", "lead"),
    [
        ("", ""),
        ("<p>open", "open"),
        ("<p>a</p></table></p><p>b", "a b"),
        ("<table><p>hidden", ""),
        ("<p>x <![bad> y</p>", "x"),
        ("<p>" + "<b>" * 5000 + "deep", "deep"),
        ("<p></p><h2>Late</h2><p>first text", "first text"),
        ("<p>&#x110000; &bogus; \x00</p>", "\ufffd &bogus;"),
    ],
)
def test_any_page_gives_text(page: str, lead: str) -> None:
    assert lead_of(page).replace("\x00", "").strip() == lead
