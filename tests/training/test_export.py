"""What leaves the framework: a merged model for anybody, and an adapter for PEFT and vLLM."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from spark_framework import export, train
from spark_framework.cli import main
from spark_framework.errors import RunError
from spark_framework.models.loading import load_model
from tests.runs import STAGE

Runs = Callable[..., Path]
ROUND = [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3, "branch_among": "policy",
          "wave_size": 2}]  # fmt: skip
DATA = {**STAGE, "data": "demonstrations", "epochs": 2, "lora": {"r": 8, "alpha": 16, "layers": 2}}


@pytest.fixture(scope="module")
def trained(demonstrations: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = demonstrations(tmp_path_factory.mktemp("export") / "run", stages={"sft": DATA}, rollouts=ROUND)
    train(run, "sft")
    return run


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")
def test_a_plain_model_comes_out(trained: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what base and adapter say, and it is no PEFT model any more."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    to = tmp_path / "models" / "mine"
    assert main(["export", str(trained), "--stage", "sft", "--to", str(to)]) == 0
    assert capsys.readouterr().out.strip() == str(to)
    assert [path.name for path in to.parent.iterdir()] == ["mine"]
    assert not list(to.glob("adapter*"))
    model, base = AutoModelForCausalLM.from_pretrained(to), load_model(str(tiny), dtype="float32", device="cpu")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        plain = base(ids).logits
        expected = PeftModel.from_pretrained(base, str(trained / "train" / "sft" / "adapter"))(ids).logits
        found = model(ids).logits
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, plain, atol=1e-3)
    assert AutoTokenizer.from_pretrained(to).chat_template == AutoTokenizer.from_pretrained(tiny).chat_template
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape == (1, 7)


def test_nothing_is_overwritten(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(RunError, match="already exists"):
        export(trained, "sft", tmp_path / "mine")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_an_untrained_stage_is_one_line(demonstrations: Runs, tmp_path: Path) -> None:
    run = demonstrations(tmp_path / "run", stages={"sft": DATA}, rollouts=ROUND)
    with pytest.raises(RunError, match="has not been trained"):
        export(run, "sft", tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_broken_export_leaves_nothing(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full after the weights, before the tokenizer."""
    from transformers import PreTrainedTokenizerBase

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PreTrainedTokenizerBase, "save_pretrained", full)
    with pytest.raises(RunError, match="cannot be written"):
        export(trained, "sft", tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_the_adapter_is_in_vllms_format(trained: Path) -> None:
    """What vLLM's `PEFTHelper` and `LoRAModel.from_local_checkpoint` ask for."""
    adapter = trained / "train" / "sft" / "adapter"
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["r"] == 8
    assert config["lora_alpha"] == 16
    assert isinstance(config["target_modules"], list)
    assert config["modules_to_save"] is None
    assert config["bias"] == "none"
    assert not config["use_dora"]
    assert not config["rank_pattern"]
    assert not config["alpha_pattern"]
    with safe_open(adapter / "adapter_model.safetensors", framework="pt") as tensors:
        names = list(tensors.keys())
        ranks = {min(tensors.get_tensor(name).shape) for name in names}
    assert ranks == {8}
    for name in names:
        assert name.startswith("base_model.model.model.layers.")
        module, part, weight = name.rsplit(".", 2)
        assert (part, weight) in [("lora_A", "weight"), ("lora_B", "weight")]
        assert module.rsplit(".", 1)[1] in config["target_modules"]
