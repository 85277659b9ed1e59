"""Stage steptool trains on StepTool's CSV and on the framework's own trajectories."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spark_framework import RunConfig, TrajectoryStore, ladder, load_config, preset, train
from spark_framework.api import hookimpl
from spark_framework.cli import main
from spark_framework.errors import ConfigError, DataError
from spark_framework.host.manager import Host, using_host
from spark_framework.models.loading import load_model, load_tokenizer
from spark_framework.training.data.ppo_csv import read_ppo_csv, write_ppo_csv
from spark_framework.training.trainers.checkpoints import latest_complete_checkpoint
from spark_plugin_algorithms.steptool.trainer import StepTrainer
from tests.runs import STAGE, config, config_file
from tests.steptool.episodes import EXAMPLES
from tests.training.made import watched

Runs = Callable[..., Path]
STEP = {**STAGE, "kind": "steptool", "batch_size": 3, "max_grad_norm": 1.0}


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """Five rows: one whole batch of three and one of two."""
    path = tmp_path / "train.csv"
    write_ppo_csv(path, [*EXAMPLES, *EXAMPLES, EXAMPLES[0]])
    return path


def settings(tiny: Path, run: Path, csv: Path, **steptool: Any) -> RunConfig:
    stage = {**STEP, "epochs": 2, "steptool": {"csv": str(csv), "passes": 2, **steptool}}
    return config(tiny, run, stages={"steptool": stage}, rollouts=[{"name": "explore"}])


def log(adapter: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (adapter.parent / "log.jsonl").read_text().splitlines()]


def weights(adapter: Path) -> dict[str, torch.Tensor]:
    return load_file(adapter / "adapter_model.safetensors")


@pytest.mark.parametrize("compat", ["paper", "released"])
def test_steptools_csv_is_trained_on_without_a_round(
    tiny: Path, tmp_path: Path, csv: Path, monkeypatch: pytest.MonkeyPatch, compat: str
) -> None:
    made = watched(monkeypatch, StepTrainer)
    adapter = train(settings(tiny, tmp_path / "run", csv, compat=compat), "steptool")
    figures = [entry for entry in log(adapter) if "loss" in entry]
    assert figures
    for name in ("loss", "policy_loss", "value_loss", "kl", "kl_coef", "ratio", "clip_fraction"):
        assert all(math.isfinite(entry[name]) for entry in figures), name
    assert made[0].state.global_step == 8  # 2 epochs of 2 batches with 2 passes each
    assert figures[0]["kl"] == pytest.approx(0, abs=1e-4)  # nothing has moved yet
    assert all(tensor.abs().max() > 0 for key, tensor in weights(adapter).items() if "lora_B" in key)
    head = made[0].agent.value_head
    assert head is not None
    assert all(parameter.abs().max() > 0 for parameter in head.parameters())


def test_the_stage_reads_the_models_own_log_probabilities(
    tiny: Path, tmp_path: Path, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference is log pi of every response token, given all that came before it."""
    made = watched(monkeypatch, StepTrainer)
    train(settings(tiny, tmp_path / "run", csv), "steptool")
    model, tokenizer = load_model(str(tiny), dtype="float32", device="cpu"), load_tokenizer(str(tiny))
    ids, mask = [], []
    for prompt, response in zip(EXAMPLES[1].prompts, EXAMPLES[1].responses, strict=True):
        for text, wanted in ((prompt, False), (response, True)):
            part = tokenizer(text, add_special_tokens=False).input_ids
            ids += part
            mask += [wanted] * len(part)
    with torch.no_grad():
        logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = [float(logp[at - 1, ids[at]]) for at in range(1, len(ids)) if mask[at]]
    found = made[0].rows[1].in_order(made[0].reference[1])
    assert found.tolist() == pytest.approx(expected, abs=1e-4)


