"""What the pages show is what runs: examples, configs, commands."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from spark_framework import TrajectoryStore
from spark_framework.cli import parser
from spark_framework.config.load import check_config
from spark_framework.config.run import RunConfig
from spark_framework.host.manager import Host, using_host
from spark_framework.testing import AlgorithmContract

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "plugins" / "README.md", *sorted(ROOT.glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(*languages: str) -> list[Any]:
    """(page, text) of every fenced block in one of the languages."""
    found = []
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for number, (word, text) in enumerate(FENCE.findall(page.read_text(encoding="utf-8"))):
            if word in languages:
                found.append(pytest.param(name, text, id=f"{name}:{number}"))
    return found


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples can be imported by name, as when one of them is run."""
    monkeypatch.syspath_prepend(EXAMPLES)
    yield
    for file in EXAMPLES.glob("*.py"):
        sys.modules.pop(file.stem, None)


# -- the pages -----------------------------------------------------------------------------------------------------


def test_pages_show_the_examples_as_they_are():
    shown = set()
    for page, text in (block.values for block in blocks("python")):
        named = re.match(r"# (docs/examples/\w+\.py)\n", text)
        if named is None:
            compile(text, page, "exec")
            continue
        shown.add(ROOT / named[1])
        assert text[named.end() :] == (ROOT / named[1]).read_text(encoding="utf-8"), f"{page} shows another {named[1]}"
    assert shown == set(EXAMPLES.glob("*.py"))


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_configs_are_good(page, text, examples, fake_distribution):
    fake_distribution("spark-primes", {"tool.primes": "primes"})
    fake_distribution("spark-reinforce", {"algorithm.reinforce": "reinforce"})
    with using_host(Host()):
        check_config(yaml.safe_load(text), RunConfig, page)


COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )*spark-framework (.*?)(?: +#.*)?$")
"""A command with the variables before it and the comment behind it."""


@pytest.mark.parametrize(("page", "text"), blocks("bash", ""))
def test_commands_exist(page, text):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for line in text.splitlines():
        command = COMMAND.match(line)
        if command and not page.endswith("cli.md"):  # that page shows what is optional in brackets
            parser().parse_args(shlex.split(command[1]))
        if line.startswith("make "):
            assert line.split()[1] in targets, f"{page}: {line}"


# -- the examples --------------------------------------------------------------------------------------------------


def test_the_tool_answers_and_refuses(examples, fake_distribution):
    fake_distribution("spark-primes", {"tool.primes": "primes"})
    host = Host()
    cls = host.component_class("tool", "primes").cls
    from spark_framework.api import ToolContext

    def call(number: int) -> tuple[bool, str]:
        return host.calls.call_tool(cls(), {"number": number}, ToolContext())

    assert call(360) == (True, "2 * 2 * 2 * 3 * 3 * 5")
    assert call(97) == (True, "97")
    assert not call(999985999949)[0]
    assert not call(1)[0]


def test_the_judge_needs_executed_candidates(examples):
    from spark_framework.api import Candidate, JudgeError, JudgeRequest, Question

    judge = importlib.import_module("terse_judge").Terse()
    question = Question(id="q", text="?", options=("a", "b"), answer=None, category="c", source="s")
    done = Candidate(action="search", arguments={}, observation="short", ok=True)
    wordy, failed = done.model_copy(update={"observation": "x" * 99}), done.model_copy(update={"ok": False})
    thought = done.model_copy(update={"action": "think"})
    verdict = judge.score(JudgeRequest(question=question, steps=(), candidates=(done, wordy, thought, failed)))
    assert verdict.scores == (8.0, 7.0, 3.0, 1.0)
    assert verdict.process_ok == (True, True, True, False)
    with pytest.raises(JudgeError, match="execute: all") as caught:
        judge.score(JudgeRequest(question=question, steps=(), candidates=(Candidate(action="x", arguments={}),)))
    assert caught.value.kind == "config"


def test_the_algorithm_learns_from_what_differs_from_the_mean(examples):
    import torch

    cls = importlib.import_module("reinforce").Reinforce
    rewards, values = [torch.tensor([1.0, 0.0]), torch.tensor([0.5])], [torch.zeros(2), torch.zeros(1)]
    assert [one.tolist() for one in cls().advantages(rewards, values)] == [[0.5, -0.5], [0.0]]
    contract = AlgorithmContract()
    contract.test_the_loss_is_a_finite_number_with_a_gradient(cls())
    contract.test_the_loss_is_the_same_every_time(cls())


def test_a_run_with_both_and_what_the_scripts_print(examples, tiny, tmp_path, capsys):
    module = importlib.import_module("use_terse_judge")
    with using_host(Host()):
        run = module.main(str(tmp_path / "run"), {"model": str(tiny), "prompt": "short"})
    trajectories = list(TrajectoryStore(run / "trajectories.jsonl").read())
    assert len(trajectories) == 20
    assert {step.verdict.judge for t in trajectories for step in t.steps if step.verdict} == {"terse"}

    importlib.import_module("read_trajectories").main(str(run), 2)
    printed = capsys.readouterr().out
    assert all(t.question.text in printed for t in trajectories[:2])
    assert trajectories[2].question.text not in printed

    importlib.import_module("count_tools").main(str(run))
    counted = dict(re.findall(r"(\w+) +viable +\d+ +chosen +(\d+)", capsys.readouterr().out))
    actions = [step.candidate.action for t in trajectories for step in t.steps if not step.is_answer]
    assert set(counted) == {"calculator", "encyclopedia", "primes", "think"}
    assert {name: int(n) for name, n in counted.items()} == {name: actions.count(name) for name in counted}
