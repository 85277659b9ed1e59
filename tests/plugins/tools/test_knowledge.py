"""The packaged facts, and how `encyclopedia`, `dictionary` and `search` find them."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from spark_framework.api import Tool
from spark_plugin_tools.knowledge.sources.packaged_facts import rows
from tests.plugins.tools.calls import call, tool_class

SOURCES = {"encyclopedia": "packaged", "dictionary": "glossary", "search": "articles"}


@cache
def packaged(name: str) -> Tool:
    """A tool that knows the packaged facts alone, whatever else is installed."""
    cls = tool_class(name)
    return cls(cls.Config.model_validate({"sources": [SOURCES[name]]}))


def answer(name: str, /, **arguments: Any) -> str:
    return call(packaged(name), arguments)


COLUMNS = {"capitals": 3, "cases": 4, "events": 3, "formulas": 4, "glossary": 4, "people": 4, "works": 5}
LEAST = {"capitals": 150, "cases": 60, "events": 390, "formulas": 400, "glossary": 1800, "people": 300, "works": 95}
SCIENCES = ("biology", "chemistry", "computer science", "engineering", "health", "mathematics", "physics")
FIELDS = (*SCIENCES, "business", "economics", "history", "law", "philosophy", "psychology")


@pytest.mark.parametrize("file", COLUMNS)
def test_there_are_enough_facts(file: str) -> None:
    assert len(rows(file)) >= LEAST[file]


@pytest.mark.parametrize("field", FIELDS)
def test_the_glossary_spans_the_fields(field: str) -> None:
    assert [row[1] for row in rows("glossary")].count(field) >= 80


@pytest.mark.parametrize("file", COLUMNS)
def test_every_line_is_complete(file: str) -> None:
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
        assert len(definition) <= 260, term


@pytest.mark.parametrize(("country", "capital"), [line[:2] for line in rows("capitals")])
def test_capitals(country: str, capital: str) -> None:
    text = answer("encyclopedia", query=f"capital of {country}")
    assert text.startswith(f"{country} is a country")
    assert capital in text
    assert capital in answer("search", query=f"capital of {country}", k=1)


FOUND_BY_NAME = [("events", 1), ("works", 2), ("formulas", 2), ("glossary", 2), ("people", 3), ("cases", 3)]


@pytest.mark.parametrize(("file", "looked_for"), FOUND_BY_NAME)
def test_every_fact_is_found_by_its_name(file: str, looked_for: int) -> None:
    for line in rows(file):
        text = answer("encyclopedia", query=line[0])
        assert line[looked_for] in text, line
        assert len(text) < 500
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
        ("Alexander Fleming", "penicillin"),
        ("Kant", "Immanuel Kant (1724-1804"),
        ("Marbury v. Madison", "judicial review"),
        ("Palsgraf case", "1928"),
        ("The Social Contract", "Jean-Jacques Rousseau"),
        ("the social contract idea", "political power"),
        ("opportunity cost", "best alternative"),
    ],
)
def test_encyclopedia(query: str, found: str) -> None:
    text = answer("encyclopedia", query=query)
    assert found in text
    assert "\n" not in text


@pytest.mark.parametrize("query", ["capital of Atlantis", "blah blah", '"', "NEAR( xyzzy:( *", "w0 OR w1", "\ud800"])
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
