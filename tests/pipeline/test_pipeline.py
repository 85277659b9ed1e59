"""The main job through its public doors: the Python API and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from spark_framework import Host, RunConfig, TrajectoryStore, evaluate, generate, ladder, train, using_host
from spark_framework.api import ComponentConfig, Judge, RewardTerm, Selector, Tool, ToolArgs, Verdict, hookimpl
from spark_framework.cli import main
from spark_framework.errors import ConfigError, RunError
from spark_framework.runs.run_dir import existing_run
from tests.runs import STAGE, config, config_file, settings

RUNGS = ("base", "tools", "sft", "ppo", "spark")
KEYS = {
    "stage", "n", "accuracy", "accuracy_95", "tool_entropy_bits", "tool_entropy_95", "policy_entropy_bits",
    "policy_entropy_95", "valid_calls", "p_vs_reference",
}  # fmt: skip


class Ear:
    """Counts what it hears."""

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()
        self.errors: list[BaseException | None] = []

    @hookimpl
    def spark_run_started(self, manifest: Any) -> None:
        self.heard["started"] += 1
        assert manifest["config"]["steps"] == 2

    @hookimpl
    def spark_step_finished(self, question_id: str, step: Any) -> None:
        self.heard["step"] += 1

    @hookimpl
    def spark_trajectory_finished(self, trajectory: Any) -> None:
        self.heard[f"trajectory of {trajectory.round}"] += 1

    @hookimpl
    def spark_update_finished(self, stage: str, metrics: Any) -> None:
        self.heard[f"update of {stage}"] += 1

    @hookimpl
    def spark_run_finished(self, error: BaseException | None) -> None:
        self.errors.append(error)

    @hookimpl
    def spark_metrics(self, trajectories: Any) -> dict[str, float]:
        return {"answers_heard": len(trajectories)}


@pytest.fixture(scope="module")
def climbed(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ear, list[str]]:
    """The whole line, once: demonstrations, sft, explore, ppo and spark, all evaluations."""
    run = tmp_path_factory.mktemp("job") / "run"
    every = settings(tiny, run)["stages"]
    host, ear, lines = Host(), Ear(), []
    host.register(ear)
    with using_host(host):
        ladder(config(tiny, run, stages={name: every[name] for name in RUNGS[2:]}), report=lines.append)
    return run, ear, lines


def test_the_ladder_has_every_figure(climbed: tuple[Path, Ear, list[str]]) -> None:
    run, _, lines = climbed
    result = json.loads((run / "ladder.json").read_text())
    assert [stage["stage"] for stage in result["stages"]] == list(RUNGS)
    for stage in result["stages"]:
        assert stage.keys() >= KEYS
        assert stage["n"] == 4
        low, high = stage["accuracy_95"]
        assert 0 <= low <= stage["accuracy"] <= high <= 1
        assert (stage["p_vs_reference"] is None) == (stage["stage"] == "sft")
    base, tools = result["stages"][:2]
    assert base["tool_entropy_bits"] is None  # the rung without tools takes no action
    assert 0 <= tools["tool_entropy_bits"] <= 1.585
    assert 0 < tools["policy_entropy_bits"] <= 1.585
    assert result["sentence"] in lines[-1]
    assert {(c["a"], c["b"]) for c in result["comparisons"]} == {("sft", "ppo"), ("sft", "spark"), ("ppo", "spark")}


def test_the_stored_trajectories_are_complete(climbed: tuple[Path, Ear, list[str]]) -> None:
    run, _, _ = climbed
    stored = list(TrajectoryStore(run / "trajectories.jsonl").read())
    assert Counter(t.round for t in stored) == {"demonstrations": 18, "explore": 8}
    assert len({t.question.id for t in stored}) == 10  # rounds never share questions
    for trajectory in stored:
        assert trajectory.prompt_ids
        assert trajectory.steps[-1].is_answer
        for step in trajectory.steps[:-1]:
            assert [c.action for c in step.candidates] == ["calculator", "science", "think"]
            assert all(c.token_ids and c.observation is not None for c in step.candidates)
            assert step.verdict is not None
            assert step.verdict.judge == "verifier"
    assert any(t.success for t in stored if t.round == "demonstrations")
    assert len({t.policy for t in stored}) == 2


def test_observers_hear_everything(climbed: tuple[Path, Ear, list[str]]) -> None:
    run, ear, _ = climbed
    stored = list(TrajectoryStore(run / "trajectories.jsonl").read())
    assert ear.heard["started"] == len(ear.errors) == 2 + 3 + 5
    assert set(ear.errors) == {None}
    assert ear.heard["trajectory of demonstrations"] == 18
    assert ear.heard["trajectory of explore"] == 8
    assert ear.heard["step"] == sum(len(t.steps) - 1 for t in stored)
    assert all(ear.heard[f"update of {stage}"] for stage in RUNGS[2:])
    assert json.loads((run / "eval" / "sft.json").read_text())["0"]["answers_heard"] == 4


def test_the_manifest_records_what_the_run_was_made_with(climbed: tuple[Path, Ear, list[str]]) -> None:
    manifest = json.loads((climbed[0] / "run.json").read_text())
    plugins = {f"{plugin['kind']}.{plugin['name']}": plugin for plugin in manifest["plugins"]}
    assert plugins.keys() == {
        "tool.calculator", "tool.science", "judge.verifier", "selector.rarity_first", "reward.diversity_gap",
        "reward.process_penalty", "algorithm.sft", "algorithm.ppo", "algorithm.spark",
    }  # fmt: skip
    for plugin in plugins.values():
        assert (plugin["distribution"], plugin["version"]) == ("spark-framework", version("spark-framework"))
        assert len(plugin["fingerprint"]) == 16
    assert manifest["versions"]["torch"] == version("torch")


def test_repeating_the_job_changes_nothing(
    tiny: Path, climbed: tuple[Path, Ear, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    run = climbed[0]
    kept = ("trajectories.jsonl", "train/sft/adapter/adapter_model.safetensors", "eval/sft.jsonl", "run.json")
    before = [(run / name).read_bytes() for name in kept]
    assert main(["train", str(run), "--stage", "sft"]) == 0
    assert main(["evaluate", str(run), "--stage", "sft"]) == 0
    figures = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert figures["n"] == 4
    assert evaluate(run, "sft", questions=2)["n"] == 2
    assert [(run / name).read_bytes() for name in kept] == before


def test_two_seeds_are_pooled(tiny: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    small = {"rollouts": [{"name": "explore", "questions": 1}], "stages": {}}
    result = ladder(config(tiny, run, **small), seeds=2, report=lambda line: None)
    assert [stage["n"] for stage in result["stages"]] == [8, 8]
    assert result["seeds"] == [0, 1]
    one, two = (json.loads((run / f"seed-{k}" / "run.json").read_text())["config"]["seed"] for k in (0, 1))
    assert (one, two) == (0, 1)


def test_rounds_and_stages_come_in_an_order_that_works(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    figures = {"accuracy": 0.5, "accuracy_95": [0.4, 0.6]}
    monkeypatch.setattr("spark_framework.studies.ladder.generate", lambda config, name: done.append(name))
    monkeypatch.setattr("spark_framework.studies.ladder.train", lambda run, name: done.append(name))
    monkeypatch.setattr(
        "spark_framework.studies.ladder.evaluate", lambda run, rung: done.append(f"test {rung}") or figures
    )
    monkeypatch.setattr("spark_framework.studies.ladder.compare", lambda answered: {})
    monkeypatch.setattr("spark_framework.studies.ladder.table", lambda result: "")
    rounds = [{"name": "later", "adapter": "sft"}, {"name": "first"}]
    stages = {"ppo": {"data": "later", "init": "sft"}, "sft": {"data": "first"}}
    ladder(config(tiny, tmp_path / "run", rollouts=rounds, stages=stages), report=lambda line: None)
    assert done == ["first", "sft", "later", "ppo", "test base", "test tools", "test ppo", "test sft"]
    circle = {**stages, "sft": {"data": "later"}}
    with pytest.raises(ConfigError, match="stages: rounds and stages depend on each other in a circle: "):
        ladder(config(tiny, tmp_path / "run", rollouts=rounds, stages=circle), report=lambda line: None)


# -- one's own classes -----------------------------------------------------------------------------------------------


class Seven(Judge):
    """Finds the tool of this file best and calls only that sound."""

    name = "seven"

    class Config(ComponentConfig):
        best: str = "reverse"

    def score(self, request: Any) -> Verdict:
        ok = tuple(candidate.action == self.config.best for candidate in request.candidates)
        scores = tuple(9.0 if good else 3.0 for good in ok)
        return Verdict(scores=scores, process_ok=ok, judge=self.name, fingerprint=self.fingerprint())


class Reverse(Tool):
    name = "reverse"
    description = "Writes a text backwards."

    class Args(ToolArgs):
        text: str

    def call(self, args: Any, context: Any) -> str:
        return str(args.text[::-1])


class Best(Selector):
    name = "best"

    def select(self, candidates: Any, scores: Any, **_: Any) -> int:
        return int(max(range(len(scores)), key=lambda k: scores[k]))


class Length(RewardTerm):
    name = "length"

    def value(self, step: Any, trajectory: Any) -> float:
        return -0.1 * len(trajectory.steps) + (step.candidate.action == "reverse")


def test_classes_need_no_entry_point(tiny: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    mine = RunConfig(
        run=run, policy=settings(tiny, run)["policy"], questions={"use": "practice", "families": ["arithmetic"]},
        judge=Seven, tools=("calculator", Reverse), selector=Best, steps=1,
        reward={"diversity": [Length], "process": ["outcome"]},
        rollouts=[{"name": "explore", "questions": 2, "branches": 3, "branch_among": "policy"}],
        stages={"spark": {**STAGE, "rho": 1.0}}, evaluation={"questions": 2},
    )  # fmt: skip
    assert generate(mine) == run
    stored = list(TrajectoryStore(run / "trajectories.jsonl").read())
    assert {t.steps[0].candidate.action for t in stored if t.branch == 0} == {"reverse"}
    assert all(c.observation == c.arguments["text"][::-1] for t in stored for c in t.steps[0].candidates[1:2])
    assert (train(run, "spark") / "adapter_model.safetensors").is_file()
    assert evaluate(run, "spark")["n"] == 2
    locked = {p["name"]: p for p in json.loads((run / "run.json").read_text())["plugins"]}
    assert locked["seven"]["target"] == f"{__name__}:Seven"
    assert locked["seven"]["distribution"] is None


# -- interruptions ---------------------------------------------------------------------------------------------------


def test_one_process_at_a_time(tiny: Path, tmp_path: Path, demonstrations: Any) -> None:
    run = demonstrations(tmp_path / "run")
    with existing_run(run).locked():
        for work in (lambda: generate(config(tiny, run)), lambda: train(run, "sft"), lambda: evaluate(run, "base")):
            with pytest.raises(RunError, match="is in use by another process"):
                work()


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
import peft, torch, transformers  # once: each attempt is a fork that starts where these are loaded
from spark_framework.cli import main

file, run, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
moments = random.Random(seed)

def progress():
    data = run / "trajectories.jsonl"
    return (data.stat().st_size if data.exists() else 0, len(list(run.glob("train/sft/checkpoints/*/spark_state.pt"))),
            [path.name for path in run.glob("train/sft/checkpoints/*")])

for _ in range(40):
    before = progress()
    attempt = os.fork()
    if attempt == 0:
        sys.stdout = sys.stderr
        os._exit(main(["generate", file]) or main(["train", str(run), "--stage", "sft"]))
    done = 0
    while not done and progress() == before:  # every attempt gets something done, so that there is an end
        time.sleep(0.002)
        done, status = os.waitpid(attempt, os.WNOHANG)
    if not done:
        time.sleep(0.15 * moments.random())
        os.kill(attempt, signal.SIGKILL)
        _, status = os.waitpid(attempt, 0)
    code = os.waitstatus_to_exitcode(status)
    print("killed in", "train" if run.joinpath("train").exists() else "generate", flush=True) if code else None
    if code != -signal.SIGKILL:
        sys.exit(code)
sys.exit("no end")
"""


