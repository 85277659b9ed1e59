"""The annotators rate finished trajectories, and the reward terms read what they said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spark_framework.api import Candidate, JudgeError, JudgeRequest, Question, Step, Verdict
from spark_framework.cli import main
from spark_framework.judging.hindsight import hindsight_request
from spark_framework.steptool import (
    Annotation,
    Prediction,
    average_annotations,
    read_queries,
    trajectories_of,
    with_annotations,
)
from spark_plugin_judges.steptool.annotator import SteptoolAnnotator
from spark_plugin_judges.steptool.rules import SteptoolRules, overlap
from spark_plugin_rewards.contribution import Contribution
from spark_plugin_rewards.is_solved import IsSolved
from spark_plugin_rewards.succ_calling import SuccCalling
from tests.plugins.judges.server import Answer, JudgeServer
from tests.steptool.episodes import call, finish, prediction, reply
from tests.steptool.shared import SHARED, needs_shared

PREDICTIONS = SHARED / "qwen2_model_predictions_converted_G123_example.json"
TERMS = (SuccCalling(), Contribution(), IsSolved())


def finished(*calls: tuple[str, str, bool], answer: str = "It is 12 degrees and it rains.") -> JudgeRequest:
    """A finished trajectory of (tool, observation, ok) as an annotator gets it."""
    asked = Question(id="q", text="?", options=(), answer=None, category="c", source="s")
    done = [Candidate(action=name, arguments={}, observation=said, ok=ok) for name, said, ok in calls]
    closing = Candidate(action="answer", arguments={"text": answer}, text=answer)
    return JudgeRequest(question=asked, steps=(), candidates=(*done, closing))


# -- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "ok", "succeeded"),
    [
        (reply("rain"), True, True),
        (reply("rain"), False, False),
        (reply("", error="down"), True, False),
        ('{"status": 400}', True, False),
        ('{"status": 200}', True, True),
        ('"something went wrong"', True, False),
        ('"the list is empty"', True, False),
        ('"Please give a city"', True, False),
        ('"sunny"', True, True),
        ("[]", True, True),
        ("true", True, True),
        ("3", True, True),
        ('{"error": "", "response": "cut in the mid', True, True),
        ("plain text about an error", True, True),
        ("", True, True),
    ],
)
def test_the_rule_of_success(said: str, ok: bool, succeeded: bool) -> None:
    assert SteptoolRules().score(finished(("a", said, ok))).process_ok[0] is succeeded


def test_the_rule_of_contribution() -> None:
    verdict = SteptoolRules().score(finished(("a", reply("12 degrees"), True), ("b", "XYZ@#", True), ("c", "", True)))
    assert verdict.scores == (10.0, 0.0, 0.0, 5.0)
    everything = SteptoolRules(SteptoolRules.Config(overlap=0.0))
    assert everything.score(finished(("b", "XYZ@#", True))).scores[0] == 10.0


@pytest.mark.parametrize(
    ("answer", "options", "right", "score"),
    [
        ("B", ("rain", "snow"), 1, 10.0),
        ("rain", ("rain", "snow"), 1, 0.0),
        ("rain", (), None, 5.0),
        (" ", (), None, 0.0),
    ],
)
def test_the_rule_of_the_answer(answer: str, options: tuple[str, ...], right: int | None, score: float) -> None:
    asked = Question(id="q", text="?", options=options, answer=right, category="c", source="s")
    verdict = SteptoolRules().score(finished(answer=answer).model_copy(update={"question": asked}))
    assert verdict.scores == (score,)
    assert verdict.process_ok == (score == 10,)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [("abc", "abc", 1), ("abc", "xaxbxcx", 1), ("abcd", "ad", 0.5), ("abc", "cba", 1 / 3), ("", "a", 0), ("a", "", 0),
     ("aaaa", "aa", 0.5), ("äöü€", "ä€", 0.5), ("ab" * 500, "ba" * 500, 0.999)],
)  # fmt: skip
def test_overlap_is_the_longest_common_subsequence(one: str, other: str, share: float) -> None:
    assert overlap(one, other) == pytest.approx(share)


@needs_shared
def test_the_rules_on_steptools_own_answers_give_what_its_notebook_gives() -> None:
    ratios = []
    for query, one in read_queries(PREDICTIONS, Prediction).items():
        (trajectory,) = trajectories_of(query, one)
        request = hindsight_request(trajectory)
        verdict = SteptoolRules().score(request)
        assert all(verdict.process_ok[:-1])
        ratios += [ratio_of(request, step) for step in range(len(request.candidates) - 1)]
        assert verdict.scores[:-1] == tuple(10.0 * (ratio >= 0.3) for ratio in ratios[-len(verdict.scores) + 1 :])
    assert ratios == pytest.approx(
        [0.4575, 0.4396, 0.5884, 0.6683, 0.9091, 0.4286, 0.3916, 0.6304, 0.5639, 0, 0.4369], abs=1e-3
    )


def ratio_of(request: JudgeRequest, step: int) -> float:
    """The largest overlap at which a step still contributes, to four digits."""
    low, high = 0, 10_000
    while low < high:
        middle = (low + high + 1) // 2
        limit = SteptoolRules(SteptoolRules.Config(overlap=middle / 10_000))
        low, high = (middle, high) if limit.score(request).scores[step] else (low, middle - 1)
    return low / 10_000


# -- a model ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    running = JudgeServer().start()
    yield running
    running.stop()


def rating(succeeded: list[int], contributions: list[int], status: str) -> str:
    names = [f"c{k + 1}" for k in range(len(succeeded))]
    return json.dumps(
        {
            "succeed_tool_calling": dict(zip(names, succeeded, strict=True)),
            "contribution_to_final_answer": dict(zip(names, contributions, strict=True)),
            "final_answer_status": status,
        }
    )


def test_a_model_rates_all_steps_at_once_and_each_repeat_apart(
    tmp_path: Path, server: JudgeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"q1": prediction(call("clock", {}, reply(12), finish("Twelve.")))}))
    folder, out = str(tmp_path / "in"), str(tmp_path / "out.json")
    assert main(["steptool", "import", str(path), "--to", folder]) == 0
    server.plan[:] = [
        Answer(rating([1], [5], "Solved")), Answer(rating([1], [3], "Unsure")), Answer(rating([0], [1], "Solved")),
    ]  # fmt: skip
    asked = ["--judge", "steptool_annotator", "--set", f"judge.base_url={server.url}/v1"]
    asked += ["--set", "judging.concurrency=1"]
    assert main(["steptool", "evaluate", folder, *asked, "--repeats", "3"]) == 0
    figures = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert figures["pass_rate_by_run"] == [1.0, 0.5, 1.0]
    assert len(server.requests) == 3
    form = server.requests[0].json["response_format"]["json_schema"]["schema"]["properties"]
    assert form["succeed_tool_calling"]["required"] == ["c1"]
    assert form["contribution_to_final_answer"]["properties"]["c1"]["enum"] == list(range(6))
    assert form["final_answer_status"]["enum"] == ["Solved", "Unsure", "Unsolved"]
    # What was said is stored: nothing is asked again, and it comes out in StepTool's own form.
    assert main(["steptool", "export", folder, *asked, "--repeats", "3", "--as", "annotations", "--to", out]) == 0
    assert len(server.requests) == 3
    written = json.loads(Path(out).read_text())["q1"]
    assert written["is_solved"] == {
        "0": "AnswerStatus.Solved", "1": "AnswerStatus.Unsure", "2": "AnswerStatus.Solved",
    }  # fmt: skip
    assert [one["contributions"] for one in written["process_reward"].values()] == [[5], [3], [1]]
    assert [one["succeed_tool_calling"] for one in written["process_reward"].values()] == [[1], [1], [0]]


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "no JSON", rating([1, 1], [5, 5], "Solved"), rating([], [], "Solved"), rating([2], [5], "Solved"),
        rating([1], [6], "Solved"), rating([1], [5], "Perhaps"), rating([1], [5], "Solved")[:-1] + ', "more": 1}',
        rating([True], [5], "Solved"),
    ],
)  # fmt: skip
def test_an_incomplete_rating_is_refused(tmp_path: Path, server: JudgeServer, text: str) -> None:
    server.plan[:] = [Answer(text)] * 2
    annotator = SteptoolAnnotator(SteptoolAnnotator.Config(base_url=f"{server.url}/v1"))
    with pytest.raises(JudgeError) as caught:
        annotator.score(finished(("a", "said", True)))
    assert caught.value.kind == "invalid"
    annotator.close()


@pytest.mark.parametrize("annotator", [SteptoolRules(), SteptoolAnnotator()], ids=lambda judge: judge.name)
def test_an_annotator_does_not_judge_single_steps(annotator: Any) -> None:
    open_step = finished(("a", "said", True))
    open_step = open_step.model_copy(update={"candidates": open_step.candidates[:1]})
    with pytest.raises(JudgeError, match=r"rates finished trajectories: name it as steptool\.annotator") as caught:
        annotator.score(open_step)
    assert caught.value.kind == "config"


# -- the terms -------------------------------------------------------------------------------------------------------


def test_the_terms_are_the_components_of_the_annotations() -> None:
    (plain,) = trajectories_of(
        "q1", Prediction.model_validate(prediction(call("clock", {}, reply(1), call("clock", {}, reply(2), finish()))))
    )
    said = [
        Annotation(succeeded=(True, False), contributions=(5, 2), status="Solved"),
        Annotation(succeeded=(True, True), contributions=(4, 0), status="Unsure"),
    ]
    one = with_annotations(plain, average_annotations(said))
    values = [[term.value(step, one) for term in TERMS] for step in one.steps]
    assert values == [pytest.approx(row) for row in ([1, 0.9, 0], [0.5, 0.2, 0], [0, 0, 0.75])]


def test_without_annotations_the_terms_read_what_the_run_stored() -> None:
    (bare,) = trajectories_of("q1", Prediction.model_validate(prediction(call("clock", {}, reply(1), finish()))))
    verdict = Verdict(scores=(7.0,), process_ok=(True,), judge="j", fingerprint="f")
    judged = bare.steps[0].model_copy(update={"verdict": verdict})
    one = bare.model_copy(update={"steps": (judged, bare.steps[1]), "correct": True})
    assert [[term.value(step, one) for term in TERMS] for step in one.steps] == [[1.0, 0.7, 0.0], [0.0, 0.0, 1.0]]
    failed = judged.candidate.model_copy(update={"ok": False})
    assert SuccCalling().value(judged.model_copy(update={"candidates": (failed,)}), one) == 0.0
    assert IsSolved().value(one.steps[1], one.model_copy(update={"correct": False})) == 0.0
    with pytest.raises(ValueError, match=r"set steptool\.annotator"):
        Contribution().value(Step(candidates=(failed,)), one)
