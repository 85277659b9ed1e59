"""All tables of the judge-sensitivity study."""

from __future__ import annotations

from ...stats.tables import Table
from . import effect_tables, judge_tables, pair_tables
from .data import StudyData


def study_tables(data: StudyData) -> dict[str, Table]:
    """All tables by name."""
    made = [
        judge_tables.judges(data), pair_tables.scores(data), pair_tables.decisions(data), pair_tables.thresholds(data),
        effect_tables.selections(data), effect_tables.rewards(data), effect_tables.mix(data),
        judge_tables.histogram(data), judge_tables.mix_by_category(data), judge_tables.missing(data),
        judge_tables.cost(data),
    ]  # fmt: skip
    return {table.name: table for table in made}
