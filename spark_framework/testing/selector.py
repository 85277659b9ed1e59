"""The contract of selectors."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from ..contracts.components import Selector
from .checks import require, short, static, within
from .component import ComponentContract
from .samples import ACTIONS, sample_candidate

THRESHOLD = 6.0
SITUATIONS: dict[str, tuple[float, ...]] = {
    "all viable": (9, 8, 7, 6.5, 10, 9.5, 7.5, 6.1, 8.5),
    "some viable": (9, 7, 2, 6.5, 0, 10, 6, 5.5, 8),
    "none viable": (1, 5, 3, 6, 0, 2, 6, 4, 5.5),
    "all equal": (7,) * 9,
    "all equal and none viable": (0,) * 9,
    "two candidates": (6.0, 6.0),
    "one viable candidate": (8,),
    "one candidate that is not viable": (1,),
}
USAGES: dict[str, dict[str, int]] = {
    "nothing used yet": {},
    "some used": {"calculator": 40, "python": 3, "think": 7},
    "all used alike": dict.fromkeys(ACTIONS, 5),
    "another action used": {"no_such_action": 9, "answer": 100},
}


class SelectorContract(ComponentContract):
    """Inherit it and give the fixture `selector`:

    class TestRarityFirst(SelectorContract):
        @pytest.fixture
        def selector(self):
            return RarityFirst()
    """

    kind = "selector"
    subject = "selector"
    takes_unviable: ClassVar[bool] = False
    """True if a candidate that is not viable may be chosen although another is viable."""
    order_matters: ClassVar[bool] = False
    """True if a choice that is not random may depend on a candidate's place among the others."""

    @static
    def test_one_of_the_candidates_is_chosen(self, spark_component: Selector) -> None:
        for what, scores in SITUATIONS.items():
            for used, usage in USAGES.items():
                for seed in range(8):
                    index = self._chosen(spark_component, scores, usage, seed)
                    require(
                        _is_index(index, scores),
                        f"{what}, {used}: select() returned {short(index)}; return the index of one of the "
                        f"{len(scores)} candidates as an int",
                    )

    def test_a_viable_candidate_is_chosen_where_there_is_one(self, spark_component: Selector) -> None:
        if self.takes_unviable:
            return
        for what, scores in SITUATIONS.items():
            if max(scores) <= THRESHOLD:
                continue
            for used, usage in USAGES.items():
                for seed in range(8):
                    index = self._chosen(spark_component, scores, usage, seed)
                    score = scores[index] if _is_index(index, scores) else max(scores)
                    require(
                        score > THRESHOLD,
                        f"{what}, {used}: a candidate with the score {score} was chosen, and others are above the "
                        f"threshold {THRESHOLD}: choose among those, or set takes_unviable = True",
                    )

    def test_a_choice_belongs_to_a_candidate_and_not_to_its_place(self, spark_component: Selector) -> None:
        if self.order_matters:
            return
        for what in ("all viable", "some viable"):
            scores = SITUATIONS[what]
            candidates = [sample_candidate(action, k) for k, action in enumerate(ACTIONS)]
            for used, usage in USAGES.items():
                chosen = {self._chosen(spark_component, scores, usage, seed) for seed in range(16)}
                index = chosen.pop()
                if chosen or not _is_index(index, scores):  # it was drawn at random, and may differ
                    continue
                turned = self._select(spark_component, candidates[::-1], scores[::-1], usage=usage)
                require(
                    turned == len(scores) - 1 - index,
                    f"{what}, {used}: in reverse order another candidate is chosen: decide by score and usage, end "
                    "ties with a draw from `rng`, or set order_matters = True",
                )

    @static
    def test_a_candidate_may_be_there_twice(self, spark_component: Selector) -> None:
        candidates = [sample_candidate("calculator", k) for k in range(4)]
        index = self._select(spark_component, candidates, [7.0, 8.0, 7.0, 9.0], usage={"calculator": 1})
        require(0 <= index < 4, f"with one action four times select() returned {index}: choose by index, not by name")

    @static
    def test_the_same_draw_gives_the_same_choice(self, spark_component: Selector) -> None:
        for what, scores in SITUATIONS.items():
            first = [self._chosen(spark_component, scores, USAGES["some used"], seed) for seed in range(8)]
            random.seed(len(what))  # must not change the result
            again = [self._chosen(spark_component, scores, USAGES["some used"], seed) for seed in range(8)]
            require(first == again, f"{what}: the same arguments give another choice: draw from `rng`, keep no state")

    @static
    def test_a_new_instance_chooses_alike(self, spark_component: Selector) -> None:
        with self._fresh(spark_component) as other:
            for what, scores in SITUATIONS.items():
                here = [self._chosen(spark_component, scores, {}, seed) for seed in range(8)]
                there = [self._chosen(other, scores, {}, seed) for seed in range(8)]
                require(here == there, f"{what}: a new instance chooses differently: keep no state")

    @static
    def test_choosing_changes_no_argument(self, spark_component: Selector) -> None:
        candidates = [sample_candidate(action, k) for k, action in enumerate(ACTIONS)]
        scores, usage = list(SITUATIONS["some viable"]), dict(USAGES["some used"])
        before = copy.deepcopy((candidates, scores, usage))
        self._select(spark_component, candidates, scores, usage=usage)
        require((candidates, scores, usage) == before, "select() changes its arguments: copy before you sort or count")

    @static
    def test_tuples_are_taken_too(self, spark_component: Selector) -> None:
        scores = SITUATIONS["some viable"]
        candidates = tuple(sample_candidate(action, k) for k, action in enumerate(ACTIONS))
        self._select(spark_component, candidates, tuple(scores), usage={})

    @static
    def test_any_threshold_is_taken(self, spark_component: Selector) -> None:
        candidates = [sample_candidate(action, k) for k, action in enumerate(ACTIONS)]
        for threshold in (0.0, 6.0, 10.0):
            index = self._select(spark_component, candidates, SITUATIONS["some viable"], usage={}, threshold=threshold)
            require(0 <= index < len(candidates), f"with the threshold {threshold} select() returned {index}")

    @static
    def test_eight_threads_choose_alike(self, spark_component: Selector) -> None:
        scores = SITUATIONS["all viable"]
        alone = [self._chosen(spark_component, scores, {}, seed) for seed in range(64)]
        with ThreadPoolExecutor(8) as threads:
            together = list(threads.map(lambda seed: self._chosen(spark_component, scores, {}, seed), range(64)))
        require(alone == together, "eight threads choose differently: keep no state in the selector")

    def _chosen(self, selector: Selector, scores: Sequence[float], usage: Mapping[str, int], seed: int) -> int:
        candidates = [sample_candidate(action, k) for k, action in enumerate(ACTIONS[: len(scores)])]
        return self._select(selector, candidates, scores, usage=usage, seed=seed)

    def _select(
        self,
        selector: Selector,
        candidates: Sequence[Any],
        scores: Sequence[float],
        *,
        usage: Mapping[str, int],
        threshold: float = THRESHOLD,
        seed: int = 0,
    ) -> int:
        def work() -> int:
            return selector.select(candidates, scores, threshold=threshold, usage=usage, rng=random.Random(seed))

        try:
            return within(self.time_limit, "a choice", work)
        except (AssertionError, KeyboardInterrupt):
            raise
        except BaseException as exc:
            raise AssertionError(
                f"select() raised {type(exc).__name__}: {short(exc)} for the scores {short(scores)}, threshold "
                f"{threshold}, usage {short(usage)}: choose one, there is always a candidate"
            ) from exc


def _is_index(index: Any, scores: Sequence[float]) -> bool:
    return isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(scores)
