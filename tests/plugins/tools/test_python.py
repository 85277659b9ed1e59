"""`python`: what a program prints, and how it is stopped."""

from __future__ import annotations

import contextlib
import io
import math
import re
import subprocess
import sys

import pytest

from tests.plugins.tools.calls import answer, call, tool, tool_class
from tests.plugins.tools.python_programs import Program, programs


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print(sum(range(10)))", "45"),
        ("print('a')\nprint(2.5)", "a\n2.5"),
        ("from math import sqrt\nx = sqrt(16)\nprint(f'{x:.1f}')", "4.0"),
        ("from datetime import date; print((date(2024, 3, 1) - date(2024, 2, 1)).days)", "29"),
        ("print(bin(10), hex(255))", "0b1010 0xff"),
        ("3 * 4", "12"),  # the value of a closing expression, where nothing was printed
        ("'abc'", "abc"),
        ("''", "''"),
        ("1, 2", "(1, 2)"),
        ("(1,\n 2)", "(1, 2)"),
        ("class A:\n    def __repr__(self): return 'an A'\n[A()]", "[an A]"),
        ("print(1)\n2", "1"),
        ("x = 5", "the program ran and printed nothing; use print()"),
        ("def f(n): return 0 if n == 0 else 1 + f(n - 1)\nf(900)", "900"),
    ],
)
def test_answers_with_what_was_printed(code: str, expected: str) -> None:
    assert answer("python", code=code) == expected


@pytest.mark.parametrize("program", programs(), ids=lambda program: program.name)
def test_runs_what_a_model_writes(program: Program) -> None:
    text = answer("python", code=program.code)
    if program.full:
        assert re.match("error: (ModuleNotFoundError: No module named '(numpy|scipy|sympy)'|.* yield )", text)
    else:
        assert text == program.printed


@pytest.mark.parametrize(
    "code",
    [
        "from math import *\nprint(floor(sqrt(17)), comb(5, 2), gcd(12, 18))",
        "from random import *\nseed(1)\nprint(randint(1, 1))",
        "from statistics import *\nprint(mean([1, 2]), median([3, 1, 2]))",
        "import statistics as st, math\nprint(st.mean([2, 4]), math.pi)",
        "if True: import statistics; print(statistics.mode('aab'))",
        "def f():\n    from fractions import Fraction as F\n    return F(1, 3)\nprint(f() * 3)",
        "from statistics import (\n    mean,\n    median as m,\n)\nprint(mean([1]), m([2]))",
        "sum = max = sorted = 0\nimport statistics\nprint(statistics.median([3, 1, 2]), statistics.mean([1, 2]))",
        "a = [1, 2, 3, 4, 5]\ndel a[0], a[-1]\ndel a[1:]\nprint(a)",
        "d = {(1, 2): 3, 4: 5}\ndel d[1, 2]\nprint(d)",
        "x = 1\ndel x\nprint('gone')",
        "d = {'a': 1, 'b': 3}\nprint(max(d, key=d.get), sorted(['b', 'C', 'a'], key=str.lower))",
        "for item in [{1: 5, 2: 3}]: print(min(item, key=item.get))",
        "é = 'ü'; del é; print('ü', max({'é': 1}, key={'é': 1}.get))",
        "text = '''\nimport statistics\ndel text\n'''\nprint(text)",
        "import sys\nprint(1)\nsys.exit()\nprint(2)",
        "print(1)\nraise SystemExit",
    ],
)
def test_what_monty_lacks_is_put_in_other_words(code: str) -> None:
    assert answer("python", code=code) == run_here(code)


