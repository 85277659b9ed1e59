"""Which candidate each selector takes."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from pydantic import ValidationError

from spark_framework.api import Candidate, Selector
from spark_plugin_selectors.least_used import LeastUsed
from spark_plugin_selectors.rarity_first import RarityFirst
from spark_plugin_selectors.softmax import Softmax
from spark_plugin_selectors.top_score import TopScore
from spark_plugin_selectors.uniform import Uniform

ALL = [RarityFirst, LeastUsed, TopScore, Softmax, Uniform]


def select(selector: Selector, scores: dict[str, float], usage: dict[str, int] | None = None, seed: int = 0) -> str:
    candidates = [Candidate(action=action, arguments={}) for action in scores]
    index = selector.select(
        candidates, list(scores.values()), threshold=6.0, usage=usage or {}, rng=random.Random(seed)
    )
    return candidates[index].action


def choices(selector: Selector, scores: dict[str, float], draws: int = 400) -> Counter[str]:
    return Counter(select(selector, scores, seed=seed) for seed in range(draws))


def test_rarity_first_takes_the_lowest_viable_score() -> None:
    assert select(RarityFirst(), {"a": 9, "b": 6.5, "c": 6.0, "d": 2}) == "b"  # 6.0 is not above 6.0


def test_rarity_first_ends_ties_by_usage_then_by_draw() -> None:
    scores = {"a": 7.0, "b": 7.0, "c": 7.0, "d": 9.0}
    assert select(RarityFirst(), scores, {"a": 3, "b": 1, "c": 2}) == "b"
    assert set(choices(RarityFirst(), scores)) == {"a", "b", "c"}
    assert select(RarityFirst(), scores, seed=5) == select(RarityFirst(), scores, seed=5)


@pytest.mark.parametrize("selector", [RarityFirst(), LeastUsed(), TopScore()])
def test_none_viable_takes_the_best_with_ties_by_usage(selector: Selector) -> None:
    assert select(selector, {"a": 3, "b": 5, "c": 4}) == "b"
    assert select(selector, {"a": 5, "b": 5, "c": 4}, {"a": 2}) == "b"


def test_least_used_takes_the_viable_action_used_least() -> None:
    scores = {"a": 7.0, "b": 9.0, "c": 8.0, "d": 1.0}
    assert select(LeastUsed(), scores, {"a": 4, "b": 2, "c": 2}) == "c"  # a tie of usage: the lower score


def test_top_score_takes_the_best() -> None:
    assert select(TopScore(), {"a": 7, "b": 9, "c": 8}) == "b"
    assert select(TopScore(), {"a": 9, "b": 9}, {"a": 1}) == "b"


def test_softmax_follows_its_temperature() -> None:
    scores = {"a": 7.0, "b": 10.0, "c": 6.0}
    cold = Softmax(Softmax.Config(temperature=0.01))
    assert choices(cold, scores) == {"b": 400}
    share = choices(Softmax(Softmax.Config(temperature=3.0)), scores, 4000)["b"] / 4000
    assert share == pytest.approx(2.71828 / 3.71828, abs=0.03)
    assert choices(cold, {"a": 3.0, "b": 5.0, "c": 4.9}) == {"b": 400}
    with pytest.raises(ValidationError):
        Softmax.Config(temperature=0)


def test_uniform_draws_evenly() -> None:
    scores = {"a": 7.0, "b": 10.0, "c": 1.0}
    counts = choices(Uniform(), scores, 2000)
    assert set(counts) == {"a", "b"}
    assert counts["a"] == pytest.approx(1000, abs=100)
    assert set(choices(Uniform(Uniform.Config(viable_only=False)), scores)) == {"a", "b", "c"}


@pytest.mark.parametrize("kind", ALL)
def test_one_candidate_is_taken(kind: type[Selector]) -> None:
    assert select(kind(), {"a": 0.0}) == "a"


@pytest.mark.parametrize("kind", ALL)
def test_each_module_offers_its_class(kind: type[Selector]) -> None:
    module = __import__(kind.__module__, fromlist=["spark_selectors"])
    assert module.spark_selectors() == [kind]
    assert kind.__module__ == f"spark_plugin_selectors.{kind.name}"
