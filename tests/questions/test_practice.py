"""The practice questions: splits, phrasings, options, plans, determinism. Tools are tried in the file beside this."""

from __future__ import annotations

import itertools
import json
import re
import string
import subprocess
import sys
from collections import Counter
from functools import cache

import pytest
from pydantic import TypeAdapter, ValidationError

from spark_framework.errors import ConfigError, DataError
from spark_framework.questions import MmluProConfig, PracticeConfig, QuestionsConfig, open_questions
from spark_framework.questions.mmlu_pro import CATEGORIES
from spark_framework.questions.practice.families import FAMILIES
from spark_framework.questions.practice.family import Family
from spark_framework.records import Question

ACTIONS = {
    "calculator", "python", "solver", "science", "stats_finance", "encyclopedia", "dictionary", "search", "think",
}  # fmt: skip
BY_SOURCE = {f"practice/{family.name}": family for family in FAMILIES}
TRAIN, TEST = 3000, 1000


@cache
def train(seed: int = 0) -> tuple[Question, ...]:
    return tuple(open_questions(PracticeConfig(), seed).train(0, TRAIN))


@cache
def held_out(seed: int = 0) -> tuple[Question, ...]:
    return tuple(open_questions(PracticeConfig(), seed).test(TEST))


def phrasing_of(question: Question, phrasings: tuple[str, ...]) -> bool:
    """Whether one of the phrasings could have made the question's text."""
    patterns = (
        "".join(re.escape(literal) + (".+" if field else "") for literal, field, _, _ in string.Formatter().parse(text))
        for text in phrasings
    )
    return any(re.fullmatch(pattern, question.text) for pattern in patterns)


def number_of(option: str) -> float | None:
    """The number of an option such as `12.5 m/s`."""
    match = re.fullmatch(r"(-?[\d.]+)( \D*)?", option)
    return float(match[1]) if match else None


def test_families_cover_mmlu_pro() -> None:
    assert len(FAMILIES) >= 22
    assert len(BY_SOURCE) == len(FAMILIES)
    assert {family.category for family in FAMILIES} <= set(CATEGORIES)
    assert len({family.category for family in FAMILIES}) >= 11
    assert {question.source for question in train()} == {question.source for question in held_out()} == set(BY_SOURCE)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_phrasings_are_enough_and_apart(family: Family) -> None:
    assert len(set(family.seen)) >= 3
    assert len(set(family.new)) >= 2
    assert not set(family.seen) & set(family.new)
    fields = {frozenset(field for _, field, _, _ in string.Formatter().parse(text) if field) for text in family.seen}
    assert len(fields | {frozenset(f for _, f, _, _ in string.Formatter().parse(t) if f) for t in family.new}) == 1


def test_training_sees_no_new_phrasing() -> None:
    for question in train():
        family = BY_SOURCE[question.source]
        assert question.group == "seen"
        assert phrasing_of(question, family.seen)
        assert not phrasing_of(question, family.new)


