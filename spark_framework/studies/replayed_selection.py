"""What a selector would choose from other scores: with the run's usage counters, or with counters of its own."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..config.run import RunConfig, questions_per_wave
from ..contracts.components import Selector
from ..errors import ConfigError
from ..runs.decisions import JudgedDecision

Scores = Sequence[Sequence[float] | None]
"""For each state one score a candidate; None where the judge failed."""
Choices = list[int | None]


@dataclass(frozen=True)
class SelectionRule:
    """A selector with its threshold, with the run's config, which gives the seed and the batches of questions."""

    selector: Selector
    threshold: float
    config: RunConfig

    def choose(self, state: JudgedDecision, scores: Sequence[float], usage: Mapping[str, int]) -> int:
        """One candidate of a state, with the random draws of the run's own selector."""
        names = [candidate.action for candidate in state.step.candidates]
        rng = state.key(self.config.seed).selection_rng()
        chosen = self.selector.select(
            state.step.candidates, scores, threshold=self.threshold, usage={n: usage.get(n, 0) for n in names}, rng=rng
        )
        if not 0 <= chosen < len(names):
            raise ConfigError(f"selector: {self.selector.name} chose {chosen} of {len(names)} candidates")
        return chosen


def with_frozen_counters(rule: SelectionRule, states: Sequence[JudgedDecision], scores: Scores) -> Choices:
    """The choice in each state with the usage counts that the run had at that point: each state independently."""
    return [
        None if given is None else rule.choose(state, given, state.step.usage)
        for state, given in zip(states, scores, strict=True)
    ]


def with_own_counters(
    rule: SelectionRule, states: Sequence[JudgedDecision], scores: Scores, shuffle: random.Random | None = None
) -> Choices:
    """The choice in each state if every choice counts for the following ones, in the order of the rollouts.

    The states stay those of the run: what would have followed another choice is not known. Further branches of a first
    step count as they are stored, and so does a state without scores.

    Args:
        shuffle: takes the questions of each round in another order, drawn from it.
    """
    choices: Choices = [None] * len(states)
    usage: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for i in _in_turn(rule.config, states, shuffle):
        state, given = states[i], scores[i]
        names = [candidate.action for candidate in state.step.candidates]
        counts = usage[state.round_name]
        if given is not None:
            choices[i] = rule.choose(state, given, counts)
        counted = state.chosen if given is None else choices[i]
        counts.update(names[k] for k in (counted, *state.branched) if k is not None)
    return choices


def flipped(before: Choices, now: Choices) -> list[float]:
    """1 in a state with another choice, 0 with the same, nan where one of them is missing."""
    return [float("nan") if None in (a, b) else float(a != b) for a, b in zip(before, now, strict=True)]


def _in_turn(config: RunConfig, states: Sequence[JudgedDecision], shuffle: random.Random | None) -> list[int]:
    """The states in the order of the rollouts."""
    sizes = {one.name: questions_per_wave(config.judging, one) for one in config.rollouts}
    place = {state.cluster: state.index for state in states}
    if shuffle is not None:
        for name in sizes:
            clusters = sorted({state.cluster for state in states if state.round_name == name})
            places = [place[cluster] for cluster in clusters]
            shuffle.shuffle(places)
            place |= dict(zip(clusters, places, strict=True))

    def turn(i: int) -> tuple[str, int, int, int, int]:
        state = states[i]
        key = replace(state.key(config.seed), index=place[state.cluster])
        return key.turn(sizes[state.round_name])

    return sorted(range(len(states)), key=turn)
