"""Another selection from stored scores: the run's own comes out exactly, any other costs nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from spark_framework import rejudge, reselect
from spark_framework.api import Candidate, Selector, UserError
from spark_framework.runs.decisions import JudgedDecision, judged_decisions
from spark_framework.runs.run_dir import existing_run
from tests.studies.noisy import Noisy

Command = Callable[..., tuple[int, str, str]]


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def states(run: Path) -> list[JudgedDecision]:
    return judged_decisions(existing_run(run))


class Last(Selector):
    """The last viable candidate, else the last one."""

    name = "last"

    def select(
        self, candidates: Sequence[Candidate], scores: Sequence[float], *, threshold: float, usage: Mapping[str, int],
        rng: random.Random,
    ) -> int:  # fmt: skip
        return max((k for k, score in enumerate(scores) if score > threshold), default=len(scores) - 1)


def test_the_run_s_own_selection_comes_out_exactly(run: Path) -> None:
    """In waves of five questions, with two branches, and with ties that usage and draws decide."""
    done = reselect(run)
    assert done.flips["frozen"].value == done.flips["replayed"].value == 0
    for line in lines(done.file):
        assert line["chosen_before"] == line["chosen_now"] == line["chosen_replayed"]
    assert [line["chosen_before"] for line in lines(done.file)] == [state.chosen for state in states(run)]
    assert done.file.name == "rarity_first-6.jsonl"


@pytest.mark.parametrize("selector", ["least_used", "softmax", "uniform", "top_score"])
def test_so_does_that_of_a_run_with_another_selector(
    selector: str, demonstrations: Callable[..., Path], tmp_path: Path, tiny: Path
) -> None:
    from spark_framework import generate
    from tests.runs import config

    rounds = [{"name": "demonstrations", "proposer": "scripted", "questions": 9, "branches": 2, "wave_size": 4}]
    made = generate(config(tiny, tmp_path / "made", selector=selector, threshold=2.5, rollouts=rounds, stages={}))
    done = reselect(made)
    assert [line["chosen_replayed"] for line in lines(done.file)] == [state.chosen for state in states(made)]
    assert len({line["action_now"] for line in lines(done.file)}) > 1
    assert done.flips["frozen"].value == 0


def test_each_line_gives_the_chosen_and_the_viable_candidates(run: Path) -> None:
    for state, line in zip(states(run), lines(reselect(run, "top_score", 7).file), strict=True):
        scores = state.verdict.scores
        assert line["viable"] == [k for k, score in enumerate(scores) if score > 7]
        assert line["none_viable"] is (max(scores) <= 7)
        assert scores[line["chosen_now"]] == max(scores)
        assert line["action_now"] == state.step.candidates[line["chosen_now"]].action
        assert (line["trajectory"], line["step"]) == (state.trajectories[0], state.number)


def test_counters_of_its_own_count_its_own_choices(run: Path) -> None:
    """`least_used` from scores that make all viable: in the end no action has been used much more than another."""
    done = reselect(run, "least_used", 0)
    counts: dict[str, int] = {}
    for line in lines(done.file):
        counts[line["action_replayed"]] = counts.get(line["action_replayed"], 0) + 1
    spread = max(counts.values()) - min(counts.values())
    assert spread <= len(states(run)) // 4
    assert done.flips["replayed"].value > 0


def test_another_judge_s_scores_can_be_chosen_from(run: Path, command: Command) -> None:
    code, _, err = command("reselect", run, "--judge", "noisy")
    assert code == 2
    assert "has no verdict on this run; make some with `spark-framework rejudge" in err
    rejudge(run, {"use": "tests.studies.noisy:Noisy", "taste": 9, "fails_on": "math"})
    asked = Noisy.asked
    code, out, _ = command("reselect", run, "--judge", "noisy")
    assert code == 0
    assert Noisy.asked == asked
    assert "Selection by rarity_first above 6" in out
    found = lines(run / "reselected" / "rarity_first-6-noisy.jsonl")
    for state, line in zip(states(run), found, strict=True):  # what the judge failed on stays without a choice
        assert (line["chosen_now"] is None) is state.question.category.startswith("math")


def test_nothing_but_the_new_file_is_written(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = reselect(run, "top_score")
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert set(after) - set(before) == {done.file}
    assert all(after[path] == text for path, text in before.items())


def test_a_class_and_an_instance_do_as_well_as_a_name(run: Path) -> None:
    by_class, by_instance = reselect(run, Last), reselect(run, Last(), name="again")
    assert by_class.file.name == "last-6.jsonl"
    assert by_instance.file.name == "again.jsonl"
    assert lines(by_class.file) == lines(by_instance.file)
    assert by_class.flips["frozen"].value > 0


def test_the_figures_are_those_of_the_file(run: Path, command: Command) -> None:
    done = reselect(run, "top_score")
    found = lines(done.file)
    for counters, now in (("frozen", "chosen_now"), ("replayed", "chosen_replayed")):
        changed = [line[now] != line["chosen_before"] for line in found]
        figure = done.flips[counters]
        assert figure.value == pytest.approx(sum(changed) / len(changed))
        assert figure.low <= figure.value <= figure.high
    shares = {row[0]: row[2] for row in done.tables[1].rows}
    for action, share in shares.items():
        assert share == pytest.approx(sum(line["action_now"] == action for line in found) / len(found))
    assert str(done) in command("reselect", run, "--selector", "top_score")[1]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--selector", "nobody"], "nobody"),
        (["--threshold", "11"], "threshold: should be less than or equal to 10"),
        (["--set", "selector.x=1"], "selector.x: unknown key"),
        (["--judge", "none"], "or name one of these: none"),
    ],
)
def test_a_mistake_is_one_line(run: Path, command: Command, words: list[str], reason: str) -> None:
    code, out, err = command("reselect", run, *words)
    assert (code, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1


def test_a_selector_that_chooses_beyond_the_candidates_is_named(run: Path) -> None:
    class Beyond(Last):
        name = "beyond"

        def select(self, candidates: Sequence[Candidate], scores: Sequence[float], **others: Any) -> int:
            return len(scores)

    with pytest.raises(UserError, match="beyond chose 4 of 4"):
        reselect(run, Beyond)
