"""The reference pages are those that the code gives, and every hook has its heading."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from spark_framework import hookspecs
from spark_framework.config import RunConfig
from spark_framework.host.loading import Host, using_host

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("cli.md", "config.md", "hooks.md", "catalogue.md")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_reference_pages_are_generated(generate):
    assert set(generate.PAGES) == set(PAGES) == {page.name for page in (DOCS / "reference").glob("*.md")}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_up_to_date(generate, page):
    with using_host(Host()):
        text = generate.PAGES[page]()
    assert (DOCS / "reference" / page).read_text(encoding="utf-8") == text, "run `python docs/generate.py`"


def test_every_hook_has_exactly_its_heading():
    lines = (DOCS / "reference" / "hooks.md").read_text(encoding="utf-8").splitlines()
    wanted = []
    for name, spec in vars(hookspecs).items():
        if name.startswith("spark_"):
            arguments = ", ".join(spec.__code__.co_varnames[: spec.__code__.co_argcount])
            wanted.append(f"## {name}({arguments})")
    assert [line for line in lines if line.startswith("## ")] == wanted


def test_a_key_without_a_meaning_is_refused(generate, monkeypatch):
    monkeypatch.delitem(generate.MEANINGS, "seed")
    with pytest.raises(ValueError, match="seed has no description"):
        generate.fields(RunConfig)
