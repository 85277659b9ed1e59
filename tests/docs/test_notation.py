"""Every shape letter in a name is on the notation page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "notation.md"
SHAPED = re.compile(r"_?[a-z][a-z0-9_]*_([A-Z0-9]{1,4})")
FILES = sorted([*(ROOT / "spark_framework").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])


def letters_on_the_page() -> list[str]:
    return re.findall(r"^\| ([A-Z]) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def shaped_names(tree: ast.AST) -> set[str]:
    """Names that are assigned or that are arguments, and end with a shape."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return {name for name in names if (found := SHAPED.fullmatch(name)) and not found[1].isdigit()}


def test_each_letter_has_one_row():
    letters = letters_on_the_page()
    assert letters == sorted(set(letters))


def test_every_letter_in_the_code_is_on_the_page_and_the_other_way_round():
    used: dict[str, set[str]] = {}
    for file in FILES:
        for name in shaped_names(ast.parse(file.read_text(encoding="utf-8"))):
            for letter in re.sub(r"\d", "", name.rpartition("_")[2]):
                used.setdefault(letter, set()).add(name)
    assert {letter: names for letter, names in used.items() if letter not in letters_on_the_page()} == {}
    assert set(letters_on_the_page()) <= set(used), "a letter that no name uses"


def test_the_examples_are_names_of_the_code():
    text = PAGE.read_text(encoding="utf-8")
    code = "\n".join(file.read_text(encoding="utf-8") for file in FILES)
    names = re.findall(r"`([a-z]\w*_[A-Z0-9]{1,4})`", text)
    assert names
    assert [name for name in names if not re.search(rf"\b_?{name}\b", code)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("a_N = 1", {"a_N"}),
        ("def f(x_SC, *, y_2E): ...", {"x_SC", "y_2E"}),
        ("self._row_W = 1", {"_row_W"}),
        ("MAX_N = n_1 = 1", set()),
    ],
)
def test_which_names_count(source, found):
    assert shaped_names(ast.parse(source)) == found
