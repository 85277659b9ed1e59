"""What holds for all default tools: their face to the model, light imports, a clean end, threads, determinism."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.plugins.tools.calls import NAMES, answer, call, tool, tool_class

EXAMPLES: dict[str, dict[str, Any]] = {
    "calculator": {"expression": "sqrt(2) + 25/3 + sin(1)"},
    "python": {"code": "import random\nprint(random.random(), hash('a'), list({'b', 'a', 'c'}))"},
    "solver": {"op": "solve", "expressions": ["x^2 = 5"]},
    "science": {"op": "convert", "value": 3, "frm": "mile", "to": "km"},
    "stats_finance": {"op": "dist", "name": "normal", "fn": "cdf", "x": 1},
    "encyclopedia": {"query": "capital of Peru"},
    "dictionary": {"term": "tort"},
    "search": {"query": "battle"},
}
HEAVY = ("sympy", "scipy", "pint", "pydantic_monty", "mpmath", "molmass", "numpy", "torch")


@pytest.mark.parametrize("name", NAMES)
def test_the_face_to_the_model(name: str) -> None:
    found = tool_class(name)
    schema = found.Args.model_json_schema()
    assert found.name == name
    assert found().needs == frozenset()
    assert len(found.description) < 300
    assert schema["additionalProperties"] is False
    assert "$defs" not in schema
    for field in schema["properties"].values():
        for kind in field.get("anyOf", [field]):
            assert kind["type"] != "string" or "maxLength" in kind or "enum" in kind
            assert kind["type"] != "array" or "maxItems" in kind


def test_the_argument_names() -> None:
    fields = {name: list(tool_class(name).Args.model_fields) for name in NAMES}
    assert fields["calculator"] == ["expression"]
    assert fields["python"] == ["code"]
    assert fields["solver"] == ["op", "expressions", "variables"]
    assert fields["science"] == ["op", "value", "frm", "to", "formula", "equation", "name"]
    statistics = "name fn x params values other level"
    money = "rate n pmt pv fv"
    dates = "date days to_date"
    assert fields["stats_finance"] == f"op {statistics} {money} {dates}".split()
    assert fields["encyclopedia"] == ["query"]
    assert fields["dictionary"] == ["term"]
    assert fields["search"] == ["query", "k"]


@pytest.mark.parametrize("name", NAMES)
def test_unknown_arguments_are_refused(name: str) -> None:
    assert "bogus" in answer(name, **EXAMPLES[name], bogus=1)


def test_importing_and_constructing_is_light() -> None:
    code = (
        "import sys\nfrom importlib.metadata import entry_points\n"
        f"for name in {NAMES}:\n"
        "    for tool in entry_points(group='spark_framework.v1')['tool.' + name].load().spark_tools():\n"
        "        tool().fingerprint()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
    )
    assert run("-c", code) == "[]\n"


def test_a_script_without_main_guard_ends_cleanly(tmp_path: Any) -> None:
    """Worker processes must neither run the user's script again nor outlive it, with or without `close`."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from spark_framework.api import ToolContext\n"
        "from spark_plugin_tools.python import Python\n"
        "from spark_plugin_tools.solver import Solver\n"
        "solver, python = Solver(), Python()\n"
        "print(solver.call(solver.Args(op='solve', expressions=['x - 7 = 0']), ToolContext()))\n"
        "print(python.call(python.Args(code='print(3)'), ToolContext()))\n"
        "if 'close' in sys.argv:\n"
        "    for tool in (solver, python, solver, python):\n"
        "        tool.close()\n"
    )
    assert run(str(script)) == run(str(script), "close") == "x = 7\n3\n"


def run(*arguments: str) -> str:
    """What a fresh interpreter prints; it must not fail, hang or say anything on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", *arguments], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_closed_tool_opens_again() -> None:
    for name in ("solver", "python"):
        instance = tool_class(name)()
        first = call(instance, EXAMPLES[name])
        instance.close()
        assert call(instance, EXAMPLES[name]) == first
        instance.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_new_instance_gives_the_same_answer(name: str) -> None:
    instance = tool_class(name)()
    first = answer(name, **EXAMPLES[name])
    assert not first.startswith("error")
    assert call(instance, EXAMPLES[name]) == first
    assert instance.fingerprint() == tool(name).fingerprint()
    instance.close()


def test_eight_threads_get_the_answers_of_one() -> None:
    alone = {name: answer(name, **EXAMPLES[name]) for name in NAMES}
    jobs = [name for name in NAMES for _ in range(25)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda name: answer(name, **EXAMPLES[name]), jobs))
    assert together == [alone[name] for name in jobs]


def test_the_arithmetic_is_the_same_in_all_threads() -> None:
    """mpmath keeps its precision in shared state."""
    expressions = [f"sqrt({n}) * pi^{n % 5} + gamma({n} / 7) - exp(-{n})" for n in range(2, 42)]
    alone = [answer("calculator", expression=expression) for expression in expressions]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            assert list(threads.map(lambda text: answer("calculator", expression=text), expressions)) == alone