def run_here(code: str) -> str:
    """What CPython prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        exec(code, {"__name__": "__main__"})
    return out.getvalue().strip()


SAME_AS_THE_STANDARD_LIBRARY = {
    "statistics": """
        from statistics import *
        samples = [[1, 2, 3, 4], [2.5, 3.25, 5.5, 11.25, 11.75], [1, 1, 2, 3.5], [7, 7], [10**20, 10**20 + 1]]
        for s in samples:
            print(mean(s), fmean(s), median(s), median_low(s), median_high(s), mode(s), multimode(s))
            print(variance(s), pvariance(s), stdev(s), pstdev(s), harmonic_mean(s))
            print(quantiles(s), quantiles(s, n=3, method="inclusive"))
        print(round(geometric_mean([54, 24, 36]), 9), fmean([1, 2], weights=[1, 3]))
        x, y = [1, 2, 3, 4, 5], [2.0, 4.5, 5.5, 8.25, 10.0]
        line = linear_regression(x, y)
        print(round(correlation(x, y), 12), covariance(x, y), round(line.slope, 12), round(line.intercept, 12))
        d = NormalDist(100, 15)
        print(d.mean, d.stdev, d.variance, d.cdf(120), d.pdf(100), d.zscore(130), d)
        print([round(NormalDist().inv_cdf(p), 12) for p in (1e-9, 0.025, 0.5, 0.8, 0.975)])
    """,
    "fractions": """
        from fractions import Fraction as F
        from decimal import Decimal
        made = [F(6, -4), F("3/4"), F("-0.125"), F("1e3"), F(0.1), F(5), F(Decimal("2.50")), F(F(1, 2), F(3, 4)), F()]
        for a in made:
            print(a, repr(a), float(a), int(a), round(a), abs(a), -a, a == float(a), a.limit_denominator(10))
            for b in (2, -3, F(2, 7), 0.5):
                print(a + b, b + a, a - b, b - a, a * b, b * a, a / b, a // b, a % b, a == b)
        print(F(2, 3) ** 3, F(2, 3) ** -2, 2 ** F(3), F(4) ** 0.5, sum([F(1, 2), F(1, 3)]), {F(2, 4): "half"}[F(1, 2)])
        print(F(22, 7).numerator, F(22, 7).denominator, F(3.14159265).limit_denominator(1000), round(F(22, 7), 2))
    """,
    "cmath": """
        import cmath
        for z in (1, -4, 3 + 4j, -1 - 1j, 0.5j, 0):
            r = lambda w: (round(w.real, 12) + 0.0, round(w.imag, 12) + 0.0)
            print(r(cmath.sqrt(z)), r(cmath.exp(z)), r(cmath.sin(z)), r(cmath.cos(z)), r(cmath.tan(z)), cmath.phase(z))
            print(r(cmath.sinh(z)), r(cmath.cosh(z)), r(cmath.tanh(z)), cmath.polar(z), cmath.isclose(z, z + 1e-12))
            if z:
                print(r(cmath.log(z)), r(cmath.log(z, 2)), r(cmath.log10(z)))
        print(cmath.rect(2, cmath.pi / 3), cmath.sqrt(-1), cmath.inf, cmath.isnan(cmath.nan), cmath.isfinite(1j))
    """,
    "heapq": """
        from heapq import *
        heap = [(n * 7919) % 101 for n in range(40)]
        heapify(heap)
        print(heap)
        for n in range(20):
            heappush(heap, (n * 31) % 50)
            print(heappop(heap), heappushpop(heap, n), heapreplace(heap, n * 2), heap)
        print(nlargest(3, heap), nsmallest(3, heap, key=lambda n: -n), list(merge([1, 4], [2, 3])))
        print([heappop(heap) for _ in range(len(heap))])
    """,
    "calendar": """
        import calendar
        for y in (1900, 2000, 2023, 2024):
            print(calendar.isleap(y), [calendar.monthrange(y, m)[1] for m in range(1, 13)], calendar.leapdays(1900, y))
        print(int(calendar.weekday(2026, 1, 1)), list(calendar.day_name), calendar.month_abbr[3])
        print(list(calendar.month_name))
    """,
    "string": """
        from string import *
        print(ascii_letters, digits, punctuation, hexdigits, octdigits, repr(whitespace), len(printable))
        print(ascii_lowercase, ascii_uppercase, capwords("a bc"))
    """,
    "operator": """
        import operator as o
        for f in (o.add, o.sub, o.mul, o.truediv, o.floordiv, o.mod, o.pow, o.eq, o.ne, o.lt, o.le, o.gt, o.ge):
            print(f(7, 3), o.and_(7, 3), o.or_(4, 1), o.xor(7, 3), o.neg(2), o.not_(0))
        print(sorted([(1, "b"), (2, "a")], key=o.itemgetter(1)), o.itemgetter(0, 2)("abc"))
        print(o.attrgetter("real")(3 + 1j))
    """,
}


@pytest.mark.parametrize("module", SAME_AS_THE_STANDARD_LIBRARY)
def test_an_added_module_has_the_standard_library_s_results(module: str) -> None:
    code = re.sub("^        ", "", SAME_AS_THE_STANDARD_LIBRARY[module], flags=re.M).strip()
    for part, here in zip(monty_lines(code), run_here(code).splitlines(), strict=True):
        assert rounded(part) == rounded(here)


def monty_lines(code: str) -> list[str]:
    """More than a reply holds, in pieces."""
    lines: list[str] = []
    while True:
        skip = f"lines, real_print = [], print\ndef print(*a): lines.append(' '.join([str(x) for x in a]))\n{code}\n"
        text = answer("python", code=f"{skip}real_print('\\n'.join(lines[{len(lines)}:{len(lines) + 4}]))")
        if text.startswith("the program ran and printed nothing"):
            return lines
        assert not text.startswith("error"), text
        lines += text.split("\n")


def rounded(line: str) -> list[str]:
    """Its words, with numbers to eleven digits: sums of floats may differ in the last bit."""
    return re.sub(r"\d+\.\d+(?:e[-+]?\d+)?", lambda number: f"{float(number[0]):.11g}", line).split()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print(1)\n1/0", "ZeroDivisionError: division by zero (line 2)"),
        ("print(5", "SyntaxError"),
        ("import numpy", "No module named 'numpy'; there are math"),
        ("from sympy import *\nx = symbols('x')", "No module named 'sympy'; there are math"),
        (
            "from statistics import (\n  mean,\n  pig)",
            "ImportError: cannot import name 'pig' from 'statistics' (line 1)",
        ),
        ("import statistics as s\n\ns.mean([])", "ValueError: mean requires at least one data point (line 3)"),
        ("from statistics import (\n  mean,\n  mode)\n1/0", "division by zero (line 4)"),
        ("raise SystemExit('why')", "SystemExit: why (line 1)"),
        ("10**5000", "ValueError: Exceeds the limit (4300 digits)"),
        ("'\ud800'", "unable to parse raw data as a unicode string"),
        ("1\x00", "SyntaxError"),
    ],
)
def test_failures_say_why(code: str, message: str) -> None:
    text = answer("python", code=code)
    assert text.startswith("error: ")
    assert message in text
    assert answer("python", code="print(1)") == "1"


HOSTILE = {
    "fork": ("import os\nwhile True: os.fork()", "AttributeError"),
    "kill": ("import os\nos.kill(-1, 9)", "AttributeError"),
    "exit": ("import os\nos._exit(0)", "AttributeError"),
    "close": ("import os\nfor fd in range(99): os.close(fd)", "AttributeError"),
    "write to a channel": ("import os\nfor fd in range(99): os.write(fd, b'{}')", "AttributeError"),
    "command": ("import os\nos.system('true')", "AttributeError"),
    "file": ("open('/etc/passwd').read()", "PermissionError"),
    "path": ("from pathlib import Path\nprint(Path('/etc/passwd').read_text())", "PermissionError"),
    "environ": ("import os\nprint(os.environ)", "not supported"),
    "process": ("open('/proc/self/environ').read()", "PermissionError"),
    "write": ("open('/tmp/x', 'w').write('x')", "PermissionError"),
    "shared memory": ("open('/dev/shm/x', 'w').write('x')", "PermissionError"),
    "socket": ("import socket", "No module named 'socket'"),
    "C": ("import ctypes", "No module named 'ctypes'"),
    "thread": ("import threading", "No module named 'threading'"),
    "signal": ("import signal", "No module named 'signal'"),
    "collector": ("import gc", "No module named 'gc'"),
    "classes": ("().__class__.__base__.__subclasses__()", "AttributeError"),
    "import": ("__import__('os').system('true')", "NameError"),
    "number": ("9**9**9", "MemoryError: the program used more than 64 MB"),
    "list": ("kept = []\nwhile True: kept.append('x' * 10000)", "MemoryError: the program used more than 64 MB"),
    "join": ("'a'.join(['b' * 10**6] * 100)", "MemoryError: the program used more than 64 MB"),
    "100 MB text": ("x = 'a' * 100_000_000", "MemoryError: the program used more than 64 MB"),
    "message": ("raise ValueError('x' * 1_000_000)", "ValueError: xxx"),
    "recursion": ("def f(n): return f(n + 1)\nf(0)", "RecursionError"),
    "nesting": ("(" * 7000, "SyntaxError"),
    "signs": ("-" * 7000 + "1", "SyntaxError"),
    "loop": ("while True: pass", "timeout: the program ran longer than 1 s"),
    "squares": ("x = 9\nfor i in range(40): x = x*x", "timeout: the program ran longer than 1 s"),  # not interruptible
    "flood": ("while True: print('x' * 1000)", "timeout: the program ran longer than 1 s"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refuses(name: str) -> None:
    code, message = HOSTILE[name]
    text = answer("python", code=code)
    assert text.startswith("error: ")
    assert message in text
    assert text.isprintable()
    assert len(text) < 320
    assert answer("python", code="print(1)") == "1"


def test_neither_a_refused_allocation_nor_a_doubtful_escape_is_heard_on_our_stderr() -> None:
    code = (
        "from spark_framework.api import ToolContext\n"
        "from spark_plugin_tools.python import Python\n"
        "tool = Python()\n"
        "try:\n"
        "    tool.call(tool.Args(code=\"'a'.join(['\\\\d' * 10**6] * 100)\"), ToolContext())\n"
        "except Exception as error:\n"
        "    print(error)\n"
        "tool.close()\n"
    )
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "MemoryError: the program used more than 64 MB\n"
    assert done.stderr == "" or not sys.platform.startswith("linux")


def test_the_clock_is_fixed_and_chance_follows_the_seed() -> None:
    code = "import random, datetime, time\ntime.sleep(1000)\nprint(random.random(), datetime.datetime.now())"
    first = call(tool("python"), {"code": code}, seed=1)
    assert "2026-01-01" in first
    assert call(tool("python"), {"code": code}, seed=1) == first
    assert call(tool("python"), {"code": code}, seed=2) != first


def test_the_modules_it_names_are_there() -> None:
    modules = answer("python", code="import numpy").rpartition("there are ")[2].split(", ")
    assert {"math", "statistics", "fractions"} < set(modules)
    for module in modules:
        assert answer("python", code=f"import {module}\nprint(1)") == "1", module


def test_programs_share_nothing() -> None:
    assert answer("python", code="import statistics\nsecret = statistics.mean = 1\nprint(secret)") == "1"
    assert "NameError" in answer("python", code="print(secret)")
    assert answer("python", code="import statistics\nprint(statistics.mean([3]))") == "3"


def test_output_is_cut() -> None:
    assert answer("python", code="print('x' * 1_000_000)") == "x" * 2000
    assert answer("python", code="'x' * 1_000_000") == "x" * 2000


def test_it_can_be_prepared_more_than_once() -> None:
    instance = tool_class("python")()
    instance.prepare()
    instance.prepare()
    assert call(instance, {"code": "import math\nprint(math.pi)"}) == str(math.pi)
    instance.close()
