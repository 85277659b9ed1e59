"""The judge-sensitivity study through its public doors, on judges whose differences are known beforehand."""

from __future__ import annotations

import csv
import importlib.util
import math
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from spark_framework import study_judges
from spark_framework.api import UserError
from spark_framework.runs.decisions import judged_decisions
from spark_framework.runs.run_dir import existing_run
from spark_framework.stats.intervals import EstimateWithInterval
from spark_framework.studies.judge_sensitivity.study import JudgeStudy, estimate_study
from tests.plugins.judges.server import JudgeServer
from tests.studies.conftest import OWN
from tests.studies.noisy import Noisy
from tests.studies.test_rejudge import Longest

Command = Callable[..., tuple[int, str, str]]
TABLES = {"judges", "scores", "decisions", "thresholds", "selections", "rewards", "mix", "histogram",
          "mix_by_category", "missing", "cost"}  # fmt: skip
PLOTS = {"heat_map.png", "thresholds.png", "histogram.png", "mix_by_category.png"}


def noisy(**settings: Any) -> dict[str, Any]:
    return {"use": "tests.studies.noisy:Noisy", **settings}


def studied(run: Path, judges: Mapping[str, Any], **settings: Any) -> JudgeStudy:
    return study_judges(run, judges, report=lambda _: None, **{"resamples": 200, **settings})


def row(study: JudgeStudy, table: str, *keys: str) -> dict[str, Any]:
    """The row with these first cells, by heads."""
    found = study.tables[table]
    return next(dict(zip(found.heads, r, strict=True)) for r in found.rows if r[: len(keys)] == keys)


def value(cell: Any) -> float:
    return cell.value if isinstance(cell, EstimateWithInterval) else float(cell)


# -- known answers -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twins(original: Path, tmp_path_factory: pytest.TempPathFactory) -> JudgeStudy:
    """Two judges of one mind, and one that only differs in its label."""
    run = tmp_path_factory.mktemp("twins") / "run"
    shutil.copytree(original, run)
    return studied(run, {"one": noisy(taste=5), "two": noisy(taste=5, dollars=2.0), "far": noisy(taste=6)})


def test_identical_judges_agree_perfectly_in_every_figure(twins: JudgeStudy) -> None:
    for pair in (("one", "one"), ("one", "two")):
        assert [value(row(twins, "scores", *pair)[head]) for head in (
            "Spearman", "Kendall tau-b", "alpha (interval)", "alpha (ordinal)", "ICC (agreement)", "ICC (consistency)",
            "quadratic kappa")] == pytest.approx([1.0] * 7)  # fmt: skip
        decisions = row(twins, "decisions", *pair)
        same = ("viable Jaccard at 6", "Jaccard (leniency matched)", "process_ok kappa")
        assert [value(decisions[head]) for head in same] == pytest.approx([1.0] * 3)
        # Two who break ties by lot agree by chance there, and so does one judge with itself.
        assert decisions["same best"].value == row(twins, "decisions", "one", "one")["same best"].value > 0.8
        choices = row(twins, "selections", *pair)
        assert value(choices["other choice (frozen)"]) == value(choices["other choice (replayed)"]) == 0
        rewards = row(twins, "rewards", *pair)
        assert [value(cell) for head, cell in rewards.items() if head not in "ab"] == [0, 0, 0]
        mix = row(twins, "mix", *pair)
        assert [value(cell) for head, cell in mix.items() if head not in "ab"] == pytest.approx([0] * 3, abs=1e-12)


def test_judges_of_another_taste_do_not(twins: JudgeStudy) -> None:
    for table, head, perfect in (
        ("scores", "Spearman", 1), ("scores", "alpha (interval)", 1), ("decisions", "same best", 1),
        ("decisions", "viable Jaccard at 6", 1), ("selections", "other choice (frozen)", 0),
        ("rewards", "size of the shift", 0), ("mix", "best (bits)", 0),
    ):  # fmt: skip
        figure = row(twins, table, "one", "far")[head]
        assert figure.beyond_noise is True, head  # both are free of noise
        assert not figure.low <= perfect <= figure.high, head


def test_judges_without_noise_have_none(twins: JudgeStudy) -> None:
    assert row(twins, "judges", "one")["noise (points)"] == 0
    assert "`one` gave the same scores each time" in twins.summary


def test_noise_of_known_size_is_found(run: Path) -> None:
    """The standard deviation of a rounded score is sqrt(noise² + 1/12) (Sheppard)."""
    study = studied(run, {"calm": noisy(taste=2), "moody": noisy(taste=2, noise=1.0)}, repeats=6)
    assert row(study, "judges", "moody")["noise (points)"] == pytest.approx(math.sqrt(1 + 1 / 12), abs=0.12)
    assert row(study, "judges", "calm")["noise (points)"] == 0
    near = row(study, "judges", "moody")["picks near the threshold"]
    assert 0.2 < near.value <= 1
    assert "standard deviation 1.0" in study.summary


