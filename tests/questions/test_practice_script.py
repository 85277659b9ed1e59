"""The scripted proposer: planned calls where the plan has them, harmless ones elsewhere."""

from __future__ import annotations

import pytest

from spark_framework.questions import PracticeConfig, open_questions
from spark_framework.questions.practice.script import answer_text, is_done, propose
from spark_framework.records import Call, Question

ACTIONS = (
    "calculator", "python", "solver", "science", "stats_finance", "encyclopedia", "dictionary", "search", "think",
)  # fmt: skip
QUESTIONS = open_questions(PracticeConfig(), 3).train(0, 120)


def test_one_call_for_each_action_and_the_planned_ones_among_them() -> None:
    for question in QUESTIONS:
        for step, planned in enumerate(question.plan):
            proposed = propose(question, step, ACTIONS)
            assert tuple(call.action for call in proposed) == ACTIONS
            assert set(map(repr, planned)) <= set(map(repr, proposed))
            assert proposed == propose(question, step, ACTIONS)
            assert all(call.arguments for call in proposed)


def test_an_unplanned_call_does_not_name_the_answer() -> None:
    for question in QUESTIONS:
        planned = {call.action for step in question.plan for call in step}
        for call in propose(question, 0, ACTIONS):
            if call.action not in planned:
                words = " ".join(map(str, call.arguments.values())).split()
                assert answer_text(question) not in words


def test_after_the_plan_no_call_helps() -> None:
    question = QUESTIONS[0]
    done = len(question.plan)
    assert not is_done(question, done - 1)
    assert is_done(question, done)
    planned = {repr(call) for step in question.plan for call in step}
    assert not planned & set(map(repr, propose(question, done, ACTIONS)))


def test_an_unknown_tool_gets_empty_arguments_and_order_is_kept() -> None:
    calls = propose(QUESTIONS[0], 0, ("telescope", "think"))
    assert calls[0] == Call(action="telescope")
    assert [call.action for call in calls] == ["telescope", "think"]


def test_it_works_for_questions_without_numbers_or_plan() -> None:
    question = Question(id="q", text="¿…?", options=("a", "b"), answer=1, category="other", source="mmlu_pro")
    assert len(propose(question, 0, ACTIONS)) == len(ACTIONS)
    assert is_done(question, 0)
    assert answer_text(question) == "b"
    with pytest.raises(ValueError, match="no stored answer"):
        answer_text(question.without_gold())
