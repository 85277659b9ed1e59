"""Start-up imports nothing heavy. Run in processes of their own, where nothing has been imported yet."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from spark_framework import api

RUN = """
import sys
before = set(sys.modules)
from spark_framework.cli import main
code = main(sys.argv[1:])
print("MODULES", *sorted(set(sys.modules) - before))
sys.exit(code)
"""
FAMILIES = {f"spark_framework.cli.{name}" for name in ("config", "plugins", "run", "steptool", "study", "tools")}
"""Modules that register commands."""
FRAME = {"spark_framework", "spark_framework.cli", "spark_framework.cli.options", "spark_framework.errors"} | FAMILIES
LISTING = FRAME | {"spark_framework.host", "spark_framework.host.discovery", "entrypoints"}
TABLES = {"spark_framework.stats", "spark_framework.stats.intervals", "spark_framework.stats.tables"}
LOADING = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection", "yaml", "pluggy"}
"""What commands that load plugins cannot do without."""


def imported(*argv: str) -> set[str]:
    """What a program imported beyond the standard library: our modules in full, packages of others by their name."""
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=True)
    names = set(done.stdout.split("MODULES")[1].split())
    ours = {name for name in names if name.startswith("spark_")}
    others = {name.partition(".")[0] for name in names - ours}
    hidden = ("_", "cython_runtime")  # the platform's _sysconfigdata…, what compiled extensions share
    return ours | {name for name in others - sys.stdlib_module_names if not name.startswith(hidden)}


def test_importing_the_package_is_free():
    program = (
        "import sys; before = set(sys.modules); import spark_framework; print('MODULES', *set(sys.modules) - before)"
    )
    assert imported("-c", program) == {"spark_framework"}


def test_the_api_imports_the_contracts_only():
    program = "import sys; before = set(sys.modules); import spark_framework.api; "
    modules = imported("-c", program + "print('MODULES', *set(sys.modules) - before)")
    assert len([name for name in modules if name.startswith("spark_framework")]) <= 15
    assert modules >= {"spark_framework.contracts.components", "spark_framework.records", "spark_framework.errors"}
    assert not modules & {"torch", "transformers", "numpy"}


def test_every_name_of_the_api_can_be_imported():
    for name in api.__all__:
        assert getattr(api, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'RunConfig'"):
        _ = api.RunConfig


@pytest.mark.parametrize(
    "argv", [["--help"], ["generate", "--help"], ["plugins", "doctor", "--help"], ["tools", "--help"]]
)
def test_help_imports_nothing(argv):
    assert imported("-c", RUN, *argv) == FRAME


def test_listing_imports_what_reads_metadata():
    assert imported("-c", RUN, "plugins", "list", "--json") == LISTING
    assert imported("-c", RUN, "plugins", "list") == LISTING | TABLES
    assert imported("-c", RUN, "plugins", "list", "-p", "no:judge.gpt4o") == LISTING | TABLES


def test_listing_tools_imports_no_heavy_package():
    modules = imported("-c", RUN, "tools", "list")
    others = {name.partition(".")[0] for name in modules if not name.startswith("spark_")}
    assert others <= LOADING | {"entrypoints"}


@pytest.mark.parametrize(
    "module", ["config.run", "pipeline.generate", "pipeline.train", "api", "testing.pytest_plugin"]
)
def test_no_module_of_the_core_imports_a_plugin(module):
    """Otherwise somebody's broken plugin would break commands that do not use it."""
    program = f"import sys, spark_framework.{module}; print('MODULES', *sys.modules)"
    assert not {name for name in imported("-c", program) if name.startswith("spark_plugin_")}


def test_pytest_starts_as_fast_as_without_the_framework():
    """Its fixtures are there in every project of everybody who has it installed."""
    program = (
        "import sys, pytest; before = set(sys.modules); import spark_framework.testing.pytest_plugin; "
        "print('MODULES', *set(sys.modules) - before)"
    )
    assert imported("-c", program) == {
        "spark_framework", "spark_framework.testing", "spark_framework.testing.pytest_plugin",
    }  # fmt: skip


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