def test_killed_again_and_again(tiny: Path, tmp_path: Path) -> None:
    """kill -9 of generate and train at random moments, each time after some progress: the same bytes in the end."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    small: dict[str, Any] = {
        "tools": ["calculator"],
        "rollouts": [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "wave_size": 2}],
        "stages": {"sft": {**STAGE, "data": "demonstrations", "epochs": 2, "save_steps": 2}},
    }
    generate(config(tiny, whole, **small))
    train(whole, "sft")
    file = config_file(tmp_path, settings(tiny, cut, **small))
    command = [sys.executable, "-c", KILLER, str(file), str(cut), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kills = Counter(done.stdout.splitlines())
    assert kills["killed in generate"] >= 1
    assert kills["killed in train"] >= 1
    for name in ("trajectories.jsonl", "trajectories.commits", "train/sft/adapter/adapter_model.safetensors"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_lost_wave_is_rolled_out_again(tiny: Path, tmp_path: Path) -> None:
    """Bytes behind the last commit, as a killed process leaves them, end in the same file."""
    rounds = {"rollouts": [{"name": "d", "proposer": "scripted", "questions": 4, "branches": 2, "wave_size": 2}]}
    run = generate(config(tiny, tmp_path / "run", stages={}, **rounds))
    data, commits = run / "trajectories.jsonl", run / "trajectories.commits"
    whole = data.read_bytes()
    commits.write_text(commits.read_text().splitlines(keepends=True)[0])
    os.truncate(data, len(whole) - 100)
    generate(config(tiny, run, stages={}, **rounds))
    assert data.read_bytes() == whole


# -- a judge that fails ----------------------------------------------------------------------------------------------

FLAKY = """
    from pathlib import Path
    from spark_framework.api import ComponentConfig, Judge, JudgeError, Verdict, hookimpl

    class Flaky(Judge):
        name = "flaky"

        class Config(ComponentConfig):
            broken: Path

        def score(self, request):
            if self.config.broken.exists():
                raise JudgeError("the service is down", "transient")
            n = len(request.candidates)
            return Verdict(scores=(7.0,) * n, process_ok=(True,) * n, judge="flaky", fingerprint="f")

    @hookimpl
    def spark_judges():
        return [Flaky]
"""


def test_a_judge_that_is_down_stops_the_run_and_costs_nothing(
    tiny: Path, tmp_path: Path, fake_distribution: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The wave that failed is not stored: with the judge mended, the same command gives the same file."""
    fake_distribution("spark-flaky", {"judge.flaky": "flaky"}, {"flaky": FLAKY})
    broken = tmp_path / "broken"
    rounds = {
        "judge": {"use": "flaky", "broken": str(broken)},
        "rollouts": [{"name": "d", "proposer": "scripted", "questions": 6, "wave_size": 3}],
        "stages": {},
    }
    with using_host(Host()):
        whole = generate(config(tiny, tmp_path / "whole", **rounds))
    broken.touch()
    file = config_file(tmp_path, settings(tiny, tmp_path / "run", **rounds))
    assert main(["generate", str(file)]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("error: the judge failed on 3 trajectories of round d")
    assert "the service is down" in told
    broken.unlink()
    assert main(["generate", str(file)]) == 0
    assert (tmp_path / "run" / "trajectories.jsonl").read_bytes() == (whole / "trajectories.jsonl").read_bytes()