def test_differences_within_a_judge_s_own_noise_are_marked_as_such(run: Path) -> None:
    """Two judges of one taste and much noise differ as much as each differs from itself."""
    study = studied(run, {"a": noisy(taste=2, noise=2.0), "b": noisy(taste=2, noise=2.0001)}, repeats=3)
    figures = [cell for name in ("scores", "decisions", "selections") for cell in row(study, name, "a", "b").values()]
    marks = [
        cell.beyond_noise
        for cell in figures
        if isinstance(cell, EstimateWithInterval) and cell.beyond_noise is not None
    ]
    assert len(marks) >= 10
    assert sum(marks) <= 2  # 95 % intervals
    assert "≈" in study.summary


def test_a_liking_for_places_is_found(run: Path) -> None:
    study = studied(run, {"fair": noisy(taste=2), "late": noisy(taste=2, place=0.6)}, repeats=6)
    late, fair = (row(study, "judges", label)["points a place"] for label in ("late", "fair"))
    assert late.low > 0.3
    assert late.value == pytest.approx(0.6, abs=0.15)
    assert fair.low <= 0 <= fair.high


def test_leniency_moves_agreement_and_not_consistency(run: Path) -> None:
    strict = {"use": "scripted", "scores": {"calculator": 3, "science": 5, "solver": 4, "think": 6}}
    lenient = {"use": "scripted", "scores": {"calculator": 6, "science": 8, "solver": 7, "think": 9}}
    pair = studied(run, {"strict": strict, "lenient": lenient}, repeats=1)
    scores = row(pair, "scores", "strict", "lenient")
    assert value(scores["Spearman"]) == value(scores["ICC (consistency)"]) == pytest.approx(1)
    assert value(scores["ICC (agreement)"]) < 0.5
    decisions = row(pair, "decisions", "strict", "lenient")
    assert value(decisions["same best"]) == 1
    assert value(decisions["viable Jaccard at 6"]) < 0.5
    assert value(decisions["Jaccard (leniency matched)"]) == 1


def test_the_run_s_own_judge_is_recognised_and_asked_only_again(run: Path) -> None:
    n = len(judged_decisions(existing_run(run)))
    study = studied(run, {"own": OWN, "other": noisy(taste=7)})
    assert [r[0] for r in study.tables["judges"].rows] == ["own", "other"]
    assert Noisy.asked <= 3 * n  # its first verdicts are those of the run
    assert not (run / "rejudged" / "own.jsonl").exists()
    assert (run / "rejudged" / "own.1.jsonl").exists()


def test_a_failed_state_is_missing_and_never_a_number(run: Path) -> None:
    study = studied(run, {"picky": noisy(taste=2, fails_on="math"), "other": noisy(taste=2)})
    lost = sum(state.question.category == "math" for state in judged_decisions(existing_run(run)))
    assert row(study, "judges", "picky")["missing"] == lost > 0
    assert row(study, "missing", "picky")["missing"] == lost
    assert value(row(study, "scores", "picky", "other")["Spearman"]) == pytest.approx(1)  # of those that both judged
    assert value(row(study, "decisions", "picky", "other")["viable Jaccard at 6"]) == 1


# -- what is asked, and what it costs ------------------------------------------------------------------------------


def test_a_study_of_real_judges_pays_once_and_reports_the_cost_of_each_label(run: Path, server: JudgeServer) -> None:
    n = len(judged_decisions(existing_run(run)))
    price = {"price": {"input": 2.5, "output": 10.0}}
    gpt4o = {"use": "gpt4o", "base_url": f"{server.url}/v1", **price}
    judges = {
        "large": gpt4o, "small": {**gpt4o, "model": "gpt-4o-mini"}, "claude": {"use": "claude", "base_url": server.url},
        "jury": {"use": "jury", "members": ["verifier", gpt4o]},
    }  # fmt: skip
    study = studied(run, judges, repeats=1)
    assert server.asked.total() == 3 * n  # the jury's member was asked before
    for label, judge in (("large", "gpt4o"), ("small", "gpt4o"), ("claude", "claude"), ("jury", "gpt4o")):
        cost = row(study, "cost", label)
        assert (cost["judge"], cost["outcome"], cost["attempts"]) == (judge, "ok", n)
    assert row(study, "cost", "large")["US dollars"] == pytest.approx(n * (2000 * 2.5 + 90 * 10) / 1e6)
    again = studied(run, judges, repeats=1)
    assert server.asked.total() == 3 * n
    assert {name: table.csv() for name, table in again.tables.items()} == {
        name: table.csv() for name, table in study.tables.items()
    }


