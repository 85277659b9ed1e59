"""The tables and the summary of the judge-sensitivity study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...config.run import RunConfig
from ...judging.cache import JudgeStore
from ...records import Trajectory
from ...runs.decisions import JudgedDecision
from ...runs.run_dir import RunFolder
from ...stats.agreement import icc, kendall, krippendorff_alpha, over_states, score_profile, spearman
from ...stats.arrays import Floats, Ints
from ...stats.entropy import entropy, position_slope, position_terms
from ...stats.intervals import EstimateWithInterval
from ...stats.tables import Cell, Table
from ...stats.viability import (
    empty_viable,
    leniency_matched_threshold,
    near_threshold,
    top1_agreement,
    top_shares,
    viable_overlap,
)
from ..replayed_selection import Choices, flipped
from .comparison import (
    POOLED,
    Bootstrap,
    JudgeRecord,
    JudgingPass,
    Measure,
    Pair,
    exceeds_noise,
    mean_figures,
    mix_figures,
    pairs_of,
    pooled_figures,
    side_mean,
)

CURVE = np.arange(3.0, 9.01, 0.5)
"""Thresholds of the curve."""
LEAST_ADVANTAGE = 1e-9
"""Below this an advantage has no sign."""
MARK = (
    "A judge beside itself is its noise: asked again, in another order. ≈ marks a figure that is not clearly (95 %) "
    "beyond the noise of both judges."
)


@dataclass(frozen=True)
class StudyData:
    """Everything that the tables are made of."""

    folder: RunFolder
    states: Sequence[JudgedDecision]
    trajectories: Sequence[Trajectory]
    """Those that the states come from."""
    records: tuple[JudgeRecord, ...]
    own: str
    """Label of the run's own verdicts."""


def rho_of(config: RunConfig) -> float:
    """The weight of the diversity terms: that of the first stage that has one, else one half."""
    return next((float(s.config.rho) for s in config.stages.values() if hasattr(s.config, "rho")), 0.5)


