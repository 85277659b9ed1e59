"""Two decisions at each step of a rollout: which episodes answer now, and how the others continue."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from ..errors import ConfigError
from ..policy import EpisodeBatch
from ..records import ANSWER, Candidate, Step, Verdict
from ..util.decision_key import DecisionKey
from .environment import RolloutContext
from .types import RoundPlan


def answers_now(
    batch: EpisodeBatch, keys: Sequence[DecisionKey], probs: Sequence[Mapping[str, float]], context: RolloutContext,
    plan: RoundPlan,
) -> list[bool]:  # fmt: skip
    """Which episodes answer at this step. Each acts at least once; after the last step all of them answer.

    Args:
        keys: the decision of each episode; all have the same step.
        probs: for each episode the policy's distribution over all actions; {} if it is not known.
    """
    number = keys[0].step
    if number in (0, context.steps):
        return [number > 0] * len(keys)
    if not all(probs):
        actions = batch.act((*context.candidates, ANSWER), plan.sampling, [key.answer_seed() for key in keys])
        return [candidate.action == ANSWER for candidate in actions]
    if plan.sampling.temperature == 0:
        return [max(p, key=p.__getitem__) == ANSWER for p in probs]
    return [random.Random(key.answer_seed()).random() < p[ANSWER] for key, p in zip(keys, probs, strict=True)]


def select_steps(
    context: RolloutContext, plan: RoundPlan, key: DecisionKey, candidates: Sequence[Candidate], verdict: Verdict,
    usage: Mapping[str, int], probs: Mapping[str, float],
) -> list[Step]:  # fmt: skip
    """The selector's choice and, at the first step, the further branches.

    Args:
        usage: how often each action was chosen in the round so far.
        probs: the policy's distribution over all actions, from which further branches are drawn.

    Raises:
        ConfigError: the selector chose a candidate that does not exist.
    """
    assert context.selector is not None
    counts = {name: usage.get(name, 0) for name in context.candidates}
    rng = key.selection_rng()
    scores = verdict.scores
    first = context.selector.select(candidates, scores, threshold=context.threshold, usage=counts, rng=rng)
    if not 0 <= first < len(candidates):
        raise ConfigError(
            f"selector: {context.selector.name} chose {first} of {len(candidates)} candidates at {key.episode}"
        )
    viable = [i for i, score in enumerate(scores) if score > context.threshold]
    chosen = [first]
    if key.step == 0 and plan.branches > 1:
        pool = [i for i in (viable if plan.branch_among_viable else range(len(candidates))) if i != first]
        while pool and len(chosen) < plan.branches:
            weights = [probs.get(candidates[i].action, 1.0) ** 0.5 for i in pool]  # temperature 2
            chosen.append(pool.pop(rng.choices(range(len(pool)), weights)[0]))
    return [
        Step(
            candidates=tuple(candidates), verdict=verdict, chosen=i, none_viable=not viable, usage=counts,
            action_probs=dict(probs),
        )
        for i in chosen
    ]  # fmt: skip
