"""StepTool's files become trajectories of the framework and come back as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spark_framework import TrajectoryStore
from spark_framework.cli import main
from spark_framework.errors import DataError, RunError
from spark_framework.steptool import Collection, export_trajectories, import_files, read_ppo_csv, write_ppo_csv
from spark_framework.steptool.chat_styles import STYLES
from tests.steptool.episodes import EXAMPLES, annotated, call, finish, prediction, reply
from tests.steptool.shared import SHARED, needs_shared

PREDICTIONS = SHARED / "qwen2_model_predictions_converted_G123_example.json"
ANNOTATIONS = SHARED / "qwen2_reward_annotation_G123_example_5.json"
CSV = SHARED / "qwen2_step_grained_for_ppo_example.csv"
ROUND = PREDICTIONS.stem


def predictions(path: Path) -> Path:
    """Two queries; the first one's second branch is the one that is annotated."""
    tree = prediction(
        call("weather_now", {"city": "oslo"}, reply("", error="no such city"), finish("I do not know.")),
        call("weather_now", {"city": "Oslo"}, reply("rain " * 300), call("clock", {}, reply(12), finish())),
    )
    other = prediction(call("clock", {}, reply(9), finish("Nine.")), query="What is the time?")
    path.write_text(json.dumps({"q1": tree, "q2": other}), encoding="utf-8")
    return path


def annotations(path: Path) -> Path:
    def steps(*calls: dict[str, Any]) -> list[str]:
        return [f"Step {n}: {one['message']}" for n, one in enumerate(calls, 1)]

    weather, clock = call("weather_now", {"city": "Oslo"}, reply("rain " * 300)), call("clock", {}, reply(12))
    one = annotated(2, [([1, 0], [5, 2], "Solved"), ([1, 1], [4, 0], "Unsure")])
    one |= {"answer_steps": steps(weather, clock), "final_step": f"Final step: {finish()['message']}"}
    two = annotated(1, [([1], [3], "Unsolved"), ([0], [1], "Solved")]) | {"query": "What is the time?"}
    two |= {
        "answer_steps": steps(call("clock", {}, reply(9))), "final_step": f"Final step: {finish('Nine.')['message']}",
    }  # fmt: skip
    for answer in (one, two):
        answer["tool_names"] = ["weather_now", "clock", "Finish"]
    path.write_text(json.dumps({"q1": one, "q2": two}), encoding="utf-8")
    return path


def same(one: Path, other: Path) -> bool:
    return bool(json.loads(one.read_text()) == json.loads(other.read_text()))


def test_predictions_with_annotations_come_back(tmp_path: Path) -> None:
    files = [predictions(tmp_path / "answers.json"), annotations(tmp_path / "rewards.json")]
    assert import_files(files, tmp_path / "in") == {"answers": 3}
    stored = list(TrajectoryStore(tmp_path / "in" / "trajectories.jsonl").read("answers"))
    assert [one.id for one in stored] == ["answers/0/0", "answers/0/1", "answers/1/0"]
    assert [bool(one.steps[0].marks) for one in stored] == [False, True, True]
    assert stored[1].steps[0].marks == {
        "succ_calling": 1.0, "succ_calling/0": 1.0, "succ_calling/1": 1.0,
        "contribution": pytest.approx(0.9), "contribution/0": 1.0, "contribution/1": 0.8,
    }  # fmt: skip
    for sort, original in (("predictions", files[0]), ("annotations", files[1])):
        out = tmp_path / f"{sort}.json"
        assert export_trajectories(tmp_path / "in", out, sort=sort) == 2  # type: ignore[arg-type]
        assert same(out, original)


def test_annotations_alone_are_trajectories_too(tmp_path: Path) -> None:
    file = annotations(tmp_path / "rewards.json")
    assert import_files([file], tmp_path / "in") == {"rewards": 2}
    assert export_trajectories(tmp_path / "in", tmp_path / "out.json", sort="annotations") == 2
    assert same(tmp_path / "out.json", file)