def test_released_whitens_over_the_batch_and_paper_pays_the_last_step(
    tiny: Path, tmp_path: Path, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[str, list[torch.Tensor]] = {}
    plain = StepTrainer.begin_batch

    def begin_batch(self: StepTrainer, indices: Any) -> None:
        plain(self, indices)
        first.setdefault(self.section.compat, [self.batch[index]["return"] for index in indices])
        advantage = torch.cat([kept["advantage"] for kept in self.batch.values()])
        assert float(advantage.mean()) == pytest.approx(0, abs=1e-5)
        assert float(advantage.std()) == pytest.approx(1, abs=1e-4)

    monkeypatch.setattr(StepTrainer, "begin_batch", begin_batch)
    for compat in ("paper", "released"):
        train(settings(tiny, tmp_path / compat, csv, compat=compat), "steptool")
    rewards = {round(example.rewards[-1], 2) for example in EXAMPLES}
    assert {round(float(one[-1]), 2) for one in first["paper"]} <= rewards
    assert not {round(float(one[-1]), 2) for one in first["released"]} & rewards


@pytest.mark.parametrize("compat", ["paper", "released"])
def test_whether_it_was_solved_changes_the_adapter_in_paper_and_not_in_released(
    tiny: Path, tmp_path: Path, compat: str
) -> None:
    """Two-step trajectories that differ in the last reward only."""
    adapters = []
    for solved in (0.0, 1.0):
        path = tmp_path / f"{solved}.csv"
        write_ppo_csv(path, [EXAMPLES[0].model_copy(update={"rewards": (0.8, solved)})] * 2)
        adapters.append(weights(train(settings(tiny, tmp_path / f"run-{solved}", path, compat=compat), "steptool")))
    one, other = adapters
    same = all(torch.equal(one[key], other[key]) for key in one)
    assert same is (compat == "released")


ROUND = [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3, "branch_among": "policy",
          "wave_size": 2}]  # fmt: skip


@pytest.mark.parametrize("compat", ["paper", "released"])
def test_own_trajectories_are_trained_on(demonstrations: Runs, tmp_path: Path, compat: str) -> None:
    """The rewards come from what is stored: the call's success, the judge's score, the right answer."""
    stage = {**STEP, "data": "demonstrations", "steptool": {"compat": compat, "passes": 2}}
    adapter = train(demonstrations(tmp_path / "run", stages={"st": stage}, rollouts=ROUND), "st")
    assert all(math.isfinite(entry["loss"]) for entry in log(adapter) if "loss" in entry)
    assert all(tensor.abs().max() > 0 for key, tensor in weights(adapter).items() if "lora_B" in key)


