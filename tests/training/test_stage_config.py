"""What a stage may be told: each algorithm's own keys, and further options of transformers and PEFT."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from spark_framework import RunConfig, train
from spark_framework.host.component_spec import choose
from tests.runs import STAGE

Runs = Callable[..., Path]
ROUND = [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3, "branch_among": "policy",
          "wave_size": 2}]  # fmt: skip


def test_the_schema_says_which_key_belongs_to_which_algorithm() -> None:
    check = jsonschema.Draft202012Validator(RunConfig.model_json_schema())
    assert check.is_valid({"stages": {"x": {"kind": "spark", "rho": 0.2, "critic": {"kind": "shared"}}}})
    assert check.is_valid({"stages": {"x": {"kind": "steptool", "steptool": {"passes": 2}}}})
    assert not check.is_valid({"stages": {"x": {"kind": "ppo", "rho": 0.2}}})
    assert not check.is_valid({"stages": {"x": {"kind": "sft", "critic": {}}}})


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (
            {"training_args": {"adam_beta9": 1}},
            "adam_beta9 is not a field of TrainingArguments; did you mean",
        ),
        ({"training_args": {"learning_rate": 1e-4}}, "learning_rate cannot be set here: use lr"),
        ({"training_args": {"gradient_accumulation_steps": 2}}, "use batch_size"),
        ({"training_args": {"eval_steps": 2}}, "stages are not evaluated while they train"),
        ({"lora": {"lora_alpa": 3}}, "lora_alpa is not a field of PEFT's LoraConfig; did you mean 'lora_alpha'"),
        ({"lora": {"lora_dropout": 0.1}}, "lora_dropout cannot be set here: ratios compare the same function"),
        ({"lora": {"lora_alpha": 3, "alpha": 4}}, "lora_alpha and alpha are two names of one setting"),
        ({"lora": {"layers": 1, "layers_to_transform": [0]}}, "keep one of them"),
    ],
)
def test_an_option_that_would_not_be_honoured_is_one_line(stage: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        choose("algorithm", {"kind": "sft", **stage})
    (error,) = caught.value.errors()
    assert text in error["msg"]
    assert "\n" not in error["msg"]


def test_options_of_transformers_and_peft_reach_them(
    demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spark_framework.training.trainers.tree_trainer import TreeTrainer

    made: list[TreeTrainer] = []
    plain = TreeTrainer.__init__

    def init(self: TreeTrainer, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(TreeTrainer, "__init__", init)
    stage = {
        **STAGE, "kind": "sft", "data": "demonstrations",
        "lora": {"r": 2, "lora_alpha": 6, "target_modules": ["q_proj"], "use_rslora": True},
        "training_args": {"weight_decay": 0.3, "adam_beta2": 0.9, "logging_steps": 2},
    }  # fmt: skip
    adapter = train(demonstrations(tmp_path / "run", stages={"sft": stage}, rollouts=ROUND), "sft")
    saved = json.loads((adapter / "adapter_config.json").read_text())
    assert (saved["lora_alpha"], saved["target_modules"], saved["use_rslora"]) == (6, ["q_proj"], True)
    (group,) = made[0].optimizer.param_groups  # type: ignore[union-attr]
    assert (group["weight_decay"], group["betas"]) == (0.3, (0.9, 0.9))
    assert made[0].args.logging_steps == 2


def test_the_core_names_no_algorithm() -> None:
    root = Path(__file__).parents[2] / "spark_framework"
    pattern = r"stage\.kind|WITH_CRITIC|[\"'](sft|rft|replay|ppo|spark|dpo)[\"']"
    found = subprocess.run(
        ["grep", "-rnE", pattern, "--include=*.py", str(root)], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
