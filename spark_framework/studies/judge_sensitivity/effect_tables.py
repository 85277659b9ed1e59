"""Tables of the judge-sensitivity study on what another judge would change: choices, rewards, mix of actions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...stats.agreement import over_states
from ...stats.arrays import Floats, Ints
from ...stats.intervals import EstimateWithInterval
from ...stats.tables import Cell, Table
from ..replayed_selection import flipped
from .comparison import JudgingPass, Measure, Pair, side_mean
from .data import StudyData, rho_of
from .figures import Bootstrap, exceeds_noise, mean_figures, mix_figures
from .pair_tables import MARK, pair_table

LEAST_ADVANTAGE = 1e-9
"""Below this an advantage has no sign."""


def selections(data: StudyData) -> Table:
    frozen = Measure("frozen", lambda x, y: np.array(flipped(x.frozen, y.frozen)), 1)
    columns: list[Sequence[Cell]] = [[row[0] for row in mean_figures(data.pairs, [frozen], data.by_state)]]
    columns += zip(*(_replayed(data, pair) for pair in data.pairs), strict=True)
    heads = ("other choice (frozen)", "other choice (replayed)", "order null", "beyond the order null")
    note = (
        f"{MARK} frozen: each state with the run's usage counters. replayed: with counters of its own, in the "
        "order of the rollouts. order null: the same judge, replayed with the questions in another order; that of "
        "the judge which it changes more. `replayed` has to lie beyond it, too."
    )
    return pair_table(data.pairs, "selections", f"Choices of {data.config.selector.name}", heads, columns, note)


def _replayed(data: StudyData, pair: Pair) -> tuple[EstimateWithInterval, EstimateWithInterval, EstimateWithInterval]:
    measure = Measure("replayed", lambda x, y: np.array(flipped(x.replayed, y.replayed)), 1)
    flips_S = side_mean(measure, pair)
    orders = [record.order_S for record in data.records if record.label in (pair.a, pair.b)]
    null_S = max(orders, key=lambda order_S: np.nan_to_num(over_states(order_S).mean, nan=-1.0))
    noises = [side_mean(measure, data.pairs[k]) for k in pair.noise]
    left = [flips_S - noise_S for noise_S in (null_S, *noises)]
    interval = data.by_state.mean(np.stack([flips_S, null_S, *left], axis=1))
    mark = None if pair.a == pair.b else exceeds_noise(interval.low[2:], interval.high[2:])
    return interval.at(0, beyond_noise=mark), interval.at(1), interval.at(2)


def rewards(data: StudyData) -> Table:
    bootstrap = Bootstrap([f"{t.round}/{t.index}" for t in data.trajectories], data.resamples)
    steps_E = np.array([len(t.steps) for t in data.trajectories])
    _, round_E = np.unique([t.round for t in data.trajectories], return_inverse=True)

    def shift(x: JudgingPass, y: JudgingPass) -> Floats:
        return np.asarray((y.returns_E - x.returns_E) / steps_E)

    measures = [
        Measure("shift", shift, 0),
        Measure("size of the shift", lambda x, y: np.abs(shift(x, y)), 1),
        Measure("advantage changes sign", lambda x, y: sign_flips(x.returns_E, y.returns_E, round_E), 1),
    ]
    columns = list(zip(*mean_figures(data.pairs, measures, bootstrap), strict=True))
    terms = [*data.config.reward.diversity, *data.config.reward.process]
    note = (
        f"{MARK} Reward of a step: {', '.join(term.name for term in terms)} with rho = {rho_of(data.config):g}. "
        "shift: b's mean step reward minus a's. advantage: a trajectory's summed reward minus the mean of its "
        "round under the same judge."
    )
    return pair_table(data.pairs, "rewards", "Rewards", [m.name for m in measures], columns, note)


def sign_flips(a_E: Floats, b_E: Floats, round_E: Ints) -> Floats:
    """1 where a trajectory's advantage is positive under one judge and negative under the other, else 0; nan where one
    of the returns is missing. The baseline is the mean of the round, over trajectories that both judged."""
    both_E = ~(np.isnan(a_E) | np.isnan(b_E))
    sign_2E = np.full((2, len(a_E)), np.nan)
    for k in np.unique(round_E[both_E]):
        here_E = both_E & (round_E == k)
        for sign_E, returns_E in zip(sign_2E, (a_E, b_E), strict=True):
            advantage = returns_E[here_E] - returns_E[here_E].mean()
            sign_E[here_E] = np.sign(np.where(np.abs(advantage) < LEAST_ADVANTAGE, 0.0, advantage))
    return np.where(both_E, (sign_2E[0] * sign_2E[1] < 0) * 1.0, np.nan)


def mix(data: StudyData) -> Table:
    groups = [f"{state.question.category}\n{state.number}" for state in data.states]
    _, group_S = np.unique(groups, return_inverse=True)
    columns = [mix_figures(data.pairs, weights, group_S, data.by_state) for weights in data.mixes.values()]
    note = (
        f"{MARK} Jensen-Shannon divergence in bits within category and step, of the best candidates (ties shared), "
        "the viable ones, and the choices with frozen counters. 0: the same mix."
    )
    return pair_table(data.pairs, "mix", "Mix of actions", [f"{name} (bits)" for name in data.mixes], columns, note)