def test_rewards_are_succ_calling_and_contribution_and_then_is_solved(
    demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spark_framework.runs.run_dir import existing_run

    made = watched(monkeypatch, StepTrainer)
    stage = {**STEP, "data": "demonstrations", "steptool": {"passes": 1}}
    run = demonstrations(tmp_path / "run", stages={"st": stage}, rollouts=ROUND)
    train(run, "st")
    trajectories = list(existing_run(run).trajectories().read("demonstrations"))
    assert len(made[0].rows) == len(trajectories)
    for row, trajectory in zip(made[0].rows, trajectories, strict=True):
        *earlier, closing = trajectory.steps
        expected = [(float(step.candidate.ok is True) + (step.score or 0) / 10) / 2 for step in earlier]
        assert row.score_S.tolist() == pytest.approx([*expected, float(trajectory.correct)])
        assert closing.is_answer


def test_a_runs_trajectories_become_steptools_csv(
    demonstrations: Runs, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same texts and rewards; and the file is trained on like StepTool's own."""
    made = watched(monkeypatch, StepTrainer)
    stage = {**STEP, "data": "demonstrations", "steptool": {"passes": 1, "annotator": "steptool_rules"}}
    run = demonstrations(tmp_path / "run", stages={"st": stage}, rollouts=ROUND)
    assert main(["steptool", "export", str(run), "--stage", "st", "--to", str(tmp_path / "own.csv")]) == 0
    train(run, "st")
    written = read_ppo_csv(tmp_path / "own.csv")
    tokenizer = load_tokenizer(str(tiny))
    for example, row in zip(written, made[0].rows, strict=True):
        assert example.rewards == pytest.approx(row.score_S.tolist())
        texts = [text for pair in zip(example.prompts, example.responses, strict=True) for text in pair]
        assert "".join(texts) == tokenizer.decode(row.row.ids)
    train(settings(tiny, tmp_path / "again", tmp_path / "own.csv", passes=1), "steptool")
    assert [one.score_S.tolist() for one in made[1].rows] == [one.score_S.tolist() for one in made[0].rows]


def test_steptool_and_spark_are_rungs_of_one_ladder(tiny: Path, tmp_path: Path) -> None:
    """On the same questions, from the same round and the same imitation."""
    learn = {**STAGE, "init": "sft", "data": "explore"}
    stages = {
        "sft": {**STAGE, "data": "demonstrations"},
        "spark": {**learn, "critic": {"kind": "frozen_features"}},
        "steptool": {**learn, "batch_size": 4, "steptool": {"passes": 2}},
    }
    lines: list[str] = []
    result = ladder(config(tiny, tmp_path / "run", stages=stages), report=lines.append)
    assert [stage["stage"] for stage in result["stages"]] == ["base", "tools", *stages]
    assert {(c["a"], c["b"]) for c in result["comparisons"]} >= {("spark", "steptool"), ("sft", "steptool")}
    asked = [
        [one.question.id for one in TrajectoryStore(tmp_path / "run" / "eval" / f"{name}.jsonl").read()]
        for name in ("spark", "steptool")
    ]
    assert asked[0] == asked[1]
    assert "| steptool |" in lines[-1]


@pytest.mark.parametrize("name", ["ladder", "steptool"])
def test_the_presets_have_a_stage_steptool(name: str) -> None:
    stage = load_config(preset(name), RunConfig).stages["steptool"]
    assert stage.name == "steptool"


def test_questions_without_a_success_can_be_left_out(
    demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = watched(monkeypatch, StepTrainer)
    stage = {**STEP, "data": "demonstrations", "require_a_success": True, "steptool": {"passes": 1}}
    run = demonstrations(tmp_path / "run", stages={"st": stage}, rollouts=ROUND)
    train(run, "st")
    stored = list(TrajectoryStore(run / "trajectories.jsonl").read("demonstrations"))
    won = {one.index for one in stored if one.success}
    assert len(made[0].rows) == sum(one.index in won for one in stored) > 0


def test_figures_say_how_far_the_policy_is_and_what_its_tools_were_worth(demonstrations: Runs, tmp_path: Path) -> None:
    stage = {**STEP, "data": "demonstrations", "steptool": {"passes": 5}}
    adapter = train(demonstrations(tmp_path / "run", stages={"st": stage}, rollouts=ROUND), "st")
    figures = [entry for entry in log(adapter) if "loss" in entry]
    for name in ("kl_k2", "approx_kl", "entropy", "tool_entropy", "token_entropy", "advantage/answer"):
        assert all(math.isfinite(entry[name]) for entry in figures), name
    assert figures[0]["kl_k2"] == pytest.approx(0, abs=1e-8)  # nothing has moved yet
    assert figures[-1]["kl_k2"] > 0
    assert "explained_variance" in figures[-1]


def test_a_policy_that_runs_away_ends_the_stage_and_keeps_to_one_action_warns(
    demonstrations: Runs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = {**STEP, "data": "demonstrations", "epochs": 4, "alarm": {"max_kl": 1e-6, "min_entropy": 20.0},
             "steptool": {"passes": 2}}  # fmt: skip
    adapter = train(demonstrations(tmp_path / "run", stages={"st": stage}, rollouts=ROUND), "st")
    far, narrow = "nats a trajectory, above 1e-06: the stage ends here", "the policy keeps to one action"
    alarms = [entry["alarm"] for entry in log(adapter) if "alarm" in entry]
    assert len(alarms) == 1
    assert alarms[0].startswith("stage st, update 10: the KL to the reference is ")
    assert far in alarms[0]
    assert "or stages.st.steptool.kl_coef to 1.2 (it is 0.3)" in alarms[0]
    assert caplog.messages[-1] == alarms[0]

    calm = {**stage, "alarm": {"min_entropy": 20.0}}
    adapter = train(demonstrations(tmp_path / "calm", stages={"st": calm}, rollouts=ROUND), "st")
    (alarm,) = [entry["alarm"] for entry in log(adapter) if "alarm" in entry]
    assert narrow in alarm
    assert log(adapter)[-1]["step"] > 10


# -- interruptions and mistakes --------------------------------------------------------------------------------------


class Saboteur:
    """Interrupts the program when the trainer logs at or after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def spark_update_finished(self, stage: str, metrics: Any) -> None:
        if metrics["step"] >= self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("save_steps", [1, 3])
def test_an_interrupted_stage_ends_as_an_uninterrupted_one(
    tiny: Path, tmp_path: Path, csv: Path, save_steps: int
) -> None:
    """Interrupted at the fifth step; the last checkpoint is in the middle of a batch, or between two."""

    def run(name: str) -> RunConfig:
        plain = settings(tiny, tmp_path / name, csv).model_dump(mode="json")
        plain["stages"]["steptool"] |= {"save_steps": save_steps, "epochs": 3}
        return RunConfig.model_validate(plain)

    expected = weights(train(run("whole"), "steptool"))
    host = Host()
    host.register(Saboteur(5))
    with using_host(host), pytest.raises(KeyboardInterrupt):
        train(run("cut"), "steptool")
    assert latest_complete_checkpoint(tmp_path / "cut" / "train" / "steptool" / "checkpoints") is not None
    resumed = weights(train(run("cut"), "steptool"))
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[key], tensor) for key, tensor in expected.items())


def test_a_damaged_csv_ends_the_stage_before_anything_is_written(tiny: Path, tmp_path: Path) -> None:
    csv = tmp_path / "train.csv"
    csv.write_text("prompt\tresponse\treward\n['a']\t['b']\t['c']\n")
    with pytest.raises(DataError, match="row 1: the reward of step 1 is 'c'"):
        train(settings(tiny, tmp_path / "run", csv), "steptool")
    assert not (tmp_path / "run" / "train").exists()


def test_a_damaged_csv_is_one_line_and_exit_code_2(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv = tmp_path / "train.csv"
    csv.write_text(f"prompt\tresponse\treward\n['a']\t['b']\t[1]\n['a']\t['{'b' * 100_000}']\t[1]\n")
    plain = settings(tiny, tmp_path / "run", csv).model_dump(mode="json")
    assert main(["train", str(config_file(tmp_path, plain)), "--stage", "steptool"]) == 2
    err = capsys.readouterr().err
    assert err == (f"error: {csv}, row 2: the response of step 1 has 100,000 characters; at most 50,000 are allowed\n")
    assert not (tmp_path / "run" / "train").exists()


def test_a_row_longer_than_the_models_context_is_one_line(tiny: Path, tmp_path: Path, csv: Path) -> None:
    write_ppo_csv(csv, [EXAMPLES[0], EXAMPLES[0].model_copy(update={"responses": ("x", "y " * 4000)})])
    with pytest.raises(DataError, match=r"row 2 has \d+ tokens; the model reads 2048: lower steptool.max_context"):
        train(settings(tiny, tmp_path / "run", csv, max_response=4000), "steptool")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rho": 0.7}, r"stages\.st\.rho\n  unknown key"),
        ({"critic": {"kind": "frozen_features"}}, r"stages\.st\.critic\n  unknown key"),
        ({"kind": "ppo", "rho": 0.7}, r"stages\.st\.rho\n  unknown key"),
        ({"kind": "sft", "alarm": {"max_kl": 1.0}}, r"stages\.st\.alarm\n  unknown key"),
        ({"kind": "rft", "critic": {"kind": "shared"}}, r"stages\.st\.critic\n  unknown key"),
        ({"kind": "spark", "sft_branches": "chosen"}, r"stages\.st\.sft_branches\n  unknown key"),
        (
            {"require_correct": True, "steptool": {"csv": "a.csv"}},
            "require_correct filters a round, and this stage reads a csv",
        ),
        ({"steptool": {"csv": "a.csv", "annotator": "steptool_rules"}}, "a csv already holds rewards"),
    ],
)
def test_a_key_that_would_be_ignored_is_refused(tiny: Path, tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=text):
        config(tiny, tmp_path, stages={"st": {**STEP, "data": "demonstrations", **changes}}, rollouts=ROUND)


def test_a_section_steptool_in_another_stage_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, ValueError), match=r"stages\.ppo\.steptool\n  unknown key"):
        config(
            tiny, tmp_path, stages={"ppo": {"kind": "ppo", "data": "demonstrations", "steptool": {}}}, rollouts=ROUND
        )
