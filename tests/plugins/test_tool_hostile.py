"""Hostile calls, through the door that a run uses: each has its outcome, and the next call works.

The cases are in `hostile/TOOL.jsonl`, one a line: [arguments, outcome, text]. Outcomes: `is` (succeeds with just that
text), `ok` (succeeds, with the text in it), `error` (fails, with it), `limit` (fails so, by a limit on time or memory),
`cut` (succeeds, cut to what a model is shown), `any` (answers, or runs into a limit). The `is` and `ok` cases of the
four computing tools are known from elsewhere (textbooks, CODATA, R, spreadsheets), as a tool that refuses everything
would pass otherwise.
"""

from __future__ import annotations

import faulthandler
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tool_calls import LIMIT, NAMES

from spark_framework.api import Tool, ToolContext
from spark_framework.host.manager import Host

HERE = Path(__file__).parent
SHARED = HERE.parents[1].parent / "shared" / "data" / "tool_attacks.json"

PROCESSOR_SECONDS = 20.0  # of this process for a call, imports included
HANG = 180.0
HOST_GROWTH = 200 << 20
WORKER_PEAK = int(2.2 * (1 << 30))

NEXT: dict[str, tuple[dict[str, Any], str]] = {
    "calculator": ({"expression": "6*7"}, "42"),
    "python": ({"code": "print(6*7)"}, "42"),
    "solver": ({"op": "solve", "expressions": ["6x = 42"]}, "x = 7"),
    "science": ({"op": "convert", "value": 6, "frm": "km", "to": "m"}, "6 km = 6000 m"),
    "stats_finance": ({"op": "describe", "fn": "sum", "values": [40, 2]}, "42"),
    "encyclopedia": ({"query": "helium"}, "elium"),
    "dictionary": ({"term": "opportunity cost"}, "pportunity cost"),
    "search": ({"query": "helium", "k": 1}, "elium"),
}
"""A call of each tool that must go on working, and what its answer contains."""


class Answer(NamedTuple):
    ok: bool
    text: str
    seconds: float
    next_works: bool


class Case(NamedTuple):
    tool: str
    arguments: dict[str, Any]
    outcome: str
    text: str

    @property
    def slow(self) -> bool:
        """Whether it may take all the time that its tool grants."""
        return self.outcome in ("limit", "any")


def expand(value: Any) -> Any:
    """The shorthands for long input."""
    match value:
        case {"$repeat": [text, times]}:
            return text * times
        case {"$concat": parts}:
            return "".join(map(expand, parts))
        case {"$repeat_list": [item, times]}:
            return [item] * times
        case {"$power": [base, exponent]}:
            return base**exponent
        case dict():
            return {key: expand(item) for key, item in value.items()}
        case list():
            return list(map(expand, value))
    return value


