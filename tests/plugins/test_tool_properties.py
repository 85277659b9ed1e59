"""What holds for every call: any JSON in, a text out, in bounded time, and the same again from any thread."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tool_calls import LIMIT, NAMES

from spark_framework.api import Tool, ToolContext
from spark_framework.host.manager import Host

PROCESSOR_SECONDS = 20.0  # of the calling thread for a call, imports included
HOST = Host()


@cache
def tool(name: str) -> Tool:
    cls: Any = HOST.component_class("tool", name).cls
    return cls()


def call(name: str, arguments: dict[str, Any]) -> str:
    start = time.thread_time()
    ok, text = HOST.calls.call_tool(tool(name), arguments, ToolContext())
    assert time.thread_time() - start < PROCESSOR_SECONDS
    assert text
    assert ok != text.startswith("error: ")
    assert not text.startswith(f"error: {name} failed")  # an exception that the tool does not know
    assert len(text.encode()) <= 4 * LIMIT
    return text


# -- any JSON in, a text out -----------------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**4000), st.floats(), st.text(max_size=80), st.just("\ud800")
)
json_values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


def tokens(text: str, *others: str) -> st.SearchStrategy[str]:
    return st.sampled_from([*text.split(), *others])


def joined(parts: st.SearchStrategy[str], glue: str = "") -> st.SearchStrategy[str]:
    return st.lists(parts, max_size=9).map(glue.join)


figures = tokens("0 1 7 0.5 .5 5. 1e3 1,234 1/3 2^64 10^400 1e-400 pi e sqrt(2) -3 7! 45° 6% x y (x+1)")
signs = tokens("+ - * / ^ % ! ² √ | ( ) [ ] , = < > ° // ** é", " mod ", " of ", " x ", "\x00")
formulas = joined(st.one_of(figures, signs, tokens("sin ln( gcd( gamma( round(")))
units = joined(tokens("m kg s degC km/h N eV ^2 ** * / ( ) -1 12 13 kilo % µ 1"))
molecules = joined(tokens("H C O Na Cl Fe Xx 2 4 99 ( ) [ ] + - ^2- · . _ -> = e-", " + "))
logic = joined(tokens("A B C v & -> <-> ~ ( ) not iff"), " ")
words = joined(tokens('helium war tort " NEAR( * title: - OR é', "\x00"), " ")
numbers = st.lists(st.one_of(st.floats(), st.integers(-5, 5)), max_size=5)
dates = tokens("2024-02-29 0001-01-01 9999-12-31 2023-02-29 24-1-1", "")

LIKELY: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "calculator": {"expression": formulas},
    "python": {"code": st.one_of(formulas, formulas.map("print({})".format))},
    "solver": {
        "op": tokens("simplify factor diff eval entails limit"),
        "expressions": st.lists(st.one_of(formulas, logic), min_size=1, max_size=3),
        "variables": st.lists(tokens("x y e x.y", ""), max_size=2),
    },
    "science": {
        "op": tokens("convert molar_mass balance constant element"),
        "value": st.one_of(st.floats(), st.integers(), formulas),
        "frm": units,
        "to": units,
        "formula": molecules,
        "equation": molecules,
        "name": st.one_of(tokens("Fe 26 c h mass pi"), st.text(max_size=20)),
    },
    "stats_finance": {
        "op": tokens("dist describe ttest interval correlation regression pv fv pmt npv irr"),
        "name": tokens("normal t chi2 f binomial poisson geometric exponential uniform gamma"),
        "fn": tokens("cdf sf ppf pdf pmf mean sd mode q1 iqr", ""),
        "x": st.floats(),
        "params": st.one_of(numbers, st.lists(st.floats(0, 50), max_size=2)),
        "values": numbers,
        "other": numbers,
        "level": st.floats(-1, 2),
        "rate": st.floats(-2, 200),
        "n": st.floats(-1, 6000),
        "pmt": st.floats(),
        "date": dates,
        "to_date": dates,
        "days": st.integers(),
    },
    "encyclopedia": {"query": words},
    "dictionary": {"term": words},
    "search": {"query": words, "k": st.integers(-1, 7)},
}
"""Values that get past the first check of an argument more often than any JSON does."""


def arguments_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    likely = st.fixed_dictionaries({}, optional=LIKELY[name])
    known = st.dictionaries(st.sampled_from(sorted(LIKELY[name])), json_values)
    return st.one_of(likely, st.fixed_dictionaries(LIKELY[name]), known, st.dictionaries(st.text(), json_values))


@pytest.mark.parametrize("name", NAMES)
def test_any_json_gives_a_text_and_twice_the_same(name: str) -> None:
    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(arguments_of(name))
    def given_any(arguments: dict[str, Any]) -> None:
        first = call(name, arguments)
        if not first.startswith("error: timeout"):
            assert call(name, arguments) == first

    given_any()


def test_the_likely_arguments_are_the_tools_own() -> None:
    for name in NAMES:
        assert set(LIKELY[name]) <= set(tool(name).Args.model_fields)


# -- the same again ----------------------------------------------------------------------------------------------------

CALLS: dict[str, list[dict[str, Any]]] = {
    "calculator": [{"expression": text} for text in ("2^64", "sqrt(2)*pi^5", "gamma(7/3)-1/7", "1/0", "stdev(2,4,9)")],
    "python": [
        {"code": "import random\nprint(random.random(), hash('a'), list({'b', 'a', 'c'}))"},
        {"code": "print(sum(n * n for n in range(1000)))"},
        {"code": "from datetime import datetime\nprint(datetime.now())"},
        {"code": "print(undefined)"},
    ],
    "solver": [
        {"op": "solve", "expressions": ["x^2 - 5x + 6 = 0"]},
        {"op": "diff", "expressions": ["x^2*sin(x)"]},
        {"op": "factor", "expressions": ["x^4 - 1"]},
        {"op": "entails", "expressions": ["P -> Q", "~Q", "~P"]},
        {"op": "eval", "expressions": ["9^9^9"]},
    ],
    "science": [
        {"op": "convert", "value": 60, "frm": "mile/hour", "to": "m/s"},
        {"op": "molar_mass", "formula": "CuSO4·5H2O"},
        {"op": "balance", "equation": "C3H8 + O2 -> CO2 + H2O"},
        {"op": "constant", "name": "h"},
        {"op": "convert", "value": 1, "frm": "m", "to": "kg"},
    ],
    "stats_finance": [
        {"op": "dist", "name": "t", "fn": "ppf", "x": 0.975, "params": [10]},
        {"op": "ttest", "values": [1, 2, 3, 5], "other": [2, 4, 4, 7]},
        {"op": "irr", "values": [-100, 60, 60]},
        {"op": "date_add", "date": "2024-02-28", "days": 2},
    ],
    "encyclopedia": [{"query": "capital of Peru"}, {"query": "helium"}, {"query": "zzzz"}],
    "dictionary": [{"term": "opportunity cost"}, {"term": "tort"}, {"term": "zzzz"}],
    "search": [{"query": "battle", "k": 5}, {"query": "noble gas"}, {"query": '"'}],
}


def mixed_calls(number: int) -> list[tuple[str, dict[str, Any]]]:
    """Calls of all tools in an order that looks random, and is the same every time."""
    draw = random.Random(0)
    names = [draw.choice(NAMES) for _ in range(number)]
    return [(name, draw.choice(CALLS[name])) for name in names]


def test_two_runs_give_identical_output(tmp_path: Path) -> None:
    """Two processes with other hash seeds and other calls before; the second one reads the calls backwards."""
    calls = mixed_calls(200)
    program = "import sys; from spark_framework.cli import main; sys.exit(main())"
    outputs = []
    for seed, ordered in (("1", calls), ("2", calls[::-1])):
        file = tmp_path / f"{seed}.jsonl"
        file.write_text("\n".join(json.dumps({"tool": name, "arguments": given}) for name, given in ordered))
        done = subprocess.run(
            [sys.executable, "-c", program, "tools", "try", "--jsonl", str(file)],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        outputs.append([json.loads(line)["output"] for line in done.stdout.splitlines()])
    assert outputs[0] == outputs[1][::-1]
    assert len(outputs[0]) == len(calls)


def test_eight_threads_with_500_calls_each_get_the_answers_of_one() -> None:
    alone = {name: [call(name, arguments) for arguments in CALLS[name]] for name in NAMES}
    calls = mixed_calls(4000)
    expected = [alone[name][CALLS[name].index(arguments)] for name, arguments in calls]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda one: call(*one), calls))
    assert found == expected
