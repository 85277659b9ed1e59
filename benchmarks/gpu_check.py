"""The trainer on a GPU: a model of Llama-3.1-8B's shape with random weights, built from its config. No download.

    python benchmarks/gpu_check.py           # `make gpu-check`; exits with a message if there is no CUDA device
    python benchmarks/gpu_check.py --tiny    # the same code on a toy shape, also on a CPU: figures mean nothing there

Trajectories of 947 tokens in five steps, 305 tokens of actions; bfloat16, LoRA r = 8 on q and v in single precision.

ours       a row for each trajectory, packed; actor and separate critic on one base; the output layer at action tokens.
in_common  the same, where the first 300 tokens of all trajectories are the same: they are read once for a pass.
naive      a row for each step, its prefix encoded again, two at a time with right padding; logits at every position;
           reference read again. Actor and critic share the base here too: three models of this size fit on no GPU.
steptool   what a step of StepTool's trainer does: a row for each trajectory, two at a time with right padding; value
           head on the actor's trunk; logits in single precision at every position; policy and reference read first,
           then four passes. Its time is that of one pass with its share of the reading. (A critic of its own is what
           ours pays for in addition.)

First of all packed and unpacked rows are compared on a small model in float32: loss and gradients. Each variant then
makes one update to warm up and one that is timed. MFU counts the FLOPs of `ours` (training/plan.py) and the dense
bfloat16 peak of the GPU. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from stage_trainer import algorithm, trainer_of
from torch import Tensor, nn

from spark_framework.contracts.stage import CriticConfig, LoraConfig
from spark_framework.training.cost_model import ModelShape, estimate
from spark_framework.training.data.token_tree import Decision, TokenTree
from spark_framework.training.model.actor_critic import CRITIC, ActorCritic, ValueHead, add_actor_adapter

LORA = LoraConfig(r=8, alpha=16, targets=("q_proj", "v_proj"))
LLAMA_8B = {
    "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "rope_theta": 500000.0, "max_position_embeddings": 131072,
}  # fmt: skip
TINY = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 4096,
}  # fmt: skip
PEAKS = {"H100": 989, "H200": 989, "A100": 312, "L40S": 362, "B200": 2250}
"""TFLOP/s, dense bfloat16, of the SXM boards."""
LABELS = list(range(10))
PASSES = 4
IN_COMMON = 300


def build(shape: dict[str, Any], device: str, dtype: torch.dtype) -> Any:
    """A Llama with random weights, made where and as it is used."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**shape, attn_implementation="sdpa", tie_word_embeddings=False)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)


def trajectory(seed: int, vocabulary: int, prompt: int, action: int, observation: int) -> TokenTree:
    """A row of five steps with random tokens and rewards."""
    draw = torch.Generator().manual_seed(seed)
    tokens = prompt + 5 * action + 4 * observation
    ids = torch.randint(len(LABELS), vocabulary, (tokens,), generator=draw).tolist()
    row = TokenTree(name=str(seed), ids=ids, positions=list(range(tokens)), parents=list(range(-1, tokens - 1)))
    for depth in range(5):
        start = prompt + depth * (action + observation)
        row.ids[start] = (seed + depth) % len(LABELS)
        reward = float(torch.rand((), generator=draw))
        free = list(range(start + 1, start + action))
        row.decisions.append(Decision("think", depth, start - 1, start, token_positions=free, reward=reward))
    return row


def beginning_alike(rows: list[TokenTree], tokens: int) -> list[TokenTree]:
    """The rows with the first tokens of the first one."""
    return [replace(row, ids=[*rows[0].ids[:tokens], *row.ids[tokens:]]) for row in rows]


# -- ours --------------------------------------------------------------------------------------------------------------


