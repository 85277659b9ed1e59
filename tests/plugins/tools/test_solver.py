"""`solver`: algebra, calculus, logic, and the processes behind it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spark_plugin_tools.shared.worker_pool import WorkerError, WorkerPool
from tests.plugins.tools.calls import answer


@pytest.mark.parametrize(
    ("op", "expressions", "expected"),
    [
        ("solve", ["3x - 21 = 0"], "x = 7"),
        ("solve", ["x^2 - 5x + 6 = 0"], "x = 2 or x = 3"),
        ("solve", ["x^2 - 5x + 6"], "x = 2 or x = 3"),
        ("solve", ["2n = 7"], "n = 7/2 = 3.5"),
        ("solve", ["3x = 1"], "x = 1/3 ≈ 0.333333333333"),
        ("solve", ["x + y = 3", "x - y = 1"], "x = 2, y = 1"),
        ("solve", ["x*y = 6", "x + y = 5"], "x = 2, y = 3 or x = 3, y = 2"),
        ("solve", ["x^2 + 1 = 0"], "x = -i or x = i"),
        ("solve", ["x^5 - x + 1 = 0"], "x ≈ -1.16730397826 (and 4 complex)"),
        ("solve", ["|x - 3| = 5"], "x = -2 or x = 8"),
        ("solve", ["x^2 < 4"], "(-2 < x) and (x < 2)"),
        ("solve", ["x = x + 1"], "no solution"),
        ("solve", ["2(x+1) = 2x + 2"], "true for all values"),
        ("solve", ["1,000*(1.05)^2 = P"], "P = 2205/2 = 1102.5"),
        ("simplify", ["(x^2-1)/(x-1)"], "x + 1"),
        ("expand", ["(x+1)^3"], "x^3 + 3*x^2 + 3*x + 1"),
        ("factor", ["x^2 - 4"], "(x - 2)*(x + 2)"),
        ("factor", ["84"], "2^2*3*7"),
        ("diff", ["3x^2 + 2x"], "6*x + 2"),
        ("diff", ["y = ln(x)"], "1/x"),
        ("diff", ["f(x) = x^3"], "3*x^2"),
        ("integrate", ["2x"], "x^2 + C"),
        ("integrate", ["x^2", "0", "3"], "9"),
        ("integrate", ["exp(-x^2)", "-oo", "oo"], "sqrt(pi) ≈ 1.77245385091"),
        ("integrate", ["exp(sin(x))", "0", "1"], "1.63186960842"),
        ("limit", ["sin(x)/x", "0"], "1"),
        ("limit", ["1/x^2", "x = 0"], "infinity"),
        ("series", ["exp(x)"], "1 + x + x^2/2 + x^3/6 + x^4/24 + x^5/120 + O(x^6)"),
        ("eval", ["x^2 + 1", "x = 3"], "10"),
        ("eval", ["sqrt(2)*pi"], "sqrt(2)*pi ≈ 4.44288293816"),
        ("eval", ["sin(30°)"], "1/2 = 0.5"),
        ("entails", ["P -> Q", "P", "Q"], "valid: the premises entail the conclusion"),
        (
            "entails",
            ["P ⊃ Q", "Q", "P"],
            "invalid: the premises are true and the conclusion is false when P is false, Q is true",
        ),
        ("entails", ["P v ~P"], "a tautology: true in every case"),
        ("entails", ["A & ~A"], "a contradiction: false in every case"),
        ("entails", ["A -> B -> A"], "a tautology: true in every case"),
        ("entails", ["A <-> B"], "contingent: true in some cases and false in others"),
    ],
)
def test_answers(op: str, expressions: list[str], expected: str) -> None:
    assert answer("solver", op=op, expressions=expressions) == expected


@pytest.mark.parametrize(
    ("op", "expressions", "variables", "expected"),
    [
        ("solve", ["a*x^2 + b = 0"], ["b"], "b = -a*x^2"),
        ("solve", ["V = I*R"], ["R"], "R = V/I"),
        ("solve", ["2*e = 6"], ["e"], "e = 3"),
        ("diff", ["x^4"], ["x", "x"], "12*x^2"),
        ("diff", ["t^2*x"], ["t"], "2*t*x"),
    ],
)
def test_variables_say_what_is_unknown(op: str, expressions: list[str], variables: list[str], expected: str) -> None:
    assert answer("solver", op=op, expressions=expressions, variables=variables) == expected


@pytest.mark.parametrize(
    ("op", "expressions", "message"),
    [
        ("solve", ["x = y = 3"], "cannot read"),
        ("solve", ["5 = 5 +"], "cannot read"),
        ("eval", ["9^9^9"], "power too large"),
        ("eval", ["1/0"], "division by zero"),
        ("eval", ["x.__class__"], "not allowed"),
        ("eval", ["__import__('os')"], "not allowed"),
        ("eval", ["factorial(10^6)"], "too large"),
        ("eval", ["averylongname + 1"], "bad name"),
        ("eval", ["x", "3"], "'x = 3'"),
        ("diff", ["5"], "there is no variable"),
        ("diff", ["x + 1 = 2"], "without '='"),
        ("limit", ["x"], "point"),
        ("integrate", ["x", "1"], "both limits"),
        ("integrate", ["exp(sin(x))"], "no closed form"),
        ("entails", ["A &"], "cannot read the formula"),
        ("entails", ["(A"], "not closed"),
        ("entails", ["A # B"], "not allowed"),
        ("entails", [" & ".join(f"p{n}" for n in range(13))], "more than 12 letters"),
        ("guess", ["x"], "op"),
        ("solve", [], "expressions"),
        ("solve", ["x"] * 9, "expressions"),
        ("solve", ["x" * 401], "expressions"),
    ],
)
def test_refuses_with_a_reason(op: str, expressions: list[str], message: str) -> None:
    text = answer("solver", op=op, expressions=expressions)
    assert text.startswith("error: ")
    assert message in text


def test_a_request_that_takes_too_much_processor_time_loses_its_process() -> None:
    pool = WorkerPool("spark_plugin_tools.solver.algebra", workers=1, seconds=0.5)
    easy = {"op": "solve", "expressions": ["x-7=0"], "variables": []}
    bomb = {"op": "expand", "expressions": ["(x+y+z+w+a+b)^60"], "variables": []}
    assert pool.ask(easy) == {"text": "x = 7"}
    with pytest.raises(WorkerError, match=r"timeout: it took longer than 0\.5 s"):
        pool.ask(bomb)
    assert pool.ask(easy) == {"text": "x = 7"}
    pool.close()


PATIENT = """
import time

