"""RewardTermContract: a good term passes; every bad one is found by the check that is there for it."""

from __future__ import annotations

import itertools
import sys
import time

import pytest

from spark_framework.api import ComponentConfig, RewardTerm, Step, Trajectory
from spark_framework.testing import ComponentContract, RewardTermContract
from tests.testing.failing import Faults, assert_found, checks_of

FAULTS = Faults()


class Sound(RewardTerm):
    """1 for a step whose call succeeded."""

    name = "sound"

    def value(self, step: Step, trajectory: Trajectory) -> float:
        return 1.0 if step.candidate.ok else 0.0


@FAULTS.found_by("every_step_has_a_finite_value", says="the closing answer: value() returned nan")
class NotANumber(Sound):
    """0 / 0 for the closing answer."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        return float("inf") - float("inf") if step.is_answer else super().value(step, trajectory)


@FAULTS.found_by("every_step_has_a_finite_value", says="value() returned inf")
class Boundless(Sound):
    """Infinity for a step in which all scores are 0."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        scores = step.verdict.scores if step.verdict else (1.0,)
        return 1.0 if max(scores) else float("inf")


@FAULTS.found_by("every_step_has_a_finite_value", says="value() returned None")
class Shrugs(Sound):
    """Nothing where it knows nothing."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        return None if step.is_answer else 1.0  # type: ignore[return-value]


@FAULTS.found_by("every_step_has_a_finite_value", says="value() returned True")
class Agrees(Sound):
    """A truth value."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        return bool(step.candidate.ok)


@FAULTS.found_by("a_value_is_the_same_every_time", says="a new instance gives other values")
class KnowsItself(Sound):
    """Every instance has its own."""

    made = itertools.count()

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self.number = next(self.made)

    def value(self, step: Step, trajectory: Trajectory) -> float:
        return float(self.number)


@FAULTS.found_by("the_order_of_asking_does_not_matter", says="values change when steps come in another order")
class Follows(Sound):
    """1 where the step that comes next was asked before."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self.asked: list[Step] = []

    def value(self, step: Step, trajectory: Trajectory) -> float:
        self.asked.append(step)
        following = next((later for one, later in itertools.pairwise(trajectory.steps) if one is step), None)
        return float(following is not step and any(following is before for before in self.asked))


@FAULTS.found_by("stored_trajectories_have_the_same_values", says="compare with ==, not with `is`")
class Identical(Sound):
    """Compares texts by identity, which those of a file do not have."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        return float(step.candidate.action is sys.intern(step.candidate.action))


@FAULTS.found_by("valuing_changes_no_trajectory", says="copy before you change anything")
class Clears(Sound):
    """Throws away what it has read."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        step.action_probs.clear()
        return super().value(step, trajectory)


@FAULTS.found_by("eight_threads_get_the_values_of_one", says="keep no state in the term")
class Shared(Sound):
    """Keeps in itself what belongs to the call."""

    busy = 0

    def value(self, step: Step, trajectory: Trajectory) -> float:
        self.busy += 1
        time.sleep(0.0002)
        together, self.busy = self.busy, 0
        return float(together)


class TestSound(RewardTermContract):
    has_entry_point = False

    @pytest.fixture
    def term(self) -> RewardTerm:
        return Sound()


@FAULTS.each()
def test_a_bad_term_is_found(fault):
    assert_found(fault, RewardTermContract)


def test_every_check_of_reward_terms_has_found_a_fault():
    assert FAULTS.checks() == set(checks_of(RewardTermContract)) - set(checks_of(ComponentContract))


def test_a_term_that_raises_is_found_in_words():
    class Raises(Sound):
        def value(self, step: Step, trajectory: Trajectory) -> float:
            return max(step.verdict.scores)  # type: ignore[union-attr]

    contract = RewardTermContract()
    with pytest.raises(AssertionError, match=r"value\(\) raised AttributeError.*; return 0\.0 where the term says no"):
        contract.test_every_step_has_a_finite_value(Raises())