def our_trainer(base: Any, rows: list[TokenTree], folder: Path, pack_tokens: int) -> Any:
    critic = CriticConfig(warmup_epochs=0)
    one = algorithm("ppo", lora=LORA, critic=critic, batch_size=len(rows), pack_tokens=pack_tokens)
    agent = ActorCritic(add_actor_adapter(base, LORA, None, 0), LABELS, critic, 0)
    assert agent.value_head is not None
    nn.init.normal_(agent.value_head.outer.weight, std=0.1)
    trainer = trainer_of(one, agent, rows, folder, str(folder))
    trainer.prepare()
    trainer.begin_epoch(0)
    shake(agent.model)
    return trainer


def shake(model: Any) -> None:
    """Move the adapters away from where they begin, where the loss has no slope in A."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))


def packing_errors(device: str) -> tuple[float, float]:
    """Loss and relative gradient difference (L2) of packed and unpacked rows, in float32 on a small model."""
    rows = beginning_alike([trajectory(i, TINY["vocab_size"], 40 + 7 * i, 12 + i, 9) for i in range(4)], 30)
    found = []
    for pack_tokens in (1, 4096):
        with tempfile.TemporaryDirectory() as folder:
            trainer = our_trainer(build(TINY, device, torch.float32), rows, Path(folder), pack_tokens)
            assert len(trainer.reader.batches_of(range(4))) == (4 if pack_tokens == 1 else 1)
            loss = trainer.training_step(trainer.model, trainer.data_collator(list(range(len(rows)))))
            parameters = [*trainer.agent.actor_parameters(), *trainer.agent.critic_parameters()]
            found.append((float(loss), torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])))
    (loss, gradient), (packed_loss, packed_gradient) = found
    return abs(loss - packed_loss), float((gradient - packed_gradient).norm() / gradient.norm())


# -- the others --------------------------------------------------------------------------------------------------------


class Padded:
    """Rows in pairs with right padding and logits at every position."""

    def __init__(self, base: Any, *, single: bool) -> None:
        self.model = add_actor_adapter(base, LORA, None, 0)
        self.model.add_adapter(CRITIC, self.model.peft_config["default"])
        self.model.set_adapter("default")
        self.head = ValueHead(base.config.hidden_size, 128).to(base.device)
        self.single = single
        """Whether logits are turned to single precision."""

    def read(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        """log pi of every token after the first, and the last hidden states."""
        width, device = max(map(len, rows)), self.model.device
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        out = self.model(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True)
        logits = out.logits.float() if self.single else out.logits
        return logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0], out.hidden_states[-1]

    def naive(self, rows: list[TokenTree]) -> None:
        steps = [row.ids[: d.token_positions[-1] + 1] for row in rows for d in row.decisions]
        for pair in pairs(steps):
            with torch.no_grad(), self.model.disable_adapter():
                reference, _ = self.read(pair)
            logp, _ = self.read(pair)
            (logp - reference).exp().mean().backward()
            self.model.set_adapter(CRITIC)
            hidden = self.model.get_base_model().model(input_ids=padded(pair, self.model.device)).last_hidden_state
            self.head(hidden[:, -1]).square().mean().backward()
            self.model.set_adapter("default")

    def steptool(self, rows: list[TokenTree]) -> None:
        for pair in pairs([row.ids for row in rows]):
            with torch.no_grad():
                old, _ = self.read(pair)
                with self.model.disable_adapter():
                    self.read(pair)
            for _ in range(PASSES):
                logp, hidden = self.read(pair)
                values = self.head(hidden.flatten(0, 1))
                ((logp - old).exp().mean() + values.square().mean()).backward()


def pairs(rows: list[list[int]]) -> list[list[list[int]]]:
    return [rows[first : first + 2] for first in range(0, len(rows), 2)]


def padded(rows: list[list[int]], device: Any) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)


# -- measuring ---------------------------------------------------------------------------------------------------------


def measure(update: Callable[[], object], rows: list[TokenTree], share: float = 1.0) -> dict[str, float]:
    """Seconds, speed and peak memory of an update, after one to warm up. `share`: of the time that counts."""
    cuda = torch.cuda.is_available()
    update()
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    update()
    if cuda:
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - start) * share
    return {
        "seconds": seconds, "trajectories_per_s": len(rows) / seconds,
        "tokens_per_s": sum(len(row.ids) for row in rows) / seconds,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0,
    }  # fmt: skip


def free(*owners: list[Any]) -> None:
    for owner in owners:
        owner.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def measure_all(
    shape: dict[str, Any], device: str, dtype: torch.dtype, rows: list[TokenTree]
) -> dict[str, dict[str, float]]:
    found = {}
    indices = list(range(len(rows)))
    for name, read in (("ours", rows), ("in_common", beginning_alike(rows, min(IN_COMMON, len(rows[0].ids) // 3)))):
        with tempfile.TemporaryDirectory() as folder:
            kept: list[Any] = [our_trainer(build(shape, device, dtype), read, Path(folder), pack_tokens=4096)]
            found[name] = measure(
                lambda kept=kept: kept[0].training_step(kept[0].model, kept[0].data_collator(indices)), read
            )
            if name == "ours":
                one = algorithm("ppo", lora=LORA, batch_size=len(rows))
                model_shape = ModelShape.of(kept[0].agent.model, dtype)
                flops = estimate(model_shape, one, rows, dtype="", quantized=False, pack_tokens=4096).flops_epoch
                found[name]["tflops"] = flops / found[name]["seconds"] / 1e12
            free(kept)
    for name, share in (("naive", 1.0), ("steptool", 1 / PASSES)):
        kept = [Padded(build(shape, device, dtype), single=name == "steptool")]
        found[name] = measure(lambda kept=kept, name=name: getattr(kept[0], name)(rows), rows, share)  # type: ignore[misc]
        free(kept)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a toy shape, also without a GPU: tries the code only")
    parser.add_argument("--trajectories", type=int, default=8)
    parser.add_argument("--peak-tflops", type=float, help="of the GPU, dense bfloat16 (default: known by its name)")
    args = parser.parse_args()
    if not torch.cuda.is_available() and not args.tiny:
        print("gpu-check: there is no CUDA device here; nothing was checked")
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    shape, sizes = (TINY, (60, 12, 8)) if args.tiny else (LLAMA_8B, (446, 61, 49))  # 446 + 5 x 61 + 4 x 49 = 947
    rows = [trajectory(i, shape["vocab_size"], *sizes) for i in range(args.trajectories)]
    loss, gradient = packing_errors(device)
    print(f"packed and unpacked in float32: loss differs by {loss:.1e}, gradients by {gradient:.1e} (relative L2)")
    assert loss < 1e-5
    assert gradient < 1e-4
    found = measure_all(shape, device, torch.float32 if args.tiny else torch.bfloat16, rows)
    peak = args.peak_tflops or next((value for key, value in PEAKS.items() if key in name), None)
    found["ours"]["mfu"] = found["ours"]["tflops"] / peak if peak and not args.tiny else float("nan")
    print(f"{name}, {len(rows)} trajectories of {len(rows[0].ids)} tokens{', a toy shape' * args.tiny}")
    for variant, figures in found.items():
        print(f"{variant:9}", "  ".join(f"{key} {value:,.3g}" for key, value in figures.items()))
    print(json.dumps({
        "device": name, "tiny": args.tiny, "packed_loss_error": loss, "packed_gradient_error": gradient,
        "speed_vs_naive": round(found["naive"]["seconds"] / found["ours"]["seconds"], 2),
        "speed_in_common": round(found["ours"]["seconds"] / found["in_common"]["seconds"], 2),
        "speed_vs_steptool_shape": round(found["steptool"]["seconds"] / found["ours"]["seconds"], 2),
        **{variant: {k: None if v != v else round(v, 4) for k, v in f.items()} for variant, f in found.items()},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
