"""The reference pages and the tables of other pages are those that the code gives."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

from spark_framework.config.run import RunConfig
from spark_framework.contracts import hookspecs
from spark_framework.host.manager import Host, using_host
from spark_plugin_algorithms.steptool import StepToolSection

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = ("api.md", "cli.md", "config.md", "hooks.md", "catalogue.md")
WITH_TABLES = (
    "README.md",
    "CONTRIBUTING.md",
    "plugins/README.md",
    "docs/explanation/architecture.md",
    "docs/how-to/write-a-plugin.md",
)
PAGES_BY_HAND = [*ROOT.glob("*.md"), *(ROOT / "plugins").glob("*.md"), *DOCS.rglob("*.md")]


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


@pytest.mark.parametrize("page", WITH_TABLES)
def test_the_tables_of_a_page_are_up_to_date(generate, page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert generate.TABLE.search(text)
    assert generate.with_tables(text) == text, "run `python docs/generate.py`"


def test_every_page_with_a_marker_is_checked(generate):
    marked = [p for p in PAGES_BY_HAND if "written by docs/generate.py from" in p.read_text(encoding="utf-8")]
    assert {str(page.relative_to(ROOT)) for page in marked} == set(generate.WITH_TABLES) == set(WITH_TABLES)


def test_every_package_says_what_it_is_for(generate):
    assert [room for layer in generate.rooms() for room in layer if not generate._purpose(room)] == []


@pytest.mark.parametrize(
    ("page", "kind", "elsewhere"),
    [
        ("how-to/swap-judges.md", "judge", {"steptool_annotator", "steptool_rules"}),  # not for rollouts
        ("explanation/algorithms.md", "algorithm", {"steptool"}),  # has a page of its own
    ],
)
def test_a_table_of_components_names_all_of_them(generate, page, kind, elsewhere):
    rows = re.findall(r"^\| (`.+?) \|", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(generate.components(kind)) - elsewhere <= named


@pytest.mark.parametrize("page", ["architecture.md", "algorithms.md", "steptool.md", "notation.md"])
def test_every_name_in_the_explanations_exists(generate, page, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "plugins")
    text = (DOCS / "explanation" / page).read_text(encoding="utf-8")
    rooms = {room for layer in generate.rooms() for room in layer}
    names = [
        f"spark_framework.{name}" for name in re.findall(r"`(\w+(?:\.\w+)+)`", text) if name.split(".")[0] in rooms
    ]
    names += re.findall(r"`(spark_plugin_\w+(?:\.\w+)+)`", text)
    assert names
    settings = {f"spark_framework.steptool.{key}" for key in StepToolSection.model_fields}
    assert [name for name in names if name not in settings and not exists(name)] == []


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or a name in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part, None)
        return found is not None
    return False


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
