"""The recipes at the repository's root are configs that load, with the paper's hyper-parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spark_framework import RunConfig, load_config
from spark_framework.config.policy import LocalPolicyConfig

RECIPES = Path(__file__).parents[2] / "recipes"
RUNS = sorted(RECIPES.glob("llama31_8b_*.yaml"))


def test_there_are_recipes() -> None:
    assert [path.stem for path in RUNS] == ["llama31_8b_qlora", "llama31_8b_spark"]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_recipe_has_the_papers_hyper_parameters(path: Path) -> None:
    config = load_config(path, RunConfig)
    assert isinstance(config.policy, LocalPolicyConfig)
    assert config.policy.quantization == ("4bit" if "qlora" in path.stem else None)
    assert config.run == Path("runs") / path.stem.removesuffix("_spark")
    assert (config.judge.name, config.selector.name) == ("gpt4o", "rarity_first")
    assert (config.threshold, config.steps, len(config.tools)) == (6.0, 5, 8)
    spark: Any = config.stages["spark"].config
    assert (spark.clip, spark.kl_target, spark.critic.kind, spark.lora.r) == (0.2, 0.2, "separate", 8)
    assert spark.require_process_ok
    assert spark.require_correct


def test_recipes_differ_only_where_they_say() -> None:
    qlora, plain = (load_config(path, RunConfig).model_dump() for path in RUNS)
    assert {key for key in plain if plain[key] != qlora[key]} == {"run", "policy", "stages"}
    for name, stage in plain["stages"].items():
        assert {**stage, "pack_tokens": 2048} == qlora["stages"][name]


def test_accelerate_reads_its_recipe() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(RECIPES / "fsdp.yaml"))
    assert config.num_processes == 8
    assert str(config.distributed_type) == "MULTI_GPU" or config.distributed_type.value == "MULTI_GPU"
