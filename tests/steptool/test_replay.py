"""OpenAI function schemas as tools: a recorded trajectory is replayed through a run, offline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spark_framework import RunConfig, TrajectoryStore, generate
from spark_framework.api import ANSWER, Candidate, Question, Trajectory
from spark_framework.cli import main
from spark_framework.errors import UserError
from spark_framework.evaluation.runner import act
from spark_framework.host.lifecycle import open_tools
from spark_framework.host.manager import Host
from spark_framework.policy import Continuation, Sampling
from spark_framework.policy.action_space import ActionSpace
from spark_framework.rollout.environment import RolloutContext
from spark_framework.steptool import Prediction, read_queries, trajectories_of
from tests.runs import config
from tests.steptool.episodes import call, finish, function, prediction, reply
from tests.steptool.shared import SHARED, needs_shared

PREDICTIONS = SHARED / "qwen2_model_predictions_converted_G123_example.json"


class Replayer:
    """A policy that takes the actions of recorded trajectories, one for each question."""

    def __init__(self, recorded: Sequence[Trajectory]) -> None:
        self.recorded = {one.question.id: one for one in recorded}

    def fingerprint(self) -> str:
        return "replayer"

    def prompt_ids(self, question: Question) -> tuple[int, ...]:
        return ()

    def start(self, questions: Sequence[Question]) -> _ReplayerEpisodeBatch:
        return _ReplayerEpisodeBatch([list(self.recorded[question.id].steps) for question in questions])


class _ReplayerEpisodeBatch:
    def __init__(self, left: list[list[Any]]) -> None:
        self.left = left

    def action_probs(self) -> list[dict[str, float]]:
        return [{} for _ in self.left]

    def act(self, allowed: Sequence[str], sampling: Sampling, seeds: Sequence[int]) -> list[Candidate]:
        return [steps[0].candidate.model_copy(update={"observation": None, "ok": None}) for steps in self.left]

    def propose(self, actions: Any, sampling: Sampling, seeds: Sequence[int]) -> list[list[Candidate]]:
        raise NotImplementedError  # a policy that acts alone proposes nothing

    def step(self, continuations: Sequence[Continuation]) -> list[tuple[int, ...]]:
        self.left = [self.left[continuation.row][1:] for continuation in continuations]
        return [() for _ in continuations]


def replayed(recorded: Sequence[Trajectory], run: RunConfig) -> list[Trajectory]:
    with open_tools(run.tools) as tools:
        context = RolloutContext(
            tools={tool.name: tool for tool in tools}, space=ActionSpace.of(tools), calls=Host().calls, seed=0, steps=9
        )
        return act([one.question for one in recorded], 0, Replayer(recorded), context, Sampling(0.0, 8), "replay")


def stored(path: Path, **queries: Any) -> Path:
    path.write_text(json.dumps(queries), encoding="utf-8")
    return path


def test_recorded_trajectories_are_replayed_through_a_run(tiny: Path, tmp_path: Path) -> None:
    weather = call(
        "weather_now", {"city": "Oslo"}, reply("rain"), call("clock", {}, reply("", error="it has stopped"), finish())
    )
    path = stored(tmp_path / "a.json", q1=prediction(weather))
    (recorded,) = trajectories_of("q1", read_queries(path, Prediction)["q1"])
    run = config(tiny, tmp_path / "run", tools=[{"use": "toolbench", "file": str(path)}], stages={}, rollouts=[{}])
    (again,) = replayed([recorded], run)
    assert [step.candidate.action for step in again.steps] == ["weather_now", "clock", ANSWER]
    assert again.steps[0].candidate.observation == reply("rain")
    assert again.steps[0].candidate.ok is True
    assert again.steps[1].candidate.observation == f"error: {reply('', error='it has stopped')}"
    assert again.steps[1].candidate.ok is False


@needs_shared
def test_steptools_own_trajectories_are_replayed(tiny: Path, tmp_path: Path) -> None:
    found = read_queries(PREDICTIONS, Prediction)
    recorded = [trajectory for query, one in found.items() for trajectory in trajectories_of(query, one)]
    tools = [{"use": "toolbench", "file": str(PREDICTIONS)}]
    again = replayed(recorded, config(tiny, tmp_path / "run", tools=tools, stages={}, rollouts=[{}]))
    for before, after in zip(recorded, again, strict=True):
        for one, other in zip(before.steps, after.steps, strict=True):
            if not one.is_answer:
                said = one.candidate.observation or ""
                assert other.candidate.observation == (said if len(said) <= 2000 else said[:1999] + "…")
                assert other.candidate.ok is one.candidate.ok


def test_a_policy_rolls_out_with_the_files_functions(tiny: Path, tmp_path: Path) -> None:
    """A model that knows nothing writes calls that were never recorded: they fail, and the run goes on."""
    path = stored(tmp_path / "a.json", q1=prediction(call("clock", {}, reply(12), finish())))
    rounds = [{"name": "explore", "questions": 2, "wave_size": 2}]
    tools = [{"use": "toolbench", "file": str(path), "queries": ["q1"]}, "calculator"]
    run = generate(config(tiny, tmp_path / "run", tools=tools, stages={}, rollouts=rounds))
    for trajectory in TrajectoryStore(run / "trajectories.jsonl").read():
        for step in trajectory.steps[:-1]:
            assert [one.action for one in step.candidates] == ["weather_now", "clock", "calculator", "think"]
            assert all(one.observation for one in step.candidates)


def test_what_was_never_recorded_fails_and_what_was_said_first_is_said_again(tmp_path: Path) -> None:
    from spark_plugin_tools.toolbench.recorded_apis import read_recordings

    first, second = reply(1), reply(2)
    twice = call("clock", {"b": 1, "a": [2]}, first, call("clock", {"a": [2], "b": 1}, second, finish()))
    _, apis = read_recordings(stored(tmp_path / "a.json", q1=prediction(twice)))
    assert apis.call("clock", {"a": [2], "b": 1}) == first
    for arguments, said in (({"a": [3]}, "with these arguments"), ({}, "with these arguments")):
        with pytest.raises(Exception, match=f"no response of clock is recorded {said}"):
            apis.call("clock", arguments)
    with pytest.raises(Exception, match="no response of watch is recorded at all"):
        apis.call("watch", {})


def test_a_function_can_be_tried_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path / "a.json", q1=prediction(call("weather_now", {"city": "Oslo"}, reply("rain"), finish())))
    arguments = ["tools", "try", "toolbench:weather_now", '{"city": "Oslo"}', "--set", f"file={path}"]
    assert main(arguments) == 0
    assert "rain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tools", "text"),
    [
        ([{"type": "function"}], "not an OpenAI function with a name"),
        ([{"function": {"name": ""}}], "not an OpenAI function with a name"),
        (
            [{"function": {"name": "a", "parameters": {"properties": {"x": {"enum": 3}}}}}],
            "function a: not a JSON schema",
        ),
    ],
)
def test_a_function_that_is_none_is_one_line(tmp_path: Path, tools: Any, text: str) -> None:
    from spark_plugin_tools.toolbench import ToolBench

    path = stored(tmp_path / "a.json", q1=prediction(finish()) | {"available_tools": tools})
    with pytest.raises(UserError, match=text):
        ToolBench(ToolBench.Config(file=path)).prepare()


def test_unknown_queries_and_files_are_one_line(tmp_path: Path) -> None:
    from spark_plugin_tools.toolbench import ToolBench

    path = stored(tmp_path / "a.json", q1=prediction(finish()))
    with pytest.raises(UserError, match="has no query 'q2'"):
        ToolBench(ToolBench.Config(file=path, queries=("q2",))).prepare()
    with pytest.raises(UserError, match="cannot be read"):
        ToolBench(ToolBench.Config(file=tmp_path / "none.json")).prepare()
    for text, message in (("{", "Invalid JSON"), ("{}", "has no queries"), ('{"q1": {}}', "q1.available_tools: Field")):
        (tmp_path / "odd.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            ToolBench(ToolBench.Config(file=tmp_path / "odd.json")).prepare()


def test_toolbenchs_odd_schemas_become_json_schemas(tmp_path: Path) -> None:
    from spark_plugin_tools.toolbench import cleaned

    odd = function("f", city="STRING", count="int", deep="object")["function"]["parameters"]
    assert cleaned(odd) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "", "example_value": "x"},
            "count": {"description": "", "example_value": "x"},
            "deep": {"type": "object", "description": "", "example_value": "x"},
        },
        "required": ["city", "count", "deep"],
    }
