"""Start-up imports nothing heavy. Run in processes of their own, where nothing has been imported yet."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = {
    *("torch", "transformers", "peft", "openai", "anthropic", "datasets", "numpy", "pandas", "matplotlib"),
    *("sympy", "scipy", "mpmath", "pint", "molmass", "pydantic_monty", "httpx", "httpx2", "mcp", "genai_prices"),
}
LIGHTER = {"pydantic", "yaml", "pluggy"}
"""What commands that load plugins cannot do without; the others can."""

RUN = """
import sys
from spark_framework.cli import main
code = main(sys.argv[1:])
print("MODULES", *sys.modules)
sys.exit(code)
"""


def imported(*argv: str) -> set[str]:
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=True)
    return (HEAVY | LIGHTER) & set(done.stdout.split("MODULES")[1].split())


def test_importing_the_package_is_free():
    assert imported("-c", "import spark_framework, sys; print('MODULES', *sys.modules)") == set()


@pytest.mark.parametrize("argv", [["--help"], ["generate", "--help"]])
def test_help_imports_nothing(argv):
    assert imported("-c", RUN, *argv) == set()


def test_listing_as_json_imports_nothing():
    assert imported("-c", RUN, "plugins", "list", "--json") == set()


def test_listing_tools_imports_no_heavy_package():
    assert imported("-c", RUN, "tools", "list") <= LIGHTER


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("nonsense", 2)])
def test_python_m(argument, code):
    command = [sys.executable, "-m", "spark_framework", argument]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "usage: spark-framework" in done.stdout + done.stderr


def test_a_closed_pipe_is_quiet():
    """Nobody reads any more when the first line comes."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "spark_framework", "plugins", "list"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
