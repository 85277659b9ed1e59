"""Converted predictions become trajectories and come back; annotations become rewards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from spark_framework.errors import DataError
from spark_framework.judging.marks import Annotation, average_annotations, compose_rewards, with_annotations
from spark_framework.steptool.annotations import AnnotatedAnswer
from spark_framework.steptool.predictions import Prediction, read_queries, trajectories_of, tree_of, write_queries
from tests.steptool.episodes import annotated, call, finish, prediction, reply
from tests.steptool.shared import SHARED, needs_shared

PREDICTIONS = SHARED / "qwen2_model_predictions_converted_G123_example.json"
ANNOTATIONS = SHARED / "qwen2_reward_annotation_G123_example_5.json"


def stored(path: Path, **queries: Any) -> Path:
    path.write_text(json.dumps(queries), encoding="utf-8")
    return path


def thought(text: str, *following: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "message": text, "next": list(following)}


# -- predictions -----------------------------------------------------------------------------------------------------


def test_a_tree_becomes_trajectories_and_comes_back(tmp_path: Path) -> None:
    tree = prediction(
        thought("First the weather.", call("weather_now", {"city": "Oslo"}, reply("rain"), finish()),
                call("weather_now", {"city": "oslo"}, reply("", error="no such city"), finish("I do not know."))),
        call("clock", {}, reply(None), call("weather_now", [1], "Rate limit", finish(""))),
    )  # fmt: skip
    path = stored(tmp_path / "a.json", q1=tree)
    found = read_queries(path, Prediction)
    one, two, three = trajectories_of("q1", found["q1"])
    assert [step.candidate.action for step in one.steps] == ["think", "weather_now", "answer"]
    assert [step.candidate.ok for step in two.steps] == [True, False, None]
    assert [step.candidate.arguments for step in three.steps][:2] == [{}, None]
    assert {t.question.text for t in (one, two, three)} == {"Is it raining in Oslo?"}
    assert tree_of([one, two, three]) == found["q1"].answer.answer_details
    write_queries(tmp_path / "b.json", found)
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads(path.read_text())


@needs_shared
def test_steptools_own_predictions_come_back(tmp_path: Path) -> None:
    found = read_queries(PREDICTIONS, Prediction)
    assert len(found) == 5
    rebuilt = {}
    for query_id, one in found.items():
        tree = tree_of(trajectories_of(query_id, one))
        rebuilt[query_id] = one.model_copy(update={"answer": one.answer.model_copy(update={"answer_details": tree})})
    write_queries(tmp_path / "copy.json", rebuilt)
    assert json.loads((tmp_path / "copy.json").read_text()) == json.loads(PREDICTIONS.read_text())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"query": 3}, "query: "),
        ({"more": 1}, "more: "),
        ({"answer": {"method": "x"}}, "answer.total_steps: "),
        (prediction({"role": "tool", "message": "words", "next": []}), "role tool has the wrong form"),
        (prediction({"role": "clown", "message": "", "next": []}), "role"),
    ],
)
def test_a_damaged_prediction_is_one_line_with_its_query(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    path = stored(tmp_path / "a.json", good=prediction(finish()), bad=prediction(finish()) | change)
    with pytest.raises(DataError) as caught:
        read_queries(path, Prediction)
    assert f"{path}, query bad: " in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (prediction(finish(), finish()), "begin with the same turn"),
        (prediction(), "has neither call nor answer"),
        (prediction(call("think", {}, "")), "is reserved by the framework"),
        (prediction({"role": "user", "message": "And Bergen?", "next": []}), "user has a message in the middle"),
    ],
)
def test_what_a_trajectory_cannot_hold_is_refused(tree: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        trajectories_of("q1", Prediction.model_validate_json(json.dumps(tree)))


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "[" * 100_000])
@pytest.mark.parametrize("model", [Prediction, AnnotatedAnswer])
def test_a_file_that_is_none_is_one_line(tmp_path: Path, content: str, model: type[BaseModel]) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"a\.json"):
        read_queries(path, model)


# -- annotations and rewards -----------------------------------------------------------------------------------------


def test_annotations_become_the_released_rewards(tmp_path: Path) -> None:
    """Equal weights, each component in [0, 1], the mean over the repeats."""
    repeats = [([1, 0], [5, 2], "Solved"), ([1, 1], [4, 0], "Unsure"), ([1, 0], [5, 1], "Unsolved")]
    path = stored(tmp_path / "a.json", q1=annotated(2, repeats))
    found = read_queries(path, AnnotatedAnswer)["q1"]
    assert compose_rewards(average_annotations(found.annotations())) == pytest.approx(
        [(1 + 14 / 15) / 2, (1 / 3 + 3 / 15) / 2, 0.5], abs=1e-12
    )
    assert compose_rewards(average_annotations(found.annotations()), alpha=3.0)[1] == pytest.approx(
        (3 * 1 / 3 + 3 / 15) / 4
    )
    write_queries(tmp_path / "b.json", {"q1": found})
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads(path.read_text())


@needs_shared
def test_steptools_own_annotations_give_the_worked_examples() -> None:
    found = read_queries(ANNOTATIONS, AnnotatedAnswer)
    rewards = {query_id: compose_rewards(average_annotations(one.annotations())) for query_id, one in found.items()}
    assert rewards["32980"] == pytest.approx([1, 1, 14 / 15, 13 / 15, 1], abs=1e-9)
    assert rewards["56543"] == pytest.approx([2 / 15, 13 / 30, 1 / 3], abs=1e-9)
    assert rewards["70195"] == pytest.approx([1, 13 / 15, 1], abs=1e-9)
    assert rewards["44426"] == pytest.approx([1, 5 / 6], abs=1e-9)


@needs_shared
def test_steptools_own_annotations_fit_its_predictions() -> None:
    predictions = read_queries(PREDICTIONS, Prediction)
    for query_id, one in read_queries(ANNOTATIONS, AnnotatedAnswer).items():
        (trajectory,) = trajectories_of(query_id, predictions[query_id])
        components = average_annotations(one.annotations())
        steps = with_annotations(trajectory, components).steps
        assert [step.marks["contribution"] for step in steps[:-1]] == list(components.contribution)
        assert steps[-1].marks == {"is_solved": components.is_solved}


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (annotated(1, [([1], [6], "Solved")]), "contributions"),
        (annotated(1, [([2], [5], "Solved")]), "succeed_tool_calling"),
        (annotated(2, [([1], [5, 5], "Solved")]), "rate each of the 2 steps"),
        (annotated(1, [([1], [5], "Perhaps")]), "is_solved"),
        (annotated(1, []), "at least one"),
    ],
)
def test_a_damaged_annotation_is_one_line_with_its_query(tmp_path: Path, damage: dict[str, Any], text: str) -> None:
    path = stored(tmp_path / "a.json", q7=damage)
    with pytest.raises(DataError) as caught:
        read_queries(path, AnnotatedAnswer)
    assert "query q7" in str(caught.value)
    assert text in str(caught.value)


def test_annotations_that_do_not_fit_are_refused() -> None:
    (trajectory,) = trajectories_of("q1", Prediction.model_validate_json(json.dumps(prediction(finish()))))
    one, two = (Annotation(succeeded=(True,) * n, contributions=(5,) * n, status="Solved") for n in (1, 2))
    with pytest.raises(DataError, match="0 steps before its answer; its annotations have 1"):
        with_annotations(trajectory, average_annotations([one]))
    with pytest.raises(DataError, match=r"\[1, 2\] steps"):
        average_annotations([one, two])
    with pytest.raises(DataError, match="no steps"):
        average_annotations([])
