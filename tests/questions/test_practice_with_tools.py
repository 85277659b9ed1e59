"""Every planned call of the practice questions, through the default tools: each has to single out the right option."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points

import pytest

from spark_framework.api import THINK, Call, Question, Tool, ToolContext, ToolError, match_option
from spark_framework.questions import PracticeConfig, open_questions
from spark_framework.questions.practice.families import FAMILIES
from spark_framework.questions.practice.script import propose

TOOLS = ("calculator", "python", "solver", "science", "stats_finance", "encyclopedia", "dictionary", "search")
PER_FAMILY = 8

pytest.importorskip("spark_plugin_tools")


@pytest.fixture(scope="module")
def tools() -> Iterator[dict[str, Tool]]:
    offers = entry_points(group="spark_framework.v1")
    modules = [offers[f"tool.{name}"].load() for name in TOOLS]
    opened = {tool.name: tool() for module in modules for tool in module.spark_tools()}
    yield opened
    for tool in opened.values():
        tool.close()


@cache
def questions(family: str) -> list[Question]:
    one = open_questions(PracticeConfig(families=(family,)), 0)
    return one.train(0, PER_FAMILY) + one.test(PER_FAMILY // 2)


def observed(tools: dict[str, Tool], call: Call) -> str:
    if call.action == THINK:
        return str(call.arguments["thought"])
    tool = tools[call.action]
    return tool.call(tool.Args.model_validate(call.arguments), ToolContext())


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_every_planned_call_does_its_step(tools: dict[str, Tool], family: str) -> None:
    wrong = []
    for question in questions(family):
        *before, last = question.plan
        for call in (call for step in before for call in step):
            assert observed(tools, call)
        for call in last:
            text = observed(tools, call)
            if match_option(text, question.options) != question.answer:
                wrong.append((question.text, call.arguments, text[:300], question.options, question.answer))
    assert not wrong


@pytest.mark.parametrize("family", [family.name for family in FAMILIES if family.name in ("moles", "years_before")])
def test_the_first_step_gives_what_the_second_uses(tools: dict[str, Tool], family: str) -> None:
    for question in questions(family):
        first, second = question.plan
        expression = next(call.arguments["expression"] for call in second if call.action == "calculator")
        found = {"moles": expression.split("/")[-1], "years_before": expression.split("-")[-1]}[family]
        options = (found, "3.14", "7777")
        assert {match_option(observed(tools, call), options) for call in first} == {0}, (question.text, found)


def test_unplanned_calls_are_valid_and_seldom_help(tools: dict[str, Tool]) -> None:
    helped: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for question in open_questions(PracticeConfig(), 0).train(0, 150):
        planned = {call.action for call in question.plan[0]}
        for call in propose(question, 0, (*TOOLS, THINK)):
            if call.action in planned:
                continue
            tried[call.action] += 1
            try:
                text = observed(tools, call)
            except ToolError:
                continue
            helped[call.action] += match_option(text, question.options) == question.answer
    assert set(tried) == {*TOOLS, THINK}
    assert sum(helped.values()) < 0.02 * sum(tried.values()), helped
