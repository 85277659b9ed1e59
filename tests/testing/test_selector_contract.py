"""SelectorContract: a good selector passes; every bad one is found by the check that is there for it."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from spark_framework.api import Candidate, ComponentConfig, Selector
from spark_framework.testing import ComponentContract, SelectorContract
from tests.testing.failing import Faults, assert_found, checks_of, failures

FAULTS = Faults()


class Best(Selector):
    """Takes the best candidate; ties by a draw."""

    name = "best"

    def select(
        self,
        candidates: Sequence[Candidate],
        scores: Sequence[float],
        *,
        threshold: float,
        usage: Mapping[str, int],
        rng: random.Random,
    ) -> int:
        return rng.choice([k for k, score in enumerate(scores) if score == max(scores)])


@FAULTS.found_by("one_of_the_candidates_is_chosen", says="select() returned 2; return the index of one of the 2")
class Beyond(Best):
    """Counts from one where there are two."""

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        if len(scores) == 2:
            return len(scores)
        return super().select(candidates, scores, threshold=threshold, usage=usage, rng=rng)


@FAULTS.found_by("one_of_the_candidates_is_chosen", says="select() returned '4'")
class Textual(Best):
    """Writes the index as text."""

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> Any:
        k = super().select(candidates, scores, threshold=threshold, usage=usage, rng=rng)
        return str(k) if "no_such_action" in usage else k


@FAULTS.found_by("one_of_the_candidates_is_chosen", says="select() raised KeyError")
class KnowsAll(Best):
    """Thinks that every action was used before."""

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        if usage and len(scores) == 2:
            usage["python"]
        return super().select(candidates, scores, threshold=threshold, usage=usage, rng=rng)


@FAULTS.found_by("a_viable_candidate_is_chosen_where_there_is_one", says="a candidate with the score 0 was chosen")
class Worst(Best):
    """Takes the worst candidate."""

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        return min(range(len(scores)), key=scores.__getitem__)


@FAULTS.found_by("a_choice_belongs_to_a_candidate_and_not_to_its_place", says="in reverse order another candidate")
class First(Best):
    """Takes the first viable candidate."""

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        return next((k for k, score in enumerate(scores) if score > threshold), 0)


@FAULTS.found_by("a_candidate_may_be_there_twice", says="select() raised KeyError")
class ByName(Best):
    """Takes every action to be there once."""

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        if len({candidate.action for candidate in candidates}) < len(candidates):
            raise KeyError("two candidates for one action")
        return super().select(candidates, scores, threshold=threshold, usage=usage, rng=rng)


@FAULTS.found_by(
    "the_same_draw_gives_the_same_choice", "a_new_instance_chooses_alike", says="draw from `rng`, keep no state"
)
class DrawsElsewhere(Best):
    """Draws from the generator of the module."""

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        return super().select(candidates, scores, threshold=threshold, usage=usage, rng=random)  # type: ignore[arg-type]


@FAULTS.found_by("a_new_instance_chooses_alike", says="a new instance chooses differently")
class KnowsItself(Best):
    """Every instance has its own favourite."""

    made = 0

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        KnowsItself.made += 1
        self.number = KnowsItself.made

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        best = [k for k, score in enumerate(scores) if score == max(scores)]
        return best[self.number % len(best)]


@FAULTS.found_by("choosing_changes_no_argument", says="copy before you sort or count")
class Counts(Best):
    """Counts in what it was given."""

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        k = super().select(candidates, scores, threshold=threshold, usage=usage, rng=rng)
        usage[candidates[k].action] = 1 + usage.get(candidates[k].action, 0)
        return k


@FAULTS.found_by("tuples_are_taken_too", says="select() raised AttributeError")
class WantsLists(Best):
    """Copies candidates as only lists can be."""

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        return super().select(candidates.copy(), scores, threshold=threshold, usage=usage, rng=rng)


@FAULTS.found_by("any_threshold_is_taken", says="select() raised IndexError")
class WantsViable(Best):
    """Takes it that a threshold is 6."""

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        if threshold == 10.0:
            raise IndexError("nobody is viable")
        return super().select(candidates, scores, threshold=threshold, usage=usage, rng=rng)


@FAULTS.found_by("eight_threads_choose_alike", says="keep no state in the selector")
class Shared(Best):
    """Keeps in itself what belongs to the call."""

    busy = 0

    def select(self, candidates: Any, scores: Any, *, threshold: float, usage: Any, rng: random.Random) -> int:
        self.busy += 1
        time.sleep(0.0005)
        together, self.busy = self.busy, 0
        return super().select(candidates, scores, threshold=threshold, usage=usage, rng=rng) - (together > 1)


class TestBest(SelectorContract):
    has_entry_point = False

    @pytest.fixture
    def selector(self) -> Selector:
        return Best()


@FAULTS.each()
def test_a_bad_selector_is_found(fault):
    assert_found(fault, SelectorContract)


def test_every_check_of_selectors_has_found_a_fault():
    own = set(checks_of(SelectorContract)) - set(checks_of(ComponentContract))
    assert FAULTS.checks() == own - {"the_same_draw_gives_the_same_choice"}  # other checks notice that too


def test_what_is_meant_can_be_declared():
    assert failures(SelectorContract, Worst(), takes_unviable=True) == {}
    assert failures(SelectorContract, First(), order_matters=True) == {}