def test_half_of_the_test_questions_have_new_phrasings() -> None:
    assert Counter(question.group for question in held_out()) == {"seen": TEST // 2, "new": TEST // 2}
    for question in held_out():
        family = BY_SOURCE[question.source]
        assert phrasing_of(question, family.new) == (question.group == "new")
        assert phrasing_of(question, family.seen) == (question.group == "seen")


def test_splits_stay_apart_whatever_the_seed() -> None:
    trained = {question.text for seed in (0, 1) for question in train(seed)}
    tested = {question.text for seed in (0, 1) for question in held_out(seed)}
    assert not trained & tested
    assert len({question.text for question in train()}) == TRAIN
    assert len({question.text for question in held_out()}) == TEST


def test_test_parameters_are_new_too() -> None:
    """Not only the text: no capital that is asked for in training is asked for in testing."""
    countries = [
        {question.text.rstrip("?.").split()[-1] for question in questions if question.source == "practice/capital_city"}
        for questions in (train(), [q for q in held_out() if q.group == "seen"])
    ]
    assert all(countries)
    assert not countries[0] & countries[1]


def test_slices_fit_together() -> None:
    whole = train()
    questions = open_questions(PracticeConfig(), 0)
    assert questions.train(700, 50) == list(whole[700:750])
    assert questions.train(0, 100) == list(whole[:100])
    assert questions.test(60) == list(held_out()[:60])
    assert len(questions.test(None)) == 400


def test_seeds_differ_and_families_take_turns() -> None:
    assert {question.id for question in train(0)} != {question.id for question in train(1)}
    first = train()[: len(FAMILIES)]
    assert {question.source for question in first} == set(BY_SOURCE)
    assert [question.source for question in first] != list(BY_SOURCE)


def test_one_id_is_one_question() -> None:
    known: dict[str, Question] = {}
    for question in itertools.chain(train(0), train(1), held_out(0), held_out(1)):
        assert known.setdefault(question.id, question) == question


def test_another_process_makes_the_same_questions() -> None:
    code = (
        "from spark_framework.questions import *; q = open_questions(PracticeConfig(), 5);"
        "print(q.fingerprint(), [(x.id, x.options, x.answer) for x in q.train(90, 40) + q.test(40)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert open_questions(PracticeConfig(), 5).fingerprint() in outputs.pop()


def test_fingerprint_follows_seed_and_settings() -> None:
    configs = [(PracticeConfig(), 0), (PracticeConfig(), 1), (PracticeConfig(families=("arithmetic",)), 0)]
    assert len({open_questions(config, seed).fingerprint() for config, seed in configs}) == 3


def test_exactly_one_option_is_right() -> None:
    for question in train() + held_out():
        assert question.answer is not None
        assert 4 <= len(question.options) <= 10
        assert len({option.casefold() for option in question.options}) == len(question.options)
        assert all(len(option) <= 60 for option in question.options)
        right = number_of(question.options[question.answer])
        for index, option in enumerate(question.options):
            other = number_of(option)
            if index != question.answer and right is not None and other is not None:
                assert abs(right - other) >= 0.012 * abs(right), (question.text, question.options)


def test_number_of_options_and_place_of_the_answer() -> None:
    counts = Counter(len(question.options) for question in train())
    assert 5.5 <= sum(size * count for size, count in counts.items()) / TRAIN <= 6.5
    assert counts[10] > TRAIN / 20
    for size in (4, 5, 6, 7):
        places = Counter(question.answer for question in train() if len(question.options) == size)
        expected = counts[size] / size
        assert all(abs(places[place] - expected) < 4 * expected**0.5 for place in range(size))


def test_the_answer_is_not_given_away_by_its_rank() -> None:
    """Nobody should score by always taking the smallest, the middle or the largest number."""
    ranks: Counter[float] = Counter()
    total = 0
    for question in train():
        numbers = [number_of(option) for option in question.options]
        if None in numbers or len(numbers) != 5:
            continue
        assert question.answer is not None
        ranks[sorted(numbers, key=lambda x: x or 0.0).index(numbers[question.answer])] += 1
        total += 1
    assert max(ranks.values()) < 0.35 * total


def test_plans_offer_several_tools() -> None:
    steps = [step for question in train() + held_out() for step in question.plan]
    for step in steps:
        actions = [call.action for call in step]
        assert len(set(actions)) == len(actions) >= 2
        assert set(actions) <= ACTIONS
        assert all(len(json.dumps(call.arguments)) <= 160 for call in step)
    assert sum(map(len, steps)) / len(steps) >= 2.5
    assert len({question.source for question in train() if len(question.plan) == 2}) >= 2


def test_every_action_is_viable_in_a_tenth_of_the_questions() -> None:
    viable = Counter(
        action for question in train() for action in {call.action for step in question.plan for call in step}
    )
    assert {action: count / TRAIN for action, count in viable.items() if count < TRAIN / 10} == {}
    assert set(viable) == ACTIONS


def test_families_can_be_chosen() -> None:
    questions = open_questions(PracticeConfig(families=("weekday", "arithmetic", "weekday")), 0)
    counts = Counter(question.source for question in questions.train(0, 20))
    assert counts == {"practice/weekday": 10, "practice/arithmetic": 10}
    with pytest.raises(ConfigError, match=r"'arithmetics'.*arithmetic"):
        open_questions(PracticeConfig(families=("arithmetics",)), 0)


def test_finite_families_run_out_with_an_error() -> None:
    questions = open_questions(PracticeConfig(families=("capital_city",)), 0)
    with pytest.raises(DataError, match="training split of practice"):
        questions.train(0, 5000)
    assert len(questions.train(0, 50)) == 50


def test_configs_are_told_apart_by_use() -> None:
    adapter: TypeAdapter[PracticeConfig | MmluProConfig] = TypeAdapter(QuestionsConfig)
    assert adapter.validate_python({"use": "practice"}) == PracticeConfig()
    assert adapter.validate_python({"use": "mmlu_pro", "test_fraction": 0.5}) == MmluProConfig(test_fraction=0.5)
    for wrong in ({"use": "gsm8k"}, {"use": "practice", "hub": "x"}, {"use": "mmlu_pro", "test_fraction": 1.0}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