def own_cases() -> Iterator[Any]:
    for name in NAMES:
        lines = (HERE / "hostile" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            arguments, outcome, text = json.loads(line)
            case = Case(name, expand(arguments), outcome, text)
            yield pytest.param(case, id=f"{name}-{number}-{outcome}")


TOO_LONG = "the arguments' schema refuses it, before the tool does"
OTHERWISE: dict[str, tuple[str, str, str]] = {
    "calculator-import": ("error", "not allowed", "no quote is ever read, so that no name in front of it is"),
    "calculator-open": ("error", "not allowed", "the same"),
    "calculator-subclasses": ("error", "not allowed", "no dot is read"),
    "calculator-deep-parens-400": ("error", "at most 400", TOO_LONG),
    "calculator-exact": ("is", "0.3", "a fraction that ends as a decimal is written so"),
    "python-parens": ("error", "at most 8000", TOO_LONG),
    "python-print-huge": ("cut", "xxx", "it ends in time"),
    "python-result-huge": ("cut", "xxx", "the file's word for it is truncated"),
    "solver-transcendental": ("error", "no exact method", "a reason instead of an exception's name"),
    "solver-many-terms": ("is", "x = 0 (and 48 complex)", "fewer than 250 tokens, and solved in time"),
    "solver-long": ("error", "at most 400", TOO_LONG),
    "solver-after": ("is", "x = 2 or x = 3", "solutions are written with their names"),
    "science-unit-long": ("error", "at most 80", TOO_LONG),
    "science-gauss": ("is", "1 gauss = 0.0001 tesla", "nine digits, rounded"),
    "science-formula-long": ("error", "at most 80", TOO_LONG),
    "stats_finance-irr-long": ("error", "at most 200", TOO_LONG),
}
"""Where these tools answer otherwise than the prototype that the file records: outcome, text, and why."""


def shared_cases() -> Iterator[Any]:
    attacks = json.loads(SHARED.read_text(encoding="utf-8"))["attacks"] if SHARED.exists() else []
    for attack in attacks:
        arguments = dict(attack["arguments"])
        name = arguments.pop("$tool", attack["tool"])
        if "$server" in arguments or "$raw" in arguments:
            continue  # the servers are in the tests of the online tools and of MCP, the raw lines are below
        outcome, text, _ = OTHERWISE.get(attack["id"], (attack["expect"], attack.get("message_contains") or "", ""))
        yield pytest.param(Case(name, expand(arguments), outcome, text), id=attack["id"])


CASES = [*own_cases(), *shared_cases()]
"""The project's own, and the attacks that are kept beside it where they are there."""


@pytest.fixture(scope="module")
def tools() -> Iterator[dict[str, Tool]]:
    """All tools, each called once: what they load stays, and is no growth."""
    opened = {name: open_tool(name) for name in NAMES}
    for name, tool in opened.items():
        call(tool, NEXT[name][0])
    before = resident()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spark_plugin_tools.python.monty.runner.SECONDS", 20.0)  # the slow cases have tools of their own
        yield opened
    assert resident() - before < HOST_GROWTH
    assert max(worker_peaks(), default=0) < WORKER_PEAK
    for tool in opened.values():
        tool.close()


def resident() -> int:
    """Bytes of memory that this process holds now; 0 where there is no /proc."""
    return status_bytes("self", "VmRSS")


def worker_peaks() -> list[int]:
    """The most memory that each living child has held."""
    lists = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return [status_bytes(pid, "VmHWM") for pids in lists for pid in pids]


def status_bytes(pid: str, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # no /proc, or the child has just ended
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:")), 0)


HOST = Host()


def open_tool(name: str, **settings: Any) -> Tool:
    cls: Any = HOST.component_class("tool", name).cls
    return cls(cls.Config(**settings))


def call(tool: Tool, arguments: Mapping[str, Any]) -> tuple[bool, str]:
    return HOST.calls.call_tool(tool, arguments, ToolContext())


def answer(tool: Tool, case: Case) -> Answer:
    start = time.thread_time()
    ok, text = call(tool, case.arguments)
    seconds = time.thread_time() - start
    arguments, expected = NEXT[case.tool]
    next_ok, next_text = call(tool, arguments)
    return Answer(ok, text, seconds, next_ok and expected in next_text)


@pytest.fixture(scope="module")
def bombs(tools: dict[str, Tool]) -> Iterator[dict[int, Answer]]:
    """The answers to the slow cases, by place: four at a time, and with a fifth of the solver's processor time."""
    places = [place for place, param in enumerate(CASES) if param.values[0].slow]
    cases = [CASES[place].values[0] for place in places]
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as threads:
        patch.setattr("spark_plugin_tools.solver.SECONDS", 1.0)
        patch.setattr("spark_plugin_tools.python.monty.runner.SECONDS", 1.0)
        wide = {**tools, **{name: open_tool(name, workers=4) for name in ("python", "solver")}}
        answers = list(threads.map(lambda case: answer(wide[case.tool], case), cases))
    yield dict(zip(places, answers, strict=True))
    wide["python"].close()
    wide["solver"].close()


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """A call that never ends cannot be interrupted from within: it ends the test process, with a traceback."""
    faulthandler.dump_traceback_later(HANG, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def check(case: Case, given: Answer) -> None:
    ok, text = given.ok, given.text
    text.encode()
    assert len(text) <= LIMIT
    assert ok == (not text.startswith("error: ")) or case.outcome == "any"
    match case.outcome:
        case "is":
            assert (ok, text) == (True, case.text)
        case "ok":
            assert ok
            assert case.text in text
        case "error" | "limit":
            assert not ok
            assert case.text in text
            assert len(text) < 500
        case "cut":
            assert ok
            assert case.text in text
            assert len(text) == LIMIT
            assert text.endswith("…")
        case other:
            assert other == "any"
    assert given.next_works
    assert given.seconds < PROCESSOR_SECONDS


@pytest.mark.parametrize(("place", "case"), [pytest.param(n, p.values[0], id=p.id) for n, p in enumerate(CASES)])
def test_case(place: int, case: Case, tools: dict[str, Tool], request: pytest.FixtureRequest) -> None:
    if case.slow:
        check(case, request.getfixturevalue("bombs")[place])
    else:
        check(case, answer(tools[case.tool], case))


def test_nothing_was_written_by_the_programs() -> None:
    assert not Path("/tmp/spark-was-here").exists()


# -- the same calls from a file -------------------------------------------------------------------------------------


def try_lines(lines: list[str], folder: Path) -> list[str]:
    """The outputs of `tools try --jsonl` in a process of its own."""
    file = folder / "calls.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    program = "import sys; from spark_framework.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "tools", "try", "--jsonl", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, cwd=folder)
    assert done.returncode == 0, done.stderr[-1000:]
    return [json.loads(line)["output"] for line in done.stdout.splitlines()]


def line_of(case: Case) -> str | None:
    """The call as a line of a file; none where JSON has no such value, or where it may run into a limit."""
    try:
        line = json.dumps({"tool": case.tool, "arguments": case.arguments}, allow_nan=False)
    except ValueError:  # not finite, or more digits than Python writes
        return None
    return None if case.slow or "\\ud800" in line else line


def test_another_process_gives_the_same_answers(tools: dict[str, Tool], tmp_path: Path) -> None:
    chosen = [(line, param.values[0]) for param in CASES if (line := line_of(param.values[0]))]
    found = try_lines([line for line, _ in chosen], tmp_path)
    assert found == [call(tools[case.tool], case.arguments)[1] for _, case in chosen]


DEEP = 100_000
RAW = {
    "brackets": '{"tool": "calculator", "arguments": {"expression": ' + "[" * DEEP + "]" * DEEP + "}}",
    "braces": '{"tool": "calculator", "arguments": ' + '{"a": ' * DEEP + "1" + "}" * DEEP + "}",
    "half nested": '{"tool": "calculator", "arguments": {"expression": ' + "[" * 900 + '"\\ud800"' + "]" * 900 + "}}",
    "not a number": '{"tool": "stats_finance", "arguments": {"op": "fv", "rate": NaN}}',
    "infinity": '{"tool": "science", "arguments": {"op": "convert", "value": -Infinity, "frm": "m", "to": "km"}}',
    "beyond a double": '{"tool": "science", "arguments": {"op": "convert", "value": 1e999999, "frm": "m", "to": "km"}}',
    "5,000 digits": '{"tool": "search", "arguments": {"query": "helium", "k": 1' + "0" * 5000 + "}}",
    "half a pair": '{"tool": "calculator", "arguments": {"expression": "\\ud800"}}',
    "a key twice": '{"tool": "calculator", "arguments": {"expression": "1", "expression": "2"}}',
    "a megabyte": '{"tool": "calculator", "arguments": {"expression": "' + "1" * 10**6 + '"}}',
    "no arguments": '{"tool": "calculator"}',
    "null": '{"tool": "python", "arguments": null}',
    "a list": '{"tool": "python", "arguments": ["print(1)"]}',
    "a tool of its own": '{"tool": "__import__", "arguments": {}}',
}


def test_every_raw_line_gets_an_error_and_the_next_one_its_answer(tmp_path: Path) -> None:
    follow_up = '{"tool": "calculator", "arguments": {"expression": "6*7"}}'
    found = try_lines([line for raw in RAW.values() for line in (raw, follow_up)], tmp_path)
    assert found[1::2] == ["42"] * len(RAW)
    good = [name for name, text in zip(RAW, found[::2], strict=True) if not text.startswith("error: ")]
    assert good == []
