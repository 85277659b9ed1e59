"""Tables as text, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math

import pytest

from spark_framework.stats.intervals import EstimateWithInterval
from spark_framework.stats.tables import Table, markdown_table, plain_table


def test_a_plain_table_is_aligned_and_has_no_trailing_blanks() -> None:
    assert plain_table(("name", "of"), [("a", "one"), ("longest", "")]) == "name     of\na        one\nlongest"


def test_a_markdown_table_is_aligned_and_escapes_pipes() -> None:
    lines = markdown_table(("a|b", "c"), iter([("x", "y|z")])).splitlines()
    assert lines == ["| a\\|b | c    |", "|------|------|", "| x    | y\\|z |"]


def test_a_table_of_estimates_in_both_forms() -> None:
    rows = (("one", EstimateWithInterval(0.5, 0.25, 0.75, beyond_noise=True), 2), ("two", None, math.nan))
    table = Table("t", "Title", ("label", "Jaccard, 6", "n"), rows, "A note.")
    title, _, head, rule, one, two, _, note = table.markdown().splitlines()
    assert (title, note) == ("### Title", "A note.")
    assert {len(line) for line in (head, rule, one, two)} == {len(head)}
    assert [cell.strip() for cell in one.split("|")[1:-1]] == ["one", "0.500 [0.250, 0.750]", "2"]
    assert [cell.strip() for cell in two.split("|")[1:-1]] == ["two", "–", "–"]
    assert list(csv.reader(io.StringIO(table.csv()))) == [
        ["label", "jaccard_6", "jaccard_6_low", "jaccard_6_high", "jaccard_6_beyond_noise", "n"],
        ["one", "0.5", "0.25", "0.75", "True", "2"],
        ["two", "", "", "", "", ""],
    ]


def test_every_row_has_a_cell_for_each_head() -> None:
    with pytest.raises(ValueError, match="zip"):
        plain_table(("a", "b"), [("1", "2", "3")])
