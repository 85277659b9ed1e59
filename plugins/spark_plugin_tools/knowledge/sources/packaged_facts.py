"""The packaged facts as articles and dictionary entries. The files and their columns: data/README.md."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from threading import Lock

from ...science.chemistry import SPELLINGS, describe
from .articles import Articles

_LOCK = Lock()
_FILES = ("capitals", "cases", "events", "formulas", "glossary", "people", "works")


def encyclopedia() -> Articles:
    """All articles, indexed once for each process."""
    with _LOCK:
        return _encyclopedia()


def dictionary() -> Articles:
    """All dictionary entries, indexed once for each process."""
    with _LOCK:
        return _dictionary()


def digest() -> str:
    """Sixteen hex digits that change with the facts."""
    digest = hashlib.sha256(f"molmass {version('molmass')}".encode())
    for name in _FILES:
        digest.update(_text(name).encode())
    return digest.hexdigest()[:16]


@cache
def _encyclopedia() -> Articles:
    entries = (*_countries(), *_events(), *_elements(), *_works(), *_dated("people"), *_dated("cases"))
    return Articles((*entries, *_formulas(), *_terms(related=False)))


@cache
def _dictionary() -> Articles:
    return Articles((*_terms(related=True), *_formulas()))


Passages = list[tuple[str, str]]


def rows(name: str) -> list[list[str]]:
    """The lines of one data file, split into columns, without the heading."""
    return [line.split("\t") for line in _text(name).splitlines()[1:]]


def _text(name: str) -> str:
    return (files("spark_plugin_tools") / "data" / f"{name}.tsv").read_text(encoding="utf-8")


def _countries() -> Passages:
    return [
        (country, f"{country} is a country in {continent}. Its capital is {capital}.")
        for country, capital, continent in rows("capitals")
    ]


def _events() -> Passages:
    return [(event, f"{event}, year {year}. {text}") for event, year, text in rows("events")]


def _works() -> Passages:
    return [
        (work, f"{work[:1].upper()}{work[1:]} {_was(work)} {verb} by {person} ({year}): {text}.")
        for work, verb, person, year, text in rows("works")
    ]


def _was(work: str) -> str:
    return "were" if work.startswith(("laws ", "moons ", "X-rays", "radium and", "incompleteness")) else "was"


def _dated(file: str) -> Passages:
    """People with the years of their lives, cases with the year of the judgement."""
    return [(name, f"{name} ({years}, {field}): {text}.") for name, years, field, text in rows(file)]


def _formulas() -> Passages:
    return [(name, f"{name} ({field}): {formula}; {text}.") for name, field, formula, text in rows("formulas")]


def _terms(related: bool) -> Passages:
    return [
        (term, f"{term} ({field}): {text}." + (f" Related: {terms}." if related else ""))
        for term, field, text, terms in rows("glossary")
    ]


def _elements() -> Passages:
    from molmass import ELEMENTS

    spellings = {ours: f"{other}, " for other, ours in SPELLINGS.items()}
    return [
        (item.name, f"{describe(item)} ({spellings.get(item.name.lower(), '')}chemical symbol {item.symbol})")
        for item in ELEMENTS
    ]