def test_an_estimate_adds_up_and_sends_no_request(run: Path, command: Command, tmp_path: Path) -> None:
    n = len(judged_decisions(existing_run(run)))
    file = tmp_path / "judges.yaml"
    file.write_text(
        "a: {use: 'tests.studies.noisy:Noisy', taste: 2}\nb: {use: 'tests.studies.noisy:Noisy', taste: 3}\n"
    )
    code, out, _ = command("study", "judges", run, "--judges", file, "--repeats", "3", "--estimate")
    assert code == 0
    assert Noisy.asked == 0
    assert f"b, repeat 2: judge noisy (local:noisy): {n} calls" in out
    assert f"at most: {6 * n:,} calls, $" in out
    forecast = estimate_study(run, file, repeats=3)
    assert forecast.usd == pytest.approx(sum(e.usd or 0 for part in forecast.parts.values() for e in part.estimates))


def test_some_questions_from_all_categories(run: Path) -> None:
    study = studied(run, {"a": noisy(taste=2), "b": noisy(taste=3)}, questions=6, repeats=1)
    assert "of 6 questions" in study.summary
    counts = {r[1] for r in study.tables["mix_by_category"].rows}
    assert len(counts) == len({state.question.category for state in judged_decisions(existing_run(run))})


# -- tables and plots ----------------------------------------------------------------------------------------------


def test_every_table_is_there_as_csv_and_markdown_and_every_plot(twins: JudgeStudy) -> None:
    assert set(twins.tables) == TABLES
    files = {file.name for file in twins.folder.iterdir()}
    wanted = {f"{name}.{kind}" for name in TABLES for kind in ("csv", "md")} | {"summary.md"}
    if can_draw():
        wanted |= PLOTS
    assert files == wanted
    for plot in twins.plots:
        assert plot.read_bytes().startswith(b"\x89PNG")


def can_draw() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def test_a_csv_reads_back_with_its_intervals(twins: JudgeStudy) -> None:
    with (twins.folder / "scores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figure = row(twins, "scores", "one", "far")["Spearman"]
    found = next(r for r in rows if (r["a"], r["b"]) == ("one", "far"))
    assert float(found["spearman"]) == figure.value
    assert (float(found["spearman_low"]), float(found["spearman_high"])) == (figure.low, figure.high)
    assert found["spearman_beyond_noise"] == "True"


def test_the_noise_floor_comes_first(twins: JudgeStudy) -> None:
    assert twins.summary.index("### Noise floor") < twins.summary.index("### Between judges")
    heads = twins.tables["scores"].rows
    same = [r[0] == r[1] for r in heads]
    assert same == sorted(same, reverse=True)


def test_thresholds_are_a_curve(twins: JudgeStudy) -> None:
    curve = [r for r in twins.tables["thresholds"].rows if r[:2] == ("one", "far")]
    assert [r[2] for r in curve] == [3 + k / 2 for k in range(13)]
    at_six = next(r[3] for r in curve if r[2] == 6)
    assert at_six == row(twins, "decisions", "one", "far")["viable Jaccard at 6"]


def test_without_matplotlib_one_line_says_what_to_install(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said: list[str] = []
    study = study_judges(run, {"a": noisy(), "b": noisy(taste=2)}, repeats=1, resamples=20, report=said.append)
    assert study.plots == ()
    assert said[-1] == "no plots: they need matplotlib; get it with `pip install spark-framework[plots]`"


# -- doors ---------------------------------------------------------------------------------------------------------


def test_the_command_prints_the_summary_and_where_the_rest_is(run: Path, command: Command) -> None:
    code, out, _ = command("study", "judges", run, "--judges", "verifier,scripted", "--repeats", "1")
    assert code == 0
    assert "# Judges on run" in out
    assert "verifier (reads the answers)" in out
    assert out.endswith(f"tables and plots: {run / 'studies' / 'judges'}\n")


def test_classes_and_instances_are_labelled_by_their_names(run: Path) -> None:
    study = study_judges(run, [Longest, Noisy(Noisy.Config(taste=4)), "verifier"], repeats=1, resamples=20,
                         report=lambda _: None)  # fmt: skip
    assert [r[0] for r in study.tables["judges"].rows] == ["stored", "longest", "noisy", "verifier"]


@pytest.mark.parametrize(
    ("judges", "reason"),
    [
        ([], "name at least one"),
        (["verifier", "verifier"], "two have one name"),
        ({"stored": "verifier"}, "the label stored is taken"),
        ({"a": "nobody"}, "nobody"),
        ({"a b": "verifier"}, "is not a valid file name"),
        ({"a": {"use": "scripted", "x": 1}}, "x: unknown key"),
    ],
)
def test_a_mistake_is_a_clear_line(run: Path, judges: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        studied(run, judges)


def test_the_run_s_own_judge_alone_has_to_be_asked_again(run: Path) -> None:
    with pytest.raises(UserError, match="name another judge than the run's own, or ask this one again"):
        studied(run, {"own": OWN}, repeats=1)
