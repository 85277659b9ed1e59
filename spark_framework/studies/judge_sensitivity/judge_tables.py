"""Tables of the judge-sensitivity study with a row, or several, for each judge."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import numpy as np

from ...judging.cache import JudgeStore
from ...stats.agreement import over_states, score_profile
from ...stats.arrays import Floats
from ...stats.entropy import entropy
from ...stats.position_bias import position_slope, position_terms
from ...stats.tables import Cell, Table
from ...stats.viability import empty_viable, near_threshold
from .comparison import JudgeRecord
from .data import StudyData


def judges(data: StudyData) -> Table:
    heads = (
        "label", "judge", "asked", "missing", "mean score", "sd", "entropy of scores (bits)", "viable",
        "none viable", "process_ok", "noise (points)", "picks near the threshold", "points a place",
        "entropy of picks (bits)",
    )  # fmt: skip
    note = (
        "asked: how often, each time in another order. missing: states without a verdict. viable: candidates above "
        f"{data.threshold:g} in a state. noise: standard deviation of a score when the judge is asked again. picks "
        "near the threshold: share of picks whose score lies within the noise of it. points a place: what a "
        "candidate gains by being shown one place further down."
    )
    return Table("judges", "Judges", heads, tuple(_judge_row(data, record) for record in data.records), note)


def _judge_row(data: StudyData, record: JudgeRecord) -> tuple[Cell, ...]:
    judging_pass = record.passes[0]
    profile = score_profile(judging_pass.scores_SC)
    judged_S = ~np.isnan(judging_pass.scores_SC).all(axis=1)
    viable_S = np.where(judged_S, (judging_pass.scores_SC > data.threshold).sum(axis=1), np.nan)
    picked_S = np.array(
        [np.nan if k is None else row[k] for k, row in zip(judging_pass.frozen, judging_pass.scores_SC, strict=True)]
    )
    near_S = near_threshold(picked_S, record.noise, data.threshold) if not np.isnan(record.noise) else picked_S * np.nan
    ok = judging_pass.ok_SC[~np.isnan(judging_pass.ok_SC)]
    shares = data.by_state.mean(np.stack([empty_viable(judging_pass.scores_SC, data.threshold), near_S], axis=1))
    terms_S2 = position_terms(_scores_with_places(record), record.stacked("place_SC"))
    picks = data.by_state.sums(data.picks(judging_pass.frozen), entropy)
    return (
        record.label, f"{record.judge}{' (reads the answers)' if record.oracle else ''}", len(record.passes),
        int((~judged_S).sum()), profile.mean, profile.sd, profile.entropy, over_states(viable_S).mean,
        shares.at(0), float(ok.mean()) if len(ok) else None, record.noise, shares.at(1),
        data.by_state.sums(np.nan_to_num(terms_S2), position_slope).at(), picks.at(),
    )  # fmt: skip


def _scores_with_places(record: JudgeRecord) -> Floats:
    return np.where(np.isnan(record.stacked("place_SC")), np.nan, record.stacked("scores_SC"))


def histogram(data: StudyData) -> Table:
    counts = [score_profile(record.passes[0].scores_SC).histogram for record in data.records]
    rows = tuple((level, *(int(c[level]) for c in counts)) for level in range(len(counts[0])))
    return Table("histogram", "Scores at each level", ("score", *(v.label for v in data.records)), rows)


def mix_by_category(data: StudyData) -> Table:
    categories = np.array([state.question.category for state in data.states])
    rows: list[tuple[Cell, ...]] = []
    for record in data.records:
        weights = [of(record.passes[0]) for of in data.mixes.values()]
        for category in sorted(set(categories)):
            sums = [w[categories == category].sum(axis=0) for w in weights]
            rows += [
                (record.label, str(category), action, *(float(s[a] / s.sum()) if s.sum() else None for s in sums))
                for a, action in enumerate(data.actions)
            ]
    heads = ("label", "category", "action", *data.mixes)
    return Table("mix_by_category", "Share of each action by category", heads, tuple(rows))


def missing(data: StudyData) -> Table:
    total = Counter(state.question.category for state in data.states)
    rows = []
    for record in data.records:
        for judging_pass in record.passes:
            outcomes = zip(data.states, judging_pass.verdicts, strict=True)
            lost = Counter(state.question.category for state, verdict in outcomes if verdict is None)
            rows += [(record.label, judging_pass.repeat, name, total[name], lost[name]) for name in sorted(lost)]
    heads = ("label", "repeat", "category", "states", "missing")
    return Table("missing", "States on which a judge failed", heads, tuple(rows), "They are left out, never scored.")


def cost(data: StudyData) -> Table:
    rows: list[tuple[Cell, ...]] = []
    spent = 0.0
    if data.folder.judgements().is_file():
        with closing(JudgeStore(data.folder.judgements())) as store:
            for record in data.records:
                rows += [(record.label, *row) for row in store.ledger(data.folder.ledger_name, record.requests)]
            spent = store.spent(data.folder.ledger_name)
    heads = ("label", "judge", "outcome", "attempts", "tokens in", "from the cache", "tokens out", "US dollars")
    note = (
        "From the ledger: all attempts that these verdicts took, repeats included; what two labels share counts "
        f"for both. The run has cost ${spent:,.4f} in all, its generation and other studies included."
    )
    return Table("cost", "Cost", heads, tuple(rows), note)
