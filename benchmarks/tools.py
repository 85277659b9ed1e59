"""Duration of a call of each tool, compared with starting Python: `python benchmarks/tools.py`, half a minute.

Ten calls of every tool and ten bare subprocess calls take turns, so that other load on the machine affects all of
them. The tools are warm, as in a run (`search` and `encyclopedia` cache words and rows); the
calls go through the core. The last line is one JSON object: for each tool, how many times cheaper its median
call is than that of `subprocess.run([python, "-c", "print(…)"])`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

from spark_framework.api import ToolContext
from spark_framework.host.manager import Host

ROUNDS, CALLS_EACH = 25, 10
WANTED = {"python": 20, "solver": 3}
OTHERS_WANTED = 100
COMPARATOR, LEAN = "subprocess", "subprocess -I -S"

# {n} is another number in every call: the solver remembers its answers, and that is not what is measured.
CALLS: dict[str, list[dict[str, Any]]] = {
    "calculator": [
        {"expression": text}
        for text in (
            "12*37+9",
            "1000*1.07^20",
            "25/3",
            "15% of 80",
            "sqrt(2)*sin(1)",
            "comb(52,5)",
            "(3+4)^2/7 - 2^0.5",
        )
    ],
    "python": [
        {"code": "print(sum(range(10)))"},
        {"code": "import math\nprint(math.sqrt(2) * math.pi)"},
        {"code": "def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\nprint(f(10))"},
        {"code": "xs = [2, 4, 4, 5, 7]\nm = sum(xs) / len(xs)\nprint((sum((x - m)**2 for x in xs) / len(xs))**0.5)"},
        {"code": "p = 1000\nfor year in range(10):\n    p *= 1.05\nprint(round(p, 2))"},
    ],
    "solver": [
        {"op": "solve", "expressions": ["x^2 - 5x - {n} = 0"]},
        {"op": "solve", "expressions": ["2x + 3y = {n}", "x - y = -1"]},
        {"op": "solve", "expressions": ["1000*(1+r)^2 = 1{n}10"], "variables": ["r"]},
        {"op": "diff", "expressions": ["{n}x^2*sin(x)"]},
        {"op": "integrate", "expressions": ["x^2", "0", "{n}"]},
        {"op": "limit", "expressions": ["sin({n}x)/x", "0"]},
        {"op": "factor", "expressions": ["x^3 - {n}x^2 + {n}x - 1"]},
        {"op": "expand", "expressions": ["(x+{n})^4"]},
        {"op": "eval", "expressions": ["x^2 + {n}", "x = 3"]},
        {"op": "entails", "expressions": ["P{n} -> Q", "~Q", "~P{n}"]},
    ],
    "science": [
        {"op": "convert", "value": 60, "frm": "mile/hour", "to": "m/s"},
        {"op": "convert", "value": 25, "frm": "degC", "to": "degF"},
        {"op": "molar_mass", "formula": "CuSO4·5H2O"},
        {"op": "balance", "equation": "C3H8 + O2 -> CO2 + H2O"},
        {"op": "constant", "name": "speed of light"},
        {"op": "element", "name": "Fe"},
    ],
    "stats_finance": [
        {"op": "dist", "name": "normal", "fn": "cdf", "x": 1.96},
        {"op": "describe", "values": [2, 4, 4, 4, 5, 5, 7, 9]},
        {"op": "ttest", "values": [1, 2, 3, 5], "other": [2, 4, 4, 7]},
        {"op": "pmt", "rate": 0.005, "n": 360, "pv": 100000},
        {"op": "npv", "rate": 0.1, "values": [-10000, 3000, 4200, 6800]},
        {"op": "irr", "values": [-100, 60, 60]},
        {"op": "date_diff", "date": "1969-07-20", "to_date": "2000-01-01"},
    ],
    "encyclopedia": [
        {"query": text}
        for text in (
            *("capital of Peru", "helium", "Battle of Hastings", "Ohm's law", "tort", "Marie Curie", "photosynthesis"),
            *("year of the French Revolution", "Treaty of Versailles", "who wrote Hamlet", "tungsten"),
        )
    ],
    "dictionary": [{"term": text} for text in ("opportunity cost", "tort", "entropy", "osmosis", "inflation")],
    "search": [
        {"query": text}
        for text in (
            *("noble gas", "battle 1066", "law of demand", "unit of charge", "DNA", "strict liability tort"),
            *(
                "enzyme inhibition",
                "Kant categorical imperative",
                "price elasticity",
                "operant conditioning",
                "kinetic energy",
            ),
        )
    ],
}


Work = Callable[[int], Callable[[], object]]
"""From the number of a turn to what is timed."""


def tool_work(stack: ExitStack) -> dict[str, Work]:
    """The calls of each tool, all of which were made once before, with other numbers."""
    host = Host()
    found: dict[str, Work] = {}
    for name, calls in CALLS.items():
        cls: Any = host.component_class("tool", name).cls
        tool = stack.enter_context(closing(cls()))

        def work(turn: int, tool: Any = tool, calls: list[dict[str, Any]] = calls) -> Callable[[], object]:
            arguments = json.loads(json.dumps(calls[turn % len(calls)]).replace("{n}", str(turn + 2)))
            return lambda: host.calls.call_tool(tool, arguments, ToolContext())

        for turn, arguments in enumerate(calls, start=len(calls) * ROUNDS * CALLS_EACH):
            answer: Any = work(turn)()
            if not answer[0]:
                raise SystemExit(f"{name} {arguments}: {answer[1]}")
        found[name] = work
    return found


def bare(*options: str) -> Work:
    def work(turn: int) -> Callable[[], object]:
        command = [sys.executable, *options, "-c", f"print({turn} + 1)"]
        return lambda: subprocess.run(command, check=True, capture_output=True)

    return work


def measured(works: dict[str, Work]) -> dict[str, list[float]]:
    """Milliseconds of every call, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for first in range(0, ROUNDS * CALLS_EACH, CALLS_EACH):
        for name, work in works.items():
            for call in [work(turn) for turn in range(first, first + CALLS_EACH)]:
                start = time.perf_counter()
                call()
                taken[name].append(1000 * (time.perf_counter() - start))
    return taken


def main() -> None:
    with ExitStack() as stack:
        taken = measured({**tool_work(stack), COMPARATOR: bare(), LEAN: bare("-I", "-S")})
    medians = {name: statistics.median(times) for name, times in taken.items()}
    print(f"{'':18}{'p50 ms':>9}{'p95 ms':>9}{'x cheaper':>11}{'x -I -S':>9}{'wanted':>8}")
    for name, times in taken.items():
        p95 = statistics.quantiles(times, n=20)[-1]
        wanted = WANTED.get(name, OTHERS_WANTED) if name in CALLS else ""
        ratios = (medians[other] / medians[name] for other in (COMPARATOR, LEAN))
        print(f"{name:18}{medians[name]:9.3f}{p95:9.3f}{next(ratios):11.1f}{next(ratios):9.1f}{wanted:>8}")
    print(json.dumps({name: round(medians[COMPARATOR] / medians[name], 1) for name in CALLS}))


if __name__ == "__main__":
    main()
