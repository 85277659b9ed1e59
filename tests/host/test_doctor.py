"""`plugins doctor`: every installed plugin has a clear state, whatever its import does; so have foreign metadata."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import pytest

from spark_framework.host import doctor
from spark_framework.host.discovery import InstalledPlugins, scan
from spark_framework.host.doctor import Diagnosis, examine, examine_metadata

TERM = """
    {first}
    from spark_framework.api import ComponentConfig, RewardTerm, hookimpl
    class Term(RewardTerm):
        name = "{name}"
        {inside}
        def value(self, step, trajectory): return 0.0
    @hookimpl
    def spark_reward_terms(): return [Term]
"""


def source(name: str, first: str = "", inside: str = "") -> str:
    return TERM.format(name=name, first=first.replace("\n", "\n    "), inside=inside.replace("\n", "\n        "))


@pytest.fixture
def offered(fake_distribution):
    """Installs `reward.odd` of spark-odd, and `reward.fine` beside it."""

    def install(first: str = "", inside: str = "") -> None:
        fake_distribution("spark-odd", {"reward.odd": "odd_term"}, {"odd_term": source("odd", first, inside)})
        fake_distribution("spark-fine", {"reward.fine": "fine_term"}, {"fine_term": source("fine")})

    return install


def diagnoses(*disable: str, timeout: float = 60) -> dict[str, Diagnosis]:
    """What is found of the rewards of other distributions."""
    installed = scan(disable)
    few = [o for o in installed.entry_points if o.distribution != "spark-framework"]
    return {f"{f.distribution}/{f.subject}": f for f in examine(InstalledPlugins(tuple(few), ""), disable, timeout)}


@pytest.mark.parametrize(
    ("first", "state", "advice"),
    [
        ("", "good", "^$"),
        ("raise ValueError('two\\nlines')", "broken", "ValueError: two lines; until spark-odd is fixed, disable it"),
        ("import no_such_module", "broken", "ModuleNotFoundError: No module named 'no_such_module'.* -p no:reward.odd"),
        ("def (", "broken", "SyntaxError"),
        ("import sys; sys.exit(3)", "broken", "SystemExit: 3"),
        ("import sys; sys.exit()", "broken", "SystemExit"),
        ("import os; os._exit(0)", "broken", r"ended its process \(exit code 0\)"),
        ("import os; os._exit(7)", "broken", r"ended its process \(exit code 7\)"),
        ("import os; os.abort()", "broken", r"ended its process \(SIGABRT\)"),
        ("import os, signal; os.kill(os.getppid(), 0); os.kill(os.getpid(), signal.SIGKILL)", "broken", "SIGKILL"),
        ("def f(): f()\nf()", "broken", "RecursionError: maximum recursion depth"),
        ("raise KeyboardInterrupt", "broken", r"ended its process \(.*KeyboardInterrupt"),
        ("class Panic(BaseException): pass\nraise Panic('deep')", "broken", "Panic: deep"),
        ("import sys; sys.stdout.close(); sys.stderr.close()", "good", "^$"),
        ("import os; os.close(1); os.close(2)", "good", "^$"),
        ("import warnings; warnings.warn('careful')", "good", "^$"),
        ("print('hello')", "prints", "importing odd_term prints 'hello'; only runs that use it are affected"),
        ("import os; os.write(1, b'\\xff\\x00')", "prints", "importing odd_term prints"),
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()", "starts threads", "leaves"),
    ],
)
def test_whatever_an_import_does_has_a_state(offered, first, state, advice):
    offered(first)
    found = diagnoses()
    assert found["spark-odd/reward.odd"].state == state
    assert re.search(advice, found["spark-odd/reward.odd"].advice)
    assert "\n" not in found["spark-odd/reward.odd"].advice
    assert found["spark-fine/reward.fine"] == Diagnosis("reward.fine", "spark-fine", "1.0", "good")
    assert threading.active_count() < 20


def test_an_import_that_hangs_is_ended_with_its_children(offered, tmp_path):
    pid = tmp_path / "pid"
    offered(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid)); time.sleep(600)"
    )
    found = diagnoses(timeout=4)
    assert found["spark-odd/reward.odd"].state == "broken"
    assert "did not end within 4 s" in found["spark-odd/reward.odd"].advice
    assert found["spark-fine/reward.fine"].state == "good"
    status = Path(f"/proc/{pid.read_text()}/stat")
    deadline = time.monotonic() + 120  # a killed process may need a moment to end; this one would sleep for 600 s
    while not ended(status) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ended(status)


def ended(status: Path) -> bool:
    """Whether a process is gone, or a zombie that nobody has waited for."""
    try:
        return status.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_an_import_that_takes_long_is_slow(offered, monkeypatch):
    monkeypatch.setattr(doctor, "SLOW", 0.7)
    offered("import time; time.sleep(0.8)")
    found = diagnoses()["spark-odd/reward.odd"]
    assert found.state == "slow"
    assert re.match(r"importing odd_term takes \d+\.\d s; only runs that use it are affected", found.advice)


@pytest.mark.parametrize(
    ("inside", "state", "advice"),
    [
        ("def __init__(self, config=None): raise OSError('no disk')", "broken", "cannot be built: OSError: no disk"),
        ("class Config(ComponentConfig):\n    path: str\n    'Where.'", "good", "^$"),
        ("name = 'other'", "broken", "has to return one class with name = 'odd', but returns 'other'"),
    ],
)
def test_building_is_examined_too(offered, inside, state, advice):
    offered(inside=inside)
    assert diagnoses()["spark-odd/reward.odd"].state == state
    assert re.search(advice, diagnoses()["spark-odd/reward.odd"].advice)


def test_what_cannot_be_used_is_not_loaded(fake_distribution, offered, tmp_path):
    mark = tmp_path / "imported"
    offered(f"open({str(mark)!r}, 'w')")
    fake_distribution("spark-rival", {"reward.odd": "odd_term"})
    fake_distribution("spark-future", {"reward.new": "odd_term"}, group="spark_framework.v2")
    fake_distribution("spark-strange", {"policy.odd": "odd_term"})
    found = diagnoses("reward.fine")
    assert {name: f.state for name, f in found.items()} == {
        "spark-odd/reward.odd": "in conflict",
        "spark-rival/reward.odd": "in conflict",
        "spark-fine/reward.fine": "disabled",
        "spark-future/reward.new": "written for plugin API v2",
        "spark-strange/policy.odd": "no such kind",
    }
    assert "write `use: spark-odd/odd` to take this one" in found["spark-odd/reward.odd"].advice
    assert "spark-rival has this name too" in found["spark-odd/reward.odd"].advice
    assert found["spark-fine/reward.fine"].advice == ""
    assert not mark.exists()


def test_a_conflict_that_was_settled_is_none(fake_distribution, offered):
    offered()
    fake_distribution("spark-rival", {"reward.odd": "no_such_module"})
    found = diagnoses("spark-rival/reward.odd")
    assert [found[name].state for name in ("spark-odd/reward.odd", "spark-rival/reward.odd")] == ["good", "disabled"]


# -- metadata ------------------------------------------------------------------------------------------------------


def test_unreadable_metadata_are_named(fake_distribution):
    before = examine_metadata()
    folder = fake_distribution("Foreign.Words", "no header = here", version="3.1")
    found = [finding for finding in examine_metadata() if finding not in before]
    assert [(f.subject, f.distribution, f.version, f.state) for f in found] == [
        ("metadata", "foreign-words", "3.1", "unreadable")
    ]
    assert str(folder) in found[0].advice
    assert "reinstall Foreign.Words, or report it to its author" in found[0].advice


@pytest.mark.parametrize("text", [b"[a]\nx = \xff\xfe\n", b"[a]\nx = 1\nx = 2\n", b"\xef\xbb\xbf[a]\nx = y\n"])
def test_many_ways_to_be_unreadable(fake_distribution, text):
    folder = fake_distribution("foreign", {})
    (folder / "foreign-1.0.dist-info" / "entry_points.txt").write_bytes(text)
    assert "foreign" in {finding.distribution for finding in examine_metadata() if finding.state == "unreadable"}


@pytest.mark.parametrize("text", ["", "Metadata-Version: 2.1\n", "\x00", "Name: a\nName: b\nVersion:\n"])
def test_metadata_without_a_name_or_a_version_do_not_affect_others(fake_distribution, offered, text):
    offered()
    folder = fake_distribution("foreign", {"reward.foreign": "no_such_module"})
    (folder / "foreign-1.0.dist-info" / "METADATA").write_text(text)
    (folder / "foreign-1.0.dist-info" / "direct_url.json").write_text("{]")
    assert [f for f in examine_metadata() if f.distribution == "foreign"] == []
    assert diagnoses()["spark-fine/reward.fine"].state == "good"


def test_an_editable_install_that_is_out_of_date_is_named(fake_distribution, tmp_path):
    checkout = tmp_path / "my checkout"
    checkout.mkdir()
    lines = ['[project.entry-points."spark_framework.v1"]', '"reward.odd" = "odd_term"', '"reward.new" = "odd_term"']
    (checkout / "pyproject.toml").write_text("\n".join(lines))
    folder = fake_distribution("spark-odd", {"reward.odd": "odd_term", "reward.old": "odd_term"})
    origin = {"url": checkout.as_uri(), "dir_info": {"editable": True}}
    (folder / "spark_odd-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    found = [f for f in examine_metadata() if f.distribution == "spark-odd"]
    assert [(f.state, f.version) for f in found] == [("out of date", "1.0")]
    assert "now differs in reward.new, reward.old: run `pip install -e" in found[0].advice
    assert str(checkout) in found[0].advice


def test_a_framework_that_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    found = examine_metadata()
    assert [(f.distribution, f.state) for f in found] == [("spark-framework", "not installed")]
