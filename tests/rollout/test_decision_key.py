"""One key names a decision: its seeds and its turn are the same for rollouts and for studies."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from spark_framework.policy import Sampling
from spark_framework.rollout.engine import run_batch
from spark_framework.rollout.types import RoundPlan
from spark_framework.util.decision_key import DecisionKey
from spark_plugin_selectors.uniform import Uniform
from tests.rollout.puppet import Puppet, questions, rollout_context

KEY = DecisionKey(seed=7, round_name="explore", index=3, branch=1, step=2)


def test_seeds_are_those_of_stored_runs() -> None:
    """Stored runs are continued and replayed with these numbers: they must not change."""
    assert KEY.proposal_seed() == 670879058373
    assert KEY.answer_seed() == 5434901367686283453
    assert (KEY.judge_seed(), KEY.judge_seed(4)) == (8322638957298858678, 8487756820024681497)
    assert KEY.selection_rng().random() == 0.5965700895894585
    assert KEY.evaluation_seed() == 1083476085067


def test_decisions_are_taken_in_the_order_of_their_turns() -> None:
    """Two batches of a round, with branches: each selection finds its own draws, and comes in its turn."""
    drawn: list[float] = []

    class Watched(Uniform):
        def select(self, *args: Any, rng: random.Random, **kwargs: Any) -> int:
            drawn.append(_peek(rng))
            return super().select(*args, rng=rng, **kwargs)

    context = rollout_context({"ash": 7.0, "birch": 8.0}, steps=3, selector=Watched(Watched.Config()))
    plan = RoundPlan("r", Sampling(0.0, 8), branches=2)
    usage, keys = Counter[str](), []
    for first in (0, 3):
        asked = dict(enumerate(questions(3), first))
        for one in run_batch(asked, Puppet({"q1": 1}), context, plan, usage).trajectories:
            numbers = range(0 if one.branch == 0 else 1, len(one.steps) - 1)  # branches share their first decision
            keys += [DecisionKey(context.seed, "r", one.index, one.branch, number) for number in numbers]
    in_turn = sorted(keys, key=lambda key: key.turn(3))
    assert drawn == [key.selection_rng().random() for key in in_turn]


def _peek(rng: random.Random) -> float:
    """The next draw, which the generator makes again."""
    again = random.Random()
    again.setstate(rng.getstate())
    return again.random()
