"""`encyclopedia`, `dictionary`, `search`, and the facts behind them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from tool_calls import answer, call

from spark_plugin_tools._knowledge import rows
from spark_plugin_tools.search import Search

COLUMNS = {"capitals": 3, "events": 3, "formulas": 4, "glossary": 4, "works": 5}


@pytest.mark.parametrize(("file", "least"), [("capitals", 150), ("events", 130), ("formulas", 95), ("works", 95)])
def test_there_are_enough_facts(file: str, least: int) -> None:
    assert len(rows(file)) >= least


def test_the_glossary_spans_the_fields() -> None:
    fields = [field for _, field, _, _ in rows("glossary")]
    assert len(fields) >= 200
    for field in ("psychology", "biology", "economics", "law", "philosophy", "health", "computer science", "history"):
        assert fields.count(field) >= 18


@pytest.mark.parametrize("file", COLUMNS)
def test_every_line_is_whole(file: str) -> None:
    lines = rows(file)
    assert all(len(line) == COLUMNS[file] and all(cell == cell.strip() != "" for cell in line) for line in lines)
    names = [line[0].lower() for line in lines]
    assert len(set(names)) == len(names)


def test_events_name_one_year() -> None:
    """A second year in the text would leave it open which one was asked for."""
    for event, year, text in rows("events"):
        assert re.fullmatch(r"\d{2,4}( BC)?", year), event
        assert set(re.findall(r"\d{3,4}", event + text)) <= {year}, event


def test_every_term_has_relations() -> None:
    for term, _, definition, related in rows("glossary"):
        assert 2 <= len(related.split("; ")) <= 4, term
        assert len(definition) < 120, term


@pytest.mark.parametrize(("country", "capital"), [line[:2] for line in rows("capitals")])
def test_capitals(country: str, capital: str) -> None:
    text = answer("encyclopedia", query=f"capital of {country}")
    assert text.startswith(f"{country} is a country")
    assert capital in text
    assert capital in answer("search", query=f"capital of {country}", k=1)


@pytest.mark.parametrize(("file", "looked_for"), [("events", 1), ("works", 2), ("formulas", 2), ("glossary", 2)])
def test_every_fact_is_found_by_its_name(file: str, looked_for: int) -> None:
    for line in rows(file):
        text = answer("encyclopedia", query=line[0])
        assert line[looked_for] in text, line
        assert len(text) < 300
        if file in ("glossary", "formulas"):
            assert line[looked_for] in answer("dictionary", term=line[0])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("What is the capital of Peru?", "Lima"),
        ("Lima", "Peru"),
        ("when did the French Revolution start", "1789"),
        ("Magna Carta", "1215"),
        ("World War I", "1914"),
        ("end of World War II", "1945"),
        ("moon landing", "1969"),
        ("KINETIC ENERGY", "1/2 * m * v^2"),
        ("ohm's law", "V = I * R"),
        ("compound interest formula", "(1 + r/n)"),
        ("iron", "atomic number 26"),
        ("gold symbol", "symbol Au"),
        ("aluminum", "Aluminium (Al)"),
        ("who wrote Hamlet", "William Shakespeare"),
        ("Alexander Fleming", "Penicillin"),
        ("The Social Contract", "Jean-Jacques Rousseau"),
        ("the social contract idea", "political power"),
        ("opportunity cost", "best alternative"),
    ],
)
def test_encyclopedia(query: str, found: str) -> None:
    text = answer("encyclopedia", query=query)
    assert found in text
    assert "\n" not in text


@pytest.mark.parametrize("query", ["capital of Atlantis", "blah blah", '"', "NEAR( title:( *", "w0 OR w1", "\ud800"])
def test_nothing_found_is_an_error(query: str) -> None:
    assert answer("encyclopedia", query=query).startswith("error: ")


def test_dictionary() -> None:
    text = (
        "opportunity cost (economics): the value of the best alternative that is given up by a choice. "
        "Related: scarcity; trade-off; choice."
    )
    for term in ("opportunity cost", "Opportunity Costs", "define opportunity cost", "what is an opportunity cost?"):
        assert answer("dictionary", term=term) == text
    assert answer("dictionary", term="cost").startswith("error: no entry for 'cost'")
    assert answer("dictionary", term="  ") == "error: empty term"


def test_search_ranks_and_leaves_out_what_fits_badly() -> None:
    assert answer("search", query="gold atomic number").startswith("Gold (Au): atomic number 79")
    several = answer("search", query="battle", k=2).splitlines()
    assert [line[:3] for line in several] == ["1. ", "2. "]
    assert answer("search", query="zzzz").startswith("error: nothing found for 'zzzz'")
    assert "k" in answer("search", query="battle", k=6)


def test_search_reads_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "notes.txt").write_text("Zebras live in Africa.\n\nPenguins live in the south.\n\n" + "word " * 400)
    (tmp_path / "deep" / "more.jsonl").write_text(json.dumps({"title": "Okapi", "text": "A shy relative."}) + "\n\n")
    (tmp_path / "ignored.bin").write_bytes(b"\xff\xfe")
    search = Search(Search.Config(corpus=tmp_path))
    assert call(search, {"query": "penguins"}) == "Penguins live in the south."
    assert call(search, {"query": "okapi"}) == "A shy relative."
    assert all(len(line) < 610 for line in call(search, {"query": "word"}).splitlines())
    assert call(search, {"query": "Peru"}).startswith("error: nothing found")
    assert search.fingerprint() != Search().fingerprint()
    before = search.fingerprint()
    (tmp_path / "notes.txt").write_text("Zebras are striped.")
    assert search.fingerprint() != before


def test_a_bad_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="there is no"):
        Search.Config(corpus=tmp_path)
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n[1]\n')
    bad = Search(Search.Config(corpus=tmp_path))
    assert call(bad, {"query": "fine"}) == "error: bad.jsonl line 2 is not a JSON object with the field text"
