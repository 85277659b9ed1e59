"""Tables of the judge-sensitivity study on how far two judges agree; a row a pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...stats.agreement import icc, kendall, krippendorff_alpha, over_states, spearman
from ...stats.arrays import Floats
from ...stats.tables import Cell, Table
from ...stats.viability import leniency_matched_threshold, top1_agreement, viable_overlap
from .comparison import JudgingPass, Measure, Pair
from .data import StudyData
from .figures import POOLED, mean_figures

CURVE = np.arange(3.0, 9.01, 0.5)
"""Thresholds of the curve."""
MARK = (
    "A judge beside itself is its noise: asked again, in another order. ≈ marks a figure that is not clearly (95 %) "
    "beyond the noise of both judges."
)
"""Note below every table of pairs."""


def scores(data: StudyData) -> Table:
    measures = [
        Measure("Spearman", lambda x, y: spearman(x.scores_SC, y.scores_SC), -1),
        Measure("Kendall tau-b", lambda x, y: kendall(x.scores_SC, y.scores_SC), -1),
    ]
    ranks = list(zip(*mean_figures(data.pairs, measures, data.by_state), strict=True))
    tied = [_undefined(measures[0], pair) for pair in data.pairs]
    pooled = list(zip(*data.pooled, strict=True))[:5]
    heads = (*(m.name for m in measures), "all tied", *POOLED[:5])
    together = np.stack([record.passes[0].scores_SC for record in data.records], axis=1)
    note = (
        f"{MARK} all tied: share of states in which one of the two scores all candidates alike, so that ranks say "
        f"nothing. All {len(data.records)} judges together: alpha {krippendorff_alpha(together):.3f} (interval), "
        f"{krippendorff_alpha(together, 'ordinal'):.3f} (ordinal); ICC {icc(together).agreement:.3f} (agreement), "
        f"{icc(together).consistency:.3f} (consistency)."
    )
    return pair_table(data.pairs, "scores", "Agreement on scores", heads, [*ranks, tied, *pooled], note)


def decisions(data: StudyData) -> Table:
    t = data.threshold

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
    columns: list[Sequence[Cell]] = list(zip(*mean_figures(data.pairs, measures, data.by_state), strict=True))
    columns += [[matched(*pair.sides[0]) for pair in data.pairs], [row[5] for row in data.pooled]]
    heads = (*(m.name for m in measures), "matched threshold of b", POOLED[5])
    note = (
        f"{MARK} same best: chance that both pick the same best candidate, ties broken evenly. leniency matched: "
        "b's threshold is the one at which it finds as many candidates viable as a does."
    )
    return pair_table(data.pairs, "decisions", "Agreement on decisions", heads, columns, note)


def thresholds(data: StudyData) -> Table:
    jaccard, empty = ([_overlap(name, float(t)) for t in CURVE] for name in ("jaccard", "both_empty"))
    overlaps = mean_figures(data.pairs, jaccard, data.by_state)
    nothing = mean_figures(data.pairs, empty, data.by_state)
    rows = tuple(
        (pair.a, pair.b, float(t), overlaps[p][k], nothing[p][k].value)
        for p, pair in enumerate(data.pairs)
        for k, t in enumerate(CURVE)
    )
    heads = ("a", "b", "threshold", "viable Jaccard", "both without viable candidates")
    return Table("thresholds", "Viable sets over thresholds", heads, rows, MARK)


def pair_table(
    pairs: Sequence[Pair], name: str, title: str, heads: Sequence[str], columns: Sequence[Sequence[Cell]], note: str
) -> Table:
    """A table with one row for each pair, from its columns."""
    rows = tuple((pair.a, pair.b, *cells) for pair, cells in zip(pairs, zip(*columns, strict=True), strict=True))
    return Table(name, title, ("a", "b", *heads), rows, note)


def _undefined(measure: Measure, pair: Pair) -> float:
    return over_states(np.concatenate([measure.of(x, y) for x, y in pair.sides])).undefined


def _overlap(part: str, threshold: float) -> Measure:
    def of(x: JudgingPass, y: JudgingPass) -> Floats:
        overlap: Floats = getattr(viable_overlap(x.scores_SC, y.scores_SC, threshold), part)
        return overlap

    return Measure(f"viable Jaccard at {threshold:g}", of, -1)