def test_a_csv_comes_back_byte_by_byte(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    write_ppo_csv(path, EXAMPLES)
    assert import_files([path], tmp_path / "in") == {"train": 2}
    assert export_trajectories(tmp_path / "in", tmp_path / "out.csv") == 2
    assert (tmp_path / "out.csv").read_bytes() == path.read_bytes()
    first = Collection(tmp_path / "in").read()[0]
    assert [step.candidate.action for step in first.steps] == ["weather_now", "answer"]
    assert first.steps[0].candidate.arguments == {"city": "Oslo"}
    assert first.steps[0].candidate.ok is True


@pytest.mark.parametrize("style", list(STYLES))
def test_annotated_predictions_become_training_data(tmp_path: Path, style: str) -> None:
    """The step between StepTool's annotations and its training data, which it does not release."""
    files = [predictions(tmp_path / "answers.json"), annotations(tmp_path / "rewards.json")]
    import_files(files, tmp_path / "in")
    written = ["steptool", "export", str(tmp_path / "in"), "--to", str(tmp_path / "out.csv"), "--style", style]
    assert main(written) == 0
    one, two = read_ppo_csv(tmp_path / "out.csv")
    assert one.rewards == pytest.approx([(1 + 0.9) / 2, (0.5 + 0.2) / 2, 0.75])
    assert two.rewards == pytest.approx([(0.5 + 0.4) / 2, 0.5])
    assert "['weather_now', 'clock', 'Finish']" in one.prompts[0]
    assert "Is it raining in Oslo?\nBegin!\n" in one.prompts[0]
    assert 'Action: weather_now\nAction Input: {"city": "Oslo"}' in one.responses[0]
    assert "Action: Finish\nAction Input: " in one.responses[-1]
    assert ("rain " * 300)[: 1024 - len('{"error": "", "response": "')] + "..." in one.prompts[1]
    again = import_files([tmp_path / "out.csv"], tmp_path / "again")
    assert again == {"out": 2}


def test_alpha_weighs_the_calls_success(tmp_path: Path) -> None:
    files = [predictions(tmp_path / "answers.json"), annotations(tmp_path / "rewards.json")]
    import_files(files, tmp_path / "in")
    export_trajectories(tmp_path / "in", tmp_path / "out.csv", alpha=3.0)
    assert read_ppo_csv(tmp_path / "out.csv")[1].rewards[0] == pytest.approx((3 * 0.5 + 0.4) / 4)


def test_a_judge_annotates_what_has_no_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = str(tmp_path / "in"), str(tmp_path / "out.csv")
    assert main(["steptool", "import", str(predictions(tmp_path / "answers.json")), "--to", folder]) == 0
    assert main(["steptool", "export", folder, "--to", out]) == 2
    assert "answers/0/0 has no annotations" in capsys.readouterr().err
    assert main(["steptool", "export", folder, "--to", out, "--judge", "steptool_rules", "--repeats", "1"]) == 0
    assert capsys.readouterr().out == f"{out}: 3 rows\n"
    failed, unused, _ = (one.rewards for one in read_ppo_csv(Path(out)))
    assert failed == (0.5, 0.5)  # no success; the rule finds enough of its letters in the answer; nobody is sure
    assert unused == (0.5, 0.5, 0.5)  # both succeed, and little of them is in the answer


# -- StepTool's own files --------------------------------------------------------------------------------------------


@needs_shared
def test_steptools_own_files_come_back(tmp_path: Path) -> None:
    assert import_files([PREDICTIONS, ANNOTATIONS, CSV], tmp_path / "in") == {CSV.stem: 10, ROUND: 5}
    for sort, original in (("predictions", PREDICTIONS), ("annotations", ANNOTATIONS)):
        export_trajectories(tmp_path / "in", tmp_path / "out.json", sort=sort, round_name=ROUND)  # type: ignore[arg-type]
        assert same(tmp_path / "out.json", original)
    export_trajectories(tmp_path / "in", tmp_path / "out.csv", round_name=CSV.stem)
    assert (tmp_path / "out.csv").read_bytes() == CSV.read_bytes()


@needs_shared
def test_predictions_are_written_as_steptool_wrote_them(tmp_path: Path) -> None:
    """Four of the five queries are in its training data, with rewards from another run of the annotator."""
    import_files([PREDICTIONS, ANNOTATIONS], tmp_path / "in")
    export_trajectories(tmp_path / "in", tmp_path / "out.csv", round_name=ROUND)
    released = {example.prompts: example for example in read_ppo_csv(CSV)}
    found = [(one, released[one.prompts]) for one in read_ppo_csv(tmp_path / "out.csv") if one.prompts in released]
    assert len(found) == 4
    assert all(one.responses == other.responses for one, other in found)


# -- mistakes --------------------------------------------------------------------------------------------------------


def test_nothing_is_imported_where_one_file_is_damaged(tmp_path: Path) -> None:
    damaged = tmp_path / "train.csv"
    damaged.write_text("prompt\tresponse\treward\n['a']\t['b', 'c']\t[1]\n")
    with pytest.raises(DataError, match="row 1: 1 prompts, 2 responses"):
        import_files([predictions(tmp_path / "answers.json"), damaged], tmp_path / "in")
    assert not (tmp_path / "in").exists()


def test_annotations_of_another_answer_are_refused(tmp_path: Path) -> None:
    file = annotations(tmp_path / "rewards.json")
    file.write_text(file.read_text().replace("Nine.", "Ten."))
    with pytest.raises(DataError, match="query q2: the annotations belong to another answer"):
        import_files([predictions(tmp_path / "answers.json"), file], tmp_path / "in")


@pytest.mark.parametrize(
    "step", ["Step 1: nothing", "Step 1: {'name': 3}", f"Step 1: {'[' * 100_000}", "Step 1: __import__('os')"]
)
def test_a_step_that_cannot_be_read_is_one_line(tmp_path: Path, step: str) -> None:
    damaged = annotated(1, [([1], [5], "Solved")]) | {"answer_steps": [step]}
    path = tmp_path / "rewards.json"
    path.write_text(json.dumps({"q1": damaged}))
    with pytest.raises(DataError, match="query q1: a step is not written as"):
        import_files([path], tmp_path / "in")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"q1": {}}', '{"q1": 3}'])
def test_a_file_of_no_known_kind_is_one_line(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    assert main(["steptool", "import", str(path), "--to", str(tmp_path / "in")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {path}")
    assert err.count("\n") == 1


def test_a_round_is_imported_once_and_never_into_a_run(tmp_path: Path) -> None:
    file = predictions(tmp_path / "answers.json")
    import_files([file], tmp_path / "in")
    with pytest.raises(DataError, match="has a round answers already"):
        import_files([file], tmp_path / "in")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(RunError, match="is the folder of a run"):
        import_files([file], tmp_path / "run")


def test_what_a_csv_does_not_say_is_not_made_up(tmp_path: Path) -> None:
    write_ppo_csv(tmp_path / "train.csv", EXAMPLES)
    import_files([tmp_path / "train.csv"], tmp_path / "in")
    with pytest.raises(DataError, match="was not imported from converted predictions"):
        export_trajectories(tmp_path / "in", tmp_path / "out.json", sort="predictions")
    with pytest.raises(DataError, match="holds rewards but no annotations"):
        export_trajectories(tmp_path / "in", tmp_path / "out.json", sort="annotations")
    with pytest.raises(DataError, match="has no round b; rounds: train"):
        export_trajectories(tmp_path / "in", tmp_path / "out.csv", round_name="b")
