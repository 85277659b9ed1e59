"""What a stage will cost: against published shapes, a counter of real FLOPs, and the files of a real run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spark_framework.cli import main
from spark_framework.contracts.stage import LoraConfig
from spark_framework.models.loading import load_model, load_skeleton
from spark_framework.training.cost_model import CostEstimate, ModelShape, estimate
from spark_framework.training.data.token_tree import Decision, TokenTree
from spark_framework.training.model.actor_critic import ActorCritic, add_actor_adapter
from tests.runs import STAGE
from tests.training.trees import algorithm

Runs = Callable[..., Path]
QV = LoraConfig(r=8, targets=("q_proj", "v_proj"))


def llama_8b(lora: LoraConfig) -> ModelShape:
    """Llama-3.1-8B, built from its published config without any weight."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, max_position_embeddings=131072, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("meta"):
        base = LlamaForCausalLM(config).to(torch.bfloat16)
        return ModelShape.of(add_actor_adapter(base, lora, None, seed=0), torch.bfloat16)


def trajectory(tokens: int = 947, predicted: int = 302, last_state: int = 887) -> TokenTree:
    """A plain row of five actions."""
    row = TokenTree(name="row", ids=[0] * tokens, positions=list(range(tokens)), parents=list(range(-1, tokens - 1)))
    for k in range(5):
        state = last_state - 1 - 100 * (4 - k)
        count = predicted // 5 + (k < predicted % 5)
        row.decisions.append(
            Decision(
                "think",
                k,
                state,
                state + 1,
                token_positions=list(range(state + 1, state + 1 + count)),
                constrained=False,
            )
        )
    return row


def cost(shape: ModelShape, rows: list[TokenTree] | None = None, **stage: Any) -> CostEstimate:
    one = algorithm("ppo", batch_size=1, **stage)
    return estimate(shape, one, rows or [trajectory()], dtype="bfloat16", quantized=False, pack_tokens=2048)


def test_llama_8b_costs_what_the_docs_state() -> None:
    """A trajectory of 947 tokens with 302 of actions; 5.5 or 9.5 MB of activations a token; 16.1 GB of weights."""
    shape = llama_8b(QV)
    assert shape.parameters == 8_030_261_248
    separate = cost(shape)
    assert separate.flops_epoch == pytest.approx(52.7e12, rel=0.02)
    assert cost(shape, gradient_checkpointing=True).flops_epoch == pytest.approx(78.8e12, rel=0.02)
    assert cost(shape, critic={"kind": "detached"}).flops_epoch == pytest.approx(27.5e12, rel=0.02)
    without_warm_up = cost(shape, critic={"warmup_epochs": 0})
    assert without_warm_up.flops_once == pytest.approx(26.4e12, rel=0.02)
    assert separate.memory["weights"] == pytest.approx(16.1e9, rel=0.01)
    assert separate.memory["activations"] / 947 == pytest.approx(5.5e6, rel=0.02)
    assert cost(llama_8b(LoraConfig())).memory["activations"] / 947 == pytest.approx(9.5e6, rel=0.02)


@pytest.mark.parametrize("lora", [{}, {"layers": 1}, {"targets": ["q_proj", "v_proj"]}])
def test_flops_are_those_that_torch_counts(tiny: Path, lora: dict[str, Any]) -> None:
    """Of the actor's linear layers, forward and backward (torch does not count attention on a CPU). Ours are a little
    more: the first trained layer needs no gradient of its input, which is 5 % of this model and 1 % of an 8B one."""
    section = LoraConfig.model_validate({"r": 2, "alpha": 4, **lora})
    model = add_actor_adapter(load_model(str(tiny), dtype="float32", device="cpu"), section, None, seed=0)
    agent, row = ActorCritic(model, [0], None, 0), trajectory(120, 60, 110)
    for k, decision in enumerate(row.decisions):
        decision.state_position = 10 + 20 * k
        decision.first_position = 11 + 20 * k
        decision.token_positions = list(range(11 + 20 * k, 23 + 20 * k))
    with FlopCounterMode(display=False) as counter:
        inputs = agent.inputs([0], [row])
        (logp,) = agent.log_probs(agent.forward(inputs), inputs)
        logp.token_T.sum().backward()
    shape = ModelShape.of(model, torch.float32)
    ours = shape.forward(120, 0, 60) + shape.backward(120, 0, 60)
    assert 1 < ours / counter.get_total_flops() < 1.06


def test_a_skeleton_has_the_shape_of_the_model(tiny: Path) -> None:
    with torch.device("meta"):
        empty = add_actor_adapter(load_skeleton(str(tiny), torch.float32), LoraConfig(r=2), None, seed=0)
    assert {p.device.type for p in empty.parameters()} == {"meta"}
    full = add_actor_adapter(load_model(str(tiny), dtype="float32", device="cpu"), LoraConfig(r=2), None, seed=0)
    assert ModelShape.of(empty, torch.float32) == ModelShape.of(full, torch.float32)


def test_what_saves_memory_and_what_it_costs() -> None:
    shape = llama_8b(QV)
    plain, checkpointed = cost(shape), cost(shape, gradient_checkpointing=True)
    assert checkpointed.memory["activations"] < 0.1 * plain.memory["activations"]
    assert checkpointed.flops_epoch > 1.4 * plain.flops_epoch
    one = algorithm("ppo", batch_size=8)
    rows = [trajectory() for _ in range(8)]
    quantized = estimate(shape, one, rows, dtype="bfloat16", quantized=True, pack_tokens=4096)
    assert quantized.memory["weights"] == pytest.approx(0.516 * 6.98e9 + 2 * 1.05e9, rel=0.01)
    assert quantized.pass_tokens == 4096
    assert quantized.tokens == 8 * 947


def test_a_dry_run_loads_no_weights_and_writes_nothing(
    demonstrations: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second stage starts from the first, which need not be trained for that."""
    from transformers import AutoModelForCausalLM

    def refused(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", refused)
    data = {**STAGE, "data": "demonstrations"}
    rounds = [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3,
               "branch_among": "policy", "wave_size": 2}]  # fmt: skip
    stages = {"sft": data, "ppo": {**data, "init": "sft"}, "steptool": data}
    run = demonstrations(tmp_path / "run", stages=stages, rollouts=rounds)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    for stage in stages:
        assert main(["train", str(run), "--stage", stage, "--dry-run"]) == 0
        printed = capsys.readouterr().out
        for part in ("rows", "action tokens", "memory, together", "arithmetic, an epoch"):
            assert part in printed
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert main(["train", str(run), "--stage", "nothing", "--dry-run"]) == 2


def test_a_plan_is_read_by_people() -> None:
    text = str(cost(llama_8b(LoraConfig()), [trajectory() for _ in range(3)]))
    assert "rows                                 3   the longest has 947 tokens" in text
    assert "action tokens                      906" in text
