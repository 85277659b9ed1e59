"""Pass rate over several runs of a judge, success rate of calls, recall of needed tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spark_framework import evaluate
from spark_framework.api import ANSWER, THINK, Call, Candidate, Question, Step, Trajectory
from spark_framework.cli import main
from spark_framework.errors import ConfigError, DataError, RunError
from spark_framework.judging.marks import RewardComponents
from spark_framework.steptool import (
    Judging,
    evaluate_trajectories,
    figures,
    import_files,
    tool_recall,
    with_annotations,
)
from tests.steptool.episodes import call, finish, prediction, reply

Runs = Callable[..., Path]


def trajectory(query: str, actions: list[str], solved: list[float] | None = None, **changes: Any) -> Trajectory:
    """One with these actions; `!` before an action says that the call failed."""
    question = Question(id=query, text="?", options=(), answer=None, category="c", source="s")
    steps = tuple(
        Step(
            candidates=(
                Candidate(action=name.lstrip("!"), arguments={}, ok=None if name == ANSWER else name[0] != "!"),
            )
        )
        for name in actions
    )
    bare = Trajectory(id=f"r/{query}/0", round="r", index=0, question=question, steps=steps, answer=None, correct=False)
    bare = bare.model_copy(update=changes)
    if solved is None:
        return bare
    calls = sum(name != ANSWER for name in actions)
    each = [RewardComponents(succ_calling=(1.0,) * calls, contribution=(1.0,) * calls, is_solved=one) for one in solved]
    mean = each[0].model_copy(update={"is_solved": sum(solved) / len(solved)})
    return with_annotations(bare, mean, {str(k): one for k, one in enumerate(each)})


def test_the_pass_rate_is_a_mean_over_queries_and_its_spread_over_runs() -> None:
    found = figures(
        [
            trajectory("q1", ["a", ANSWER], [1.0, 1.0, 0.5]),
            trajectory("q2", ["a", "!b", ANSWER], [0.0, 0.5, 0.5]),
            trajectory("q3", ["!a"]),  # never answered: unsolved, whatever a judge would say
        ]
    )
    assert found["pass_rate_by_run"] == pytest.approx([1 / 3, 1.5 / 3, 1 / 3])
    assert found["pass_rate"] == pytest.approx((1 / 3 + 1.5 / 3 + 1 / 3) / 3)
    assert found["pass_rate_std"] == pytest.approx((1 / 6) * 2**0.5 / 3)
    low, high = found["pass_rate_95"]
    assert 0 <= low < found["pass_rate"] < high <= 1
    assert found["call_success_rate"] == pytest.approx(2 / 4)
    assert found["queries"] == 3
    assert found["mean_calls"] == pytest.approx(4 / 3)


def test_branches_of_one_query_count_as_one() -> None:
    one, two = trajectory("q1", ["a", ANSWER], [1.0]), trajectory("q1", ["a", ANSWER], [0.0], branch=1)
    assert figures([one, two, trajectory("q2", ["a", ANSWER], [1.0])])["pass_rate"] == pytest.approx(0.75)


def test_what_is_not_known_is_none_and_never_zero() -> None:
    found = figures([trajectory("q1", [THINK, ANSWER])])
    for name in ("pass_rate", "pass_rate_95", "pass_rate_std", "call_success_rate", "tool_recall"):
        assert found[name] is None
    with pytest.raises(DataError, match="r/q2/0 has no annotations, but others have"):
        figures([trajectory("q1", ["a", ANSWER], [1.0]), trajectory("q2", ["a", ANSWER])])


def test_recall_is_the_share_of_needed_tools_that_were_called() -> None:
    done = [trajectory("q1", ["a", "!b", ANSWER]), trajectory("q2", [THINK, ANSWER]), trajectory("q3", ["a", ANSWER])]
    needed = {"q1": [frozenset("a"), frozenset("b"), frozenset("c")], "q2": [frozenset("a")]}
    assert tool_recall(done, needed) == {"q1": pytest.approx(2 / 3), "q2": 0.0}
    found = figures(done, needed)
    assert found["tool_recall"] == pytest.approx(1 / 3)
    assert found["tool_recall_queries"] == 2


def test_a_question_s_plan_gives_the_needed_tools() -> None:
    """Of each step one tool will do; a step that a thought solves needs none."""
    plan = ((Call(action="a"), Call(action="b")), (Call(action="c"),), (Call(action="a"), Call(action=THINK)))
    one = trajectory("q1", ["b", ANSWER])
    planned = one.model_copy(update={"question": one.question.model_copy(update={"plan": plan})})
    assert figures([planned])["tool_recall"] == pytest.approx(1 / 2)


def test_imported_predictions_are_judged_several_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solved = prediction(call("clock", {}, reply(12), finish("Twelve.")))
    gave_up = prediction(
        call("clock", {}, reply("", error="down"), call("Finish", {"return_type": "give_up_and_restart"}, ""))
    )
    unfinished = prediction(call("clock", {}, reply(12)))
    path, needed = tmp_path / "answers.json", tmp_path / "needed.json"
    path.write_text(json.dumps({"q1": solved, "q2": gave_up, "q3": unfinished}))
    needed.write_text(json.dumps({"q1": ["clock", "weather_now"], "q2": ["clock"]}))
    import_files([path], tmp_path / "in")
    arguments = ["steptool", "evaluate", str(tmp_path / "in"), "--judge", "steptool_rules", "--repeats", "2"]
    assert main([*arguments, "--needed", str(needed)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pass_rate_by_run"] == pytest.approx([0.5 / 3] * 2)  # nobody knows whether the first is right
    assert found["call_success_rate"] == pytest.approx(2 / 3)
    assert found["tool_recall"] == pytest.approx(3 / 4)
    assert found["not_judged"] == 0


@pytest.mark.parametrize("content", ["", "[]", '{"q1": "clock"}', '{"q1": [1]}'])
def test_needed_tools_that_cannot_be_read_are_one_line(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "needed.json"
    path.write_text(content)
    assert main(["steptool", "evaluate", str(tmp_path), "--needed", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {path}")
    assert err.count("\n") == 1


def test_a_runs_evaluation_has_steptools_figures(demonstrations: Runs, tmp_path: Path) -> None:
    run = demonstrations(tmp_path / "run")
    accuracy = evaluate(run, "tools")["accuracy"]
    rules = Judging("steptool_rules", repeats=2)  # knows the right options
    found = evaluate_trajectories(run, stage="tools", judging=rules)
    assert found["queries"] == 4
    assert found["pass_rate"] == pytest.approx(accuracy)
    assert found["tool_recall_queries"] == 4
    of_round = evaluate_trajectories(run, round_name="demonstrations", judging=rules)
    assert of_round["queries"] == 6
    assert of_round["tool_recall"] > 0
    with pytest.raises(ConfigError, match="either --stage"):
        evaluate_trajectories(run)
    with pytest.raises(RunError, match=r"evaluate .* --stage sft"):
        evaluate_trajectories(run, stage="sft")
