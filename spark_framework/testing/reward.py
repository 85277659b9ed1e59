"""The contract of reward terms."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..contracts.components import RewardTerm
from ..records import Step, Trajectory
from .checks import require, short, static, within
from .component import ComponentContract
from .samples import sample_trajectories


class RewardTermContract(ComponentContract):
    """Inherit it and give the fixture `term`:

    class TestOutcome(RewardTermContract):
        @pytest.fixture
        def term(self):
            return Outcome()
    """

    kind = "reward"
    subject = "term"

    def trajectories(self) -> Iterator[tuple[str, Trajectory]]:
        """Named trajectories, from ordinary to minimal. Override it where the term needs what not all of them hold."""
        return sample_trajectories()

    @static
    def test_every_step_has_a_finite_value(self, spark_component: RewardTerm) -> None:
        for what, trajectory in self.trajectories():
            for number, step in enumerate(trajectory.steps):
                where = "the closing answer" if step.is_answer else f"step {number}"
                value: Any = self._value(spark_component, step, trajectory, f"{what}, {where}")
                require(
                    isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value),
                    f"{what}, {where}: value() returned {short(value)}; return a finite float, 0.0 where the term says "
                    "nothing",
                )

    @static
    def test_a_value_is_the_same_every_time(self, spark_component: RewardTerm) -> None:
        first = self._values(spark_component)
        require(self._values(spark_component) == first, "value() is not pure: it changes when it is called again")
        with self._fresh(spark_component) as other:
            require(self._values(other) == first, "a new instance gives other values: keep no state in the term")

    @static
    def test_the_order_of_asking_does_not_matter(self, spark_component: RewardTerm) -> None:
        forward = self._values(spark_component)
        require(
            self._values(spark_component, reverse=True) == forward,
            "values change when steps come in another order: let a value depend on its arguments alone",
        )

    @static
    def test_stored_trajectories_have_the_same_values(self, spark_component: RewardTerm) -> None:
        for what, trajectory in self.trajectories():
            stored = Trajectory.model_validate_json(trajectory.model_dump_json())
            for step, again in zip(trajectory.steps, stored.steps, strict=True):
                here = repr(self._value(spark_component, step, trajectory, what))
                there = repr(self._value(spark_component, again, stored, what))
                require(
                    here == there,
                    f"{what}: the value is {here} here and {there} for what was read from the file: compare with ==, "
                    "not with `is`",
                )

    @static
    def test_valuing_changes_no_trajectory(self, spark_component: RewardTerm) -> None:
        for what, trajectory in self.trajectories():
            before = trajectory.model_copy(deep=True)
            for step in trajectory.steps:
                self._value(spark_component, step, trajectory, what)
            require(trajectory == before, f"{what}: value() changes the trajectory: copy before you change anything")

    @static
    def test_eight_threads_get_the_values_of_one(self, spark_component: RewardTerm) -> None:
        alone = self._values(spark_component)
        with ThreadPoolExecutor(8) as threads:
            together = list(threads.map(lambda _: self._values(spark_component), range(16)))
        require(all(one == alone for one in together), "eight threads get other values: keep no state in the term")

    def _values(self, term: RewardTerm, reverse: bool = False) -> dict[tuple[str, int], str]:
        """All values as text, in which NaN equals itself: another check requires finite values."""
        calls = [
            (what, number, step, trajectory)
            for what, trajectory in self.trajectories()
            for number, step in enumerate(trajectory.steps)
        ]
        return {
            (what, number): repr(self._value(term, step, trajectory, what))
            for what, number, step, trajectory in (reversed(calls) if reverse else calls)
        }

    def _value(self, term: RewardTerm, step: Step, trajectory: Trajectory, what: str) -> float:
        try:
            return within(self.time_limit, "a value", lambda: term.value(step, trajectory))
        except (AssertionError, KeyboardInterrupt):
            raise
        except BaseException as exc:
            raise AssertionError(
                f"{what}: value() raised {type(exc).__name__}: {short(exc)}; return 0.0 where the term says nothing"
            ) from exc
