"""The reference pages are those that the code gives, and every hook has its heading."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

from spark_framework.config.run import RunConfig
from spark_framework.contracts import hookspecs
from spark_framework.host.manager import Host, using_host

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("api.md", "cli.md", "config.md", "hooks.md", "catalogue.md")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)  # as when it is run
        return importlib.import_module("generate")


def test_all_reference_pages_are_generated(generate):
    assert set(generate.PAGES) == set(PAGES) == {page.name for page in (DOCS / "reference").glob("*.md")}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_up_to_date(generate, page):
    with using_host(Host()):
        text = generate.PAGES[page]()
    assert (DOCS / "reference" / page).read_text(encoding="utf-8") == text, "run `python docs/generate.py`"


def test_the_table_of_rooms_is_up_to_date(generate):
    text = generate.ARCHITECTURE.read_text(encoding="utf-8")
    assert generate.with_rooms(text) == text, "run `python docs/generate.py`"
    assert [room for layer in generate.rooms() for room in layer if not generate._purpose(room)] == []


def test_every_name_in_the_architecture_exists(generate):
    text = generate.ARCHITECTURE.read_text(encoding="utf-8")
    rooms = {room for layer in generate.rooms() for room in layer}
    names = [name for name in re.findall(r"`(\w+(?:\.\w+)+)`", text) if name.partition(".")[0] in rooms]
    assert names
    assert [name for name in names if not exists(f"spark_framework.{name}")] == []


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or a name in one."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return hasattr(importlib.import_module(module), attribute)
    return True


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


def test_every_public_name_is_on_the_page_of_the_api(generate):
    text = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    for name in ("spark_framework", "spark_framework.api", "spark_framework.testing"):
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        headings = {line.removeprefix("### ") for line in section.splitlines() if line.startswith("### ")}
        assert headings == set(importlib.import_module(name).__all__)


def test_a_change_of_the_api_changes_the_page(generate, monkeypatch):
    before = generate.PAGES["api.md"]()

    def train(run: str, stage: str, again: bool = False) -> None: ...

    monkeypatch.setattr("spark_framework.train", train, raising=False)
    changed = set(generate.PAGES["api.md"]().splitlines()) - set(before.splitlines())
    assert changed == {"def train(run: str, stage: str, again: bool = False) -> None: ..."}
