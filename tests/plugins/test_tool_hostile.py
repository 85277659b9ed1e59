"""Hostile input: a string comes back whatever goes in, and the next call works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tool_calls import LIMIT, NAMES, answer, call, tool

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "tool_attacks.json"

# Where the file records an older prototype: what these tools do instead.
OTHERWISE = {
    "python-regex-bomb": "error",  # it prints nothing
    "python-print-huge": "any",  # it ends in time, and is cut
    "solver-many-terms": "ok",  # 49 roots within the limits
}


def expand(value: Any) -> Any:
    """The file's shorthands for long input."""
    if isinstance(value, dict):
        if "$repeat" in value:
            return value["$repeat"][0] * value["$repeat"][1]
        if "$concat" in value:
            return "".join(map(expand, value["$concat"]))
        if "$repeat_list" in value:
            return [value["$repeat_list"][0]] * value["$repeat_list"][1]
        return {key: expand(item) for key, item in value.items()}
    return list(map(expand, value)) if isinstance(value, list) else value


def attacks() -> list[Any]:
    if not SHARED.exists():
        return []
    found = json.loads(SHARED.read_text(encoding="utf-8"))["attacks"]
    offline = [a for a in found if a["tool"] in NAMES and not any(key.startswith("$") for key in a["arguments"])]
    return [pytest.param(attack, id=attack["id"]) for attack in offline]


@pytest.mark.skipif(not SHARED.exists(), reason="shared/data/tool_attacks.json is absent")
@pytest.mark.parametrize("attack", attacks())
def test_attack(attack: dict[str, Any]) -> None:
    text = answer(attack["tool"], **expand(attack["arguments"]))
    text.encode()
    expected = OTHERWISE.get(attack["id"], attack["expect"])
    if expected == "ok":
        assert not text.startswith("error: ")
    elif expected in ("error", "limit"):
        assert text.startswith("error: ")
    assert len(text) <= LIMIT


def test_every_tool_answers_after_the_attacks() -> None:
    assert answer("calculator", expression="1+1") == "2"
    assert answer("python", code="print(2)") == "2"
    assert answer("solver", op="solve", expressions=["x = 2"]) == "x = 2"
    assert answer("science", op="molar_mass", formula="He").startswith("He = 4.00")
    assert answer("stats_finance", op="describe", fn="sum", values=[1, 1]) == "2"
    assert answer("encyclopedia", query="helium").startswith("Helium")


formulas = st.text(alphabet="0123456789.,+-*/^%!()[]|<>=√²°eipxabcsqrtln \n\x00é", max_size=60)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.one_of(formulas, st.text(max_size=60)))
def test_any_expression_gives_text(text: str) -> None:
    said = answer("calculator", expression=text)
    assert said
    assert not said.startswith("error: ") or len(said) < 400


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(max_size=80), st.text(max_size=80), st.one_of(st.floats(), st.text(max_size=20)))
def test_any_unit_formula_and_name_gives_text(first: str, second: str, value: float | str) -> None:
    assert answer("science", op="convert", value=value, frm=first, to=second)
    assert answer("science", op="molar_mass", formula=first)
    assert answer("science", op="balance", equation=f"{first} -> {second}")
    assert answer("science", op="constant", name=first)
    assert answer("science", op="element", name=first)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(max_size=80))
def test_any_query_gives_text(text: str) -> None:
    assert answer("encyclopedia", query=text)
    assert answer("dictionary", term=text)
    assert answer("search", query=text)
    assert answer("solver", op="entails", expressions=[text, text])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(), max_size=6), st.lists(st.floats(), max_size=6), st.floats(), st.floats())
def test_any_numbers_give_text(values: list[float], other: list[float], x: float, rate: float) -> None:
    for op in ("describe", "ttest", "interval", "correlation", "regression", "npv", "irr", "pv", "fv", "pmt"):
        said = call(tool("stats_finance"), {"op": op, "values": values, "other": other, "x": x, "rate": rate, "n": 5})
        assert said
        assert "nan" not in said or said.startswith("error: ")
