"""`plugins check` and `plugins doctor` from the command line; and `-p` for what is not there."""

from __future__ import annotations

import re
import sys

import pytest

from spark_framework.cli import main

SELECTOR = """
    {first}
    from pydantic import Field
    from spark_framework.api import ComponentConfig, Selector, hookimpl
    class Picky(Selector):
        "Takes one place."
        name = "picky"
        class Config(ComponentConfig):
            place: int = Field({default})
            "The place."
        def select(self, candidates, scores, *, threshold, usage, rng):
            return {choice}
    @hookimpl
    def spark_selectors(): return [Picky]
"""


@pytest.fixture
def run(capsys):
    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def picky(fake_distribution):
    def install(
        choice: str = "min(self.config.place, len(scores) - 1)", first: str = "", default: str = "default=0, ge=0"
    ) -> None:
        source = SELECTOR.format(choice=choice, first=first, default=default)
        fake_distribution("spark-picky", {"selector.picky": "picky_selector"}, {"picky_selector": source})

    return install


@pytest.mark.parametrize("name", ["picky", "selector.picky", "spark-picky/picky", "spark-picky/selector.picky"])
def test_a_good_plugin_passes(run, picky, name):
    picky()
    code, out, err = run("plugins", "check", name)
    *lines, _, last = out.splitlines()
    assert (code, err) == (0, "")
    assert len(lines) > 15
    assert {line[:6] for line in lines} == {"ok    "}
    assert "ok    the fingerprint is the same elsewhere" in lines
    assert last == f"selector.picky of spark-picky 1.0: {len(lines)} passed, 0 failed"
    assert "picky_selector" not in sys.modules


def test_a_bad_plugin_fails_exactly_where_it_is_bad(run, picky):
    picky(choice="len(scores) if len(scores) == 2 else 0")
    code, out, _ = run("plugins", "check", "picky")
    failed = [line for line in out.splitlines() if line.startswith("FAIL")]
    assert code == 1
    assert len(failed) == 1
    assert failed[0].startswith("FAIL  one of the candidates is chosen: two candidates, nothing used yet: select() ret")
    assert out.splitlines()[-1].endswith(" passed, 1 failed")


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        ("raise ValueError('no')", r"FAIL  the component can be built: .*spark-picky.*ValueError: no"),
        ("import sys; sys.exit(3)", r"FAIL  the component can be built: .*SystemExit: 3"),
        ("import os; os._exit(3)", r"FAIL  the checks finish: ended its process \(exit code 3\)"),
        ("print('{}')", r"FAIL  importing the module has no side effects: importing or building prints '\{\}'"),
        ("import mpmath", r"FAIL  the module is light to import: importing picky_selector imports mpmath"),
    ],
)
def test_an_import_that_does_harm_is_a_line(run, picky, first, problem):
    picky(first=first)
    code, out, err = run("plugins", "check", "picky")
    assert (code, err) == (1, "")
    assert re.search(problem, out)
    assert out.count("FAIL") == 1


def test_a_plugin_that_hangs_is_ended(run, picky):
    picky(first="import time; time.sleep(600)")
    code, out, _ = run("plugins", "check", "picky", "--timeout", "2")
    assert code == 1
    assert "FAIL  the checks finish: did not end within 2 s" in out


def test_settings_are_given_as_in_a_run(run, picky):
    picky(default="ge=0")
    code, out, _ = run("plugins", "check", "picky")
    assert code == 1
    assert "FAIL  the component can be built: selector.place: is missing; add it to the file or pass --set" in out
    assert run("plugins", "check", "picky", "--set", "place=1")[0] == 0
    assert (
        "selector.palce: unknown key; did you mean 'place'?" in run("plugins", "check", "picky", "--set", "palce=1")[1]
    )


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (("check", "pikcy"), "there is no component 'pikcy'; did you mean 'picky'?"),
        (("check", "selector.pikcy"), "there is no selector 'pikcy'"),
        (("check", "picky", "-p", "no:selector.picky"), "is disabled"),
        (("list", "-p", "no:selector.pikcy"), "there is no selector.pikcy to disable; did you mean 'selector.picky'?"),
        (("list", "-p", "no:other/selector.picky"), "there is no other/selector.picky to disable"),
        (("doctor", "-p", "no:picky"), "kind.name"),
    ],
)
def test_an_unknown_name_is_one_line(run, picky, argv, problem):
    picky()
    code, out, err = run("plugins", *argv)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert problem in err
    assert err.count("\n") == 1


def test_the_doctor_prints_a_table_and_what_to_do(run, picky, fake_distribution, monkeypatch):
    picky(first="raise ValueError('no')")
    monkeypatch.setenv("SPARK_PLUGIN_AUTOLOAD", "0")  # nothing but metadata: the rest is tested in tests/host
    fake_distribution("spark-future", {"selector.new": "x"}, group="spark_framework.v2")
    fake_distribution("foreign", "no header = here")
    code, out, err = run("plugins", "doctor")
    rows = [line.split() for line in out.splitlines()]
    assert (code, err) == (1, "")
    assert rows[0] == ["what", "distribution", "version", "state"]
    assert ["selector.picky", "spark-picky", "1.0", "disabled"] in rows
    assert ["metadata", "foreign", "1.0", "unreadable"] in rows
    assert re.search(r"^selector\.new of spark-future 1\.0: written for plugin API v2\. install a version", out, re.M)