class StudyTables:
    """Computes the tables; what several of them need is computed once."""

    def __init__(self, data: StudyData, resamples: int) -> None:
        self.data, self.resamples = data, resamples
        self.states, self.records = data.states, data.records
        self.config = data.folder.config
        self.threshold = self.config.threshold
        self.pairs = pairs_of(data.records)
        self.by_state = Bootstrap([state.cluster for state in self.states], resamples)
        self.actions = list(dict.fromkeys(c.action for state in self.states for c in state.step.candidates))

    def tables(self) -> dict[str, Table]:
        """All tables by name."""
        made = [
            self.judges, self.scores, self.decisions, self.thresholds, self.selections, self.rewards, self.mix,
            self.histogram, self.mix_by_category, self.missing, self.cost,
        ]  # fmt: skip
        return {table.name: table for table in made}

    # -- one judge at a time ---------------------------------------------------------------------------------------

    @cached_property
    def judges(self) -> Table:
        heads = (
            "label", "judge", "asked", "missing", "mean score", "sd", "entropy of scores (bits)", "viable",
            "none viable", "process_ok", "noise (points)", "picks near the threshold", "points a place",
            "entropy of picks (bits)",
        )  # fmt: skip
        note = (
            "asked: how often, each time in another order. missing: states without a verdict. viable: candidates above "
            f"{self.threshold:g} in a state. noise: standard deviation of a score when the judge is asked again. picks "
            "near the threshold: share of picks whose score lies within the noise of it. points a place: what a "
            "candidate gains by being shown one place further down."
        )
        return Table("judges", "Judges", heads, tuple(map(self._judge_row, self.records)), note)

    def _judge_row(self, record: JudgeRecord) -> tuple[Cell, ...]:
        judging_pass = record.passes[0]
        profile = score_profile(judging_pass.scores_SC)
        judged_S = ~np.isnan(judging_pass.scores_SC).all(axis=1)
        viable_S = np.where(judged_S, (judging_pass.scores_SC > self.threshold).sum(axis=1), np.nan)
        picked_S = np.array(
            [
                np.nan if k is None else row[k]
                for k, row in zip(judging_pass.frozen, judging_pass.scores_SC, strict=True)
            ]
        )
        near_S = (
            near_threshold(picked_S, record.noise, self.threshold) if not np.isnan(record.noise) else picked_S * np.nan
        )
        ok = judging_pass.ok_SC[~np.isnan(judging_pass.ok_SC)]
        shares = self.by_state.mean(np.stack([empty_viable(judging_pass.scores_SC, self.threshold), near_S], axis=1))
        terms_S2 = position_terms(self._scores_with_places(record), record.stacked("place_SC"))
        picks = self.by_state.sums(self._picks(judging_pass.frozen), entropy)
        return (
            record.label, f"{record.judge}{' (reads the answers)' if record.oracle else ''}", len(record.passes),
            int((~judged_S).sum()), profile.mean, profile.sd, profile.entropy, over_states(viable_S).mean,
            shares.at(0), float(ok.mean()) if len(ok) else None, record.noise, shares.at(1),
            self.by_state.sums(np.nan_to_num(terms_S2), position_slope).at(), picks.at(),
        )  # fmt: skip

    @staticmethod
    def _scores_with_places(record: JudgeRecord) -> Floats:
        return np.where(np.isnan(record.stacked("place_SC")), np.nan, record.stacked("scores_SC"))

    @cached_property
    def histogram(self) -> Table:
        counts = [score_profile(record.passes[0].scores_SC).histogram for record in self.records]
        rows = tuple((level, *(int(c[level]) for c in counts)) for level in range(len(counts[0])))
        return Table("histogram", "Scores at each level", ("score", *(v.label for v in self.records)), rows)

    # -- two judges at a time --------------------------------------------------------------------------------------

    @cached_property
    def _pooled(self) -> list[list[EstimateWithInterval]]:
        return pooled_figures(self.pairs, self.by_state)

    def _table(
        self, name: str, title: str, heads: Sequence[str], columns: Sequence[Sequence[Cell]], note: str
    ) -> Table:
        """One row a pair."""
        rows = tuple(
            (pair.a, pair.b, *cells) for pair, cells in zip(self.pairs, zip(*columns, strict=True), strict=True)
        )
        return Table(name, title, ("a", "b", *heads), rows, note)

    @cached_property
    def scores(self) -> Table:
        measures = [
            Measure("Spearman", lambda x, y: spearman(x.scores_SC, y.scores_SC), -1),
            Measure("Kendall tau-b", lambda x, y: kendall(x.scores_SC, y.scores_SC), -1),
        ]
        ranks = list(zip(*mean_figures(self.pairs, measures, self.by_state), strict=True))
        tied = [self._undefined(measures[0], pair) for pair in self.pairs]
        pooled = list(zip(*self._pooled, strict=True))[:5]
        heads = (*(m.name for m in measures), "all tied", *POOLED[:5])
        together = np.stack([record.passes[0].scores_SC for record in self.records], axis=1)
        note = (
            f"{MARK} all tied: share of states in which one of the two scores all candidates alike, so that ranks say "
            f"nothing. All {len(self.records)} judges together: alpha {krippendorff_alpha(together):.3f} (interval), "
            f"{krippendorff_alpha(together, 'ordinal'):.3f} (ordinal); ICC {icc(together).agreement:.3f} (agreement), "
            f"{icc(together).consistency:.3f} (consistency)."
        )
        return self._table("scores", "Agreement on scores", heads, [*ranks, tied, *pooled], note)

    def _undefined(self, measure: Measure, pair: Pair) -> float:
        return over_states(np.concatenate([measure.of(x, y) for x, y in pair.sides])).undefined

    @cached_property
    def decisions(self) -> Table:
        t = self.threshold

        def matched(x: JudgingPass, y: JudgingPass) -> float:
            return leniency_matched_threshold(x.scores_SC, y.scores_SC, t).threshold

        measures = [
            Measure("same best", lambda x, y: top1_agreement(x.scores_SC, y.scores_SC), -1),
            _overlap("jaccard", t),
            Measure(
                "Jaccard (leniency matched)",
                lambda x, y: viable_overlap(x.scores_SC, y.scores_SC, t, matched(x, y)).jaccard,
                -1,
            ),
        ]
        columns: list[Sequence[Cell]] = list(zip(*mean_figures(self.pairs, measures, self.by_state), strict=True))
        columns += [[matched(*pair.sides[0]) for pair in self.pairs], [row[5] for row in self._pooled]]
        heads = (*(m.name for m in measures), "matched threshold of b", POOLED[5])
        note = (
            f"{MARK} same best: chance that both pick the same best candidate, ties broken evenly. leniency matched: "
            "b's threshold is the one at which it finds as many candidates viable as a does."
        )
        return self._table("decisions", "Agreement on decisions", heads, columns, note)

    @cached_property
    def thresholds(self) -> Table:
        jaccard, empty = ([_overlap(name, float(t)) for t in CURVE] for name in ("jaccard", "both_empty"))
        overlaps = mean_figures(self.pairs, jaccard, self.by_state)
        nothing = mean_figures(self.pairs, empty, self.by_state)
        rows = tuple(
            (pair.a, pair.b, float(t), overlaps[p][k], nothing[p][k].value)
            for p, pair in enumerate(self.pairs)
            for k, t in enumerate(CURVE)
        )
        heads = ("a", "b", "threshold", "viable Jaccard", "both without viable candidates")
        return Table("thresholds", "Viable sets over thresholds", heads, rows, MARK)

    @cached_property
    def selections(self) -> Table:
        frozen = Measure("frozen", lambda x, y: np.array(flipped(x.frozen, y.frozen)), 1)
        columns: list[Sequence[Cell]] = [[row[0] for row in mean_figures(self.pairs, [frozen], self.by_state)]]
        columns += zip(*map(self._replayed, self.pairs), strict=True)
        heads = ("other choice (frozen)", "other choice (replayed)", "order null", "beyond the order null")
        note = (
            f"{MARK} frozen: each state with the run's usage counters. replayed: with counters of its own, in the "
            "order of the rollouts. order null: the same judge, replayed with the questions in another order; that of "
            "the judge which it changes more. `replayed` has to lie beyond it, too."
        )
        return self._table("selections", f"Choices of {self.config.selector.name}", heads, columns, note)

    def _replayed(self, pair: Pair) -> tuple[EstimateWithInterval, EstimateWithInterval, EstimateWithInterval]:
        measure = Measure("replayed", lambda x, y: np.array(flipped(x.replayed, y.replayed)), 1)
        flips_S = side_mean(measure, pair)
        orders = [record.order_S for record in self.records if record.label in (pair.a, pair.b)]
        null_S = max(orders, key=lambda order_S: np.nan_to_num(over_states(order_S).mean, nan=-1.0))
        noises = [side_mean(measure, self.pairs[k]) for k in pair.noise]
        left = [flips_S - noise_S for noise_S in (null_S, *noises)]
        interval = self.by_state.mean(np.stack([flips_S, null_S, *left], axis=1))
        mark = None if pair.a == pair.b else exceeds_noise(interval.low[2:], interval.high[2:])
        return interval.at(0, beyond_noise=mark), interval.at(1), interval.at(2)

    @cached_property
    def rewards(self) -> Table:
        trajectories = self.data.trajectories
        bootstrap = Bootstrap([f"{t.round}/{t.index}" for t in trajectories], self.resamples)
        steps_E = np.array([len(t.steps) for t in trajectories])
        _, round_E = np.unique([t.round for t in trajectories], return_inverse=True)

        def shift(x: JudgingPass, y: JudgingPass) -> Floats:
            return np.asarray((y.returns_E - x.returns_E) / steps_E)

        measures = [
            Measure("shift", shift, 0),
            Measure("size of the shift", lambda x, y: np.abs(shift(x, y)), 1),
            Measure("advantage changes sign", lambda x, y: sign_flips(x.returns_E, y.returns_E, round_E), 1),
        ]
        columns = list(zip(*mean_figures(self.pairs, measures, bootstrap), strict=True))
        terms = [*self.config.reward.diversity, *self.config.reward.process]
        note = (
            f"{MARK} Reward of a step: {', '.join(term.name for term in terms)} with rho = {rho_of(self.config):g}. "
            "shift: b's mean step reward minus a's. advantage: a trajectory's summed reward minus the mean of its "
            "round under the same judge."
        )
        return self._table("rewards", "Rewards", [m.name for m in measures], columns, note)

    # -- which actions ---------------------------------------------------------------------------------------------

    def _by_action(self, weights_SC: Floats) -> Floats:
        """Columns of candidates to columns of actions."""
        column = {action: a for a, action in enumerate(self.actions)}
        rows_SA = np.zeros((len(self.states), len(self.actions)))
        for i, state in enumerate(self.states):
            for k, candidate in enumerate(state.step.candidates):
                rows_SA[i, column[candidate.action]] += np.nan_to_num(weights_SC[i, k])
        return rows_SA

    def _picks(self, chosen: Choices) -> Floats:
        width = self.records[0].passes[0].width
        rows = [np.eye(width)[k] if k is not None else np.zeros(width) for k in chosen]
        return self._by_action(np.stack(rows))

    @cached_property
    def _mixes(self) -> dict[str, Callable[[JudgingPass], Floats]]:
        """What a mix of actions may be taken of, one row a state and one column an action."""
        return {
            "best": lambda judging_pass: self._by_action(top_shares(judging_pass.scores_SC)),
            "viable": lambda judging_pass: self._by_action((judging_pass.scores_SC > self.threshold) * 1.0),
            "picked": lambda judging_pass: self._picks(judging_pass.frozen),
        }

    @cached_property
    def mix(self) -> Table:
        groups = [f"{state.question.category}\n{state.number}" for state in self.states]
        _, group_S = np.unique(groups, return_inverse=True)
        columns = [mix_figures(self.pairs, weights, group_S, self.by_state) for weights in self._mixes.values()]
        note = (
            f"{MARK} Jensen-Shannon divergence in bits within category and step, of the best candidates (ties shared), "
            "the viable ones, and the choices with frozen counters. 0: the same mix."
        )
        return self._table("mix", "Mix of actions", [f"{name} (bits)" for name in self._mixes], columns, note)

    @cached_property
    def mix_by_category(self) -> Table:
        categories = np.array([state.question.category for state in self.states])
        rows: list[tuple[Cell, ...]] = []
        for record in self.records:
            weights = [of(record.passes[0]) for of in self._mixes.values()]
            for category in sorted(set(categories)):
                sums = [w[categories == category].sum(axis=0) for w in weights]
                rows += [
                    (record.label, str(category), action, *(float(s[a] / s.sum()) if s.sum() else None for s in sums))
                    for a, action in enumerate(self.actions)
                ]
        heads = ("label", "category", "action", *self._mixes)
        return Table("mix_by_category", "Share of each action by category", heads, tuple(rows))

    # -- what is missing, what it cost -----------------------------------------------------------------------------

    @cached_property
    def missing(self) -> Table:
        total = Counter(state.question.category for state in self.states)
        rows = []
        for record in self.records:
            for judging_pass in record.passes:
                said = zip(self.states, judging_pass.verdicts, strict=True)
                lost = Counter(state.question.category for state, verdict in said if verdict is None)
                rows += [(record.label, judging_pass.repeat, name, total[name], lost[name]) for name in sorted(lost)]
        heads = ("label", "repeat", "category", "states", "missing")
        return Table(
            "missing", "States on which a judge failed", heads, tuple(rows), "They are left out, never scored."
        )

    @cached_property
    def cost(self) -> Table:
        folder = self.data.folder
        rows: list[tuple[Cell, ...]] = []
        spent = 0.0
        if folder.judgements().is_file():
            with closing(JudgeStore(folder.judgements())) as store:
                for record in self.records:
                    rows += [(record.label, *row) for row in store.ledger(folder.ledger_name, record.requests)]
                spent = store.spent(folder.ledger_name)
        heads = ("label", "judge", "outcome", "attempts", "tokens in", "from the cache", "tokens out", "US dollars")
        note = (
            "From the ledger: all attempts that these verdicts took, repeats included; what two labels share counts "
            f"for both. The run has cost ${spent:,.4f} in all, its generation and other studies included."
        )
        return Table("cost", "Cost", heads, tuple(rows), note)


def _overlap(part: str, threshold: float) -> Measure:
    def of(x: JudgingPass, y: JudgingPass) -> Floats:
        overlap: Floats = getattr(viable_overlap(x.scores_SC, y.scores_SC, threshold), part)
        return overlap

    return Measure(f"viable Jaccard at {threshold:g}", of, -1)


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