def answer(request):
    time.sleep(request["seconds"])
    return {"slept": request["seconds"]}
"""


def test_waiting_is_no_processor_time_and_ends_at_the_fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "patient.py").write_text(PATIENT)
    monkeypatch.syspath_prepend(tmp_path)
    pool = WorkerPool("patient", workers=1, seconds=0.2)
    assert pool.ask({"seconds": 0.5}) == {"slept": 0.5}
    with pytest.raises(WorkerError, match=r"timeout: it took longer than 0\.2 s"):
        pool.ask({"seconds": 600})
    assert pool.ask({"seconds": 0}) == {"slept": 0}
    pool.close()


def test_a_worker_that_died_is_replaced() -> None:
    pool = WorkerPool("spark_plugin_tools.solver.algebra", workers=1, seconds=5)
    easy = {"op": "solve", "expressions": ["x-7=0"], "variables": []}
    pool.ask(easy)
    (worker,) = pool._idle
    worker.process.kill()
    worker.process.wait()
    assert pool.ask(easy) == {"text": "x = 7"}
    pool.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_workers_of_its_own() -> None:
    pool = WorkerPool("spark_plugin_tools.solver.algebra", workers=1, seconds=5)
    easy = {"op": "solve", "expressions": ["x-7=0"], "variables": []}
    pool.ask(easy)
    child = os.fork()
    if child == 0:  # never returns to pytest
        good = pool.ask(easy) == {"text": "x = 7"}
        pool.close()
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.ask(easy) == {"text": "x = 7"}
    pool.close()


def test_a_worker_that_cannot_start_is_reported() -> None:
    with pytest.raises(WorkerError, match="the process for no_such_module did not start"):
        WorkerPool("no_such_module", workers=1, seconds=5).ask({})


def test_the_worker_sees_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    pool = WorkerPool("spark_plugin_tools.solver.algebra", workers=1, seconds=5)
    pool.ask({"op": "eval", "expressions": ["1"], "variables": []})
    (worker,) = pool._idle
    environment = f"/proc/{worker.process.pid}/environ"
    if not os.path.exists(environment):
        pytest.skip("no /proc")
    with open(environment, "rb") as stream:
        variables = stream.read()
    pool.close()
    assert b"PYTHONHASHSEED=0" in variables
    assert b"secret" not in variables
