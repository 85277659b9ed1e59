"""Estimates what a stage will cost, before any weights are loaded: rows, tokens, memory and arithmetic.

The estimate depends on the model's shape (its config, on torch's `meta` device) and on the stage's own rows.

FLOPs count a multiplication and an addition as two. P weights of linear layers in the trunk and r of the adapter, N
tokens in a row, A of them predicted, E pairs of a token and one that it sees, L layers of attention width q, vocabulary
V, width d:

    forward   2 (P + r) N  +  4 L q E  +  2 V d A
    backward  2 P N + 4 r N  +  8 L q E  +  2 V d A      frozen weights need no gradient

There is no backward pass below the first trained layer. A separate critic reads each row up to its last state, without
the output layer. Rows are counted one by one. Prefixes that rows of a forward pass share are computed only once, so the
arithmetic is an upper bound. The layers' norms, softmax and optimiser are not counted.

Memory: weights; for each trained number 4 bytes, 4 of gradient and 8 of AdamW; the activations of the largest
forward pass; one chunk of logits. The allocator's overhead and the CUDA context (about 1 GiB) are not included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..config.policy import LocalPolicyConfig
from ..contracts.algorithm import Algorithm
from ..contracts.stage import CriticConfig, LoraConfig
from ..models.loading import load_skeleton, resolve_device, resolve_dtype
from ..models.tree_attention import device_kind
from .data.packing import TOKENS, truncate_to_states
from .data.token_tree import TokenTree
from .model.actor_critic import add_actor_adapter
from .model.token_logprobs import MAX_LOGITS

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A weight in 4 bits, with an 8-bit scale for 64 of them and a 32-bit scale for 256 scales."""
TRAINED_BYTES = {"adapters and value head": 4, "their gradients": 4, "optimiser": 8}


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a model with a LoRA adapter that costs depend on."""

    parameters: int
    trunk: int
    """Weights of the linear layers, without the output layer."""
    adapter: int
    backward_share: float
    """Share of the layers that the backward pass reaches."""
    layers: int
    width: int
    attention: int
    """Width of all heads together."""
    vocabulary: int
    activation_bytes: float
    """Bytes of activations per token and layer, for the backward pass."""
    itemsize: int
    """Bytes per weight of the base."""

    @classmethod
    def of(cls, model: Any, dtype: torch.dtype) -> ModelShape:
        """The shape of a PEFT model, with or without weights."""
        base = model.get_base_model()
        config, head = base.config, base.get_output_embeddings()
        lora = {n: p for n, p in model.named_parameters() if ".default." in n and "lora_" in n}
        linear = {n: m for n, m in base.named_modules() if isinstance(m, nn.Linear) and "lora_" not in n}
        trained = [n.split(".layers.")[1].split(".")[0] for n in lora if ".layers." in n]
        first = min(map(int, trained), default=0)
        heads, layers = config.num_attention_heads, config.num_hidden_layers
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        keys = head_dim * (getattr(config, "num_key_value_heads", None) or heads)
        inputs = sum(p.shape[1] for n, p in lora.items() if "lora_A" in n)
        return cls(
            parameters=sum(p.numel() for n, p in model.named_parameters() if "lora_" not in n),
            trunk=sum(m.weight.numel() for m in linear.values() if m is not head),
            adapter=sum(p.numel() for p in lora.values()),
            backward_share=(layers - first) / layers,
            layers=layers, width=config.hidden_size, attention=heads * head_dim, vocabulary=head.weight.shape[0],
            # Both norms and each adapter store their input in single precision; attention stores queries, keys,
            # values and its output; a gated MLP stores its gate before and after the activation, and its other input.
            activation_bytes=8 * config.hidden_size + 4 * inputs / layers
            + dtype.itemsize * (2 * heads * head_dim + 2 * keys + 3 * config.intermediate_size),
            itemsize=dtype.itemsize,
        )  # fmt: skip

    def forward(self, tokens: int, pairs: int, predicted: int = 0) -> float:
        """FLOPs of reading tokens."""
        head = 2 * self.vocabulary * self.width * predicted
        return 2 * (self.trunk + self.adapter) * tokens + 4 * self.layers * self.attention * pairs + head

    def backward(self, tokens: int, pairs: int, predicted: int = 0) -> float:
        """FLOPs of the gradient of the adapter."""
        attention = 8 * self.layers * self.attention * pairs
        head = 2 * self.vocabulary * self.width * predicted
        return self.backward_share * (2 * self.trunk * tokens + attention) + 4 * self.adapter * tokens + head


@dataclass(frozen=True)
class CostEstimate:
    """The estimated cost of a stage. Printing it gives a table."""

    rows: int
    tokens: int
    longest: int
    """Tokens of the longest row."""
    action_tokens: int
    parameters: int
    dtype: str
    pass_tokens: int
    """Tokens of the largest forward pass."""
    memory: dict[str, float]
    """Bytes by purpose."""
    flops_once: float
    """FLOPs before the first step: reference, the critic's warm-up, V_old."""
    flops_epoch: float
    """FLOPs of each epoch."""

    def __str__(self) -> str:
        gib = {name: size / 2**30 for name, size in self.memory.items()}
        lines = [
            f"rows                      {self.rows:>12,}   the longest has {self.longest:,} tokens",
            f"tokens                    {self.tokens:>12,}   of an epoch",
            f"action tokens             {self.action_tokens:>12,}   of an epoch",
            f"parameters                {self.parameters:>12,}   {self.dtype}",
            *(f"memory, {name + ',':26}{size:>9.2f} GiB" for name, size in gib.items()),
            f"memory, together{sum(gib.values()):>27.2f} GiB   with forward passes of {self.pass_tokens:,} tokens",
            f"arithmetic, once          {self.flops_once / 1e12:>12,.3g} TFLOP",
            f"arithmetic, an epoch      {self.flops_epoch / 1e12:>12,.3g} TFLOP",
        ]
        return "\n".join(lines)


def estimate_stage(
    policy: LocalPolicyConfig, algorithm: Algorithm, lora: LoraConfig, rows: Sequence[TokenTree]
) -> CostEstimate:
    """The costs of a stage on its rows.

    Args:
        lora: of the first stage in the chain of `init`, which sets the adapter's shape.
    """
    device = resolve_device(policy.device)
    dtype = resolve_dtype(policy.dtype, device)
    skeleton = load_skeleton(policy.model, dtype)
    with torch.device("meta"):
        shape = ModelShape.of(add_actor_adapter(skeleton, lora, None, seed=0), dtype)
    return estimate(
        shape, algorithm, rows, dtype=str(dtype).removeprefix("torch."), quantized=policy.quantization is not None,
        pack_tokens=algorithm.config.pack_tokens or TOKENS[device_kind(device)],
    )  # fmt: skip


def estimate(
    shape: ModelShape, algorithm: Algorithm, rows: Sequence[TokenTree],
    *, dtype: str, quantized: bool, pack_tokens: int,
) -> CostEstimate:  # fmt: skip
    """The costs of a stage, given the model's shape."""
    lengths = sorted((len(row.ids) for row in rows), reverse=True)
    together = min(pack_tokens, sum(lengths[: algorithm.config.batch_size]))
    if algorithm.work.rows_at_once is not None:
        together = sum(lengths[: algorithm.work.rows_at_once])
    longest_pass = max(lengths[0], together)
    once, epoch = _flops(shape, algorithm, rows)
    return CostEstimate(
        rows=len(rows), tokens=sum(lengths), longest=lengths[0], action_tokens=sum(map(_predicted, rows)),
        parameters=shape.parameters, dtype=f"{dtype}, linear layers in 4 bits" if quantized else dtype,
        pass_tokens=longest_pass, memory=_memory(shape, algorithm, rows, longest_pass, quantized), flops_once=once,
        flops_epoch=epoch,
    )  # fmt: skip


def _memory(
    shape: ModelShape, algorithm: Algorithm, rows: Sequence[TokenTree], tokens: int, quantized: bool
) -> dict[str, float]:
    critic = algorithm.critic
    linear = shape.trunk * (NF4_BYTES if quantized else shape.itemsize)
    adapters = 2 if _reads_apart(critic) else 1
    trained = adapters * shape.adapter + (0 if critic is None else critic.hidden * shape.width)
    activations = shape.activation_bytes * shape.layers * shape.backward_share * tokens
    if algorithm.config.gradient_checkpointing:
        activations = (shape.width * shape.itemsize * shape.layers + shape.activation_bytes) * tokens
    chunk = min(MAX_LOGITS, max(map(_predicted, rows)) * shape.vocabulary)
    return {
        "weights": linear + (shape.parameters - shape.trunk) * shape.itemsize,
        **{name: size * trained for name, size in TRAINED_BYTES.items()},
        "activations": activations,
        "a chunk of logits": chunk * (8 + shape.itemsize),  # as computed, in single precision, and as probabilities
    }


def _flops(shape: ModelShape, algorithm: Algorithm, rows: Sequence[TokenTree]) -> tuple[float, float]:
    """FLOPs before the first step, and of every epoch after the first."""
    work, critic = algorithm.work, algorithm.critic
    again = 1 if algorithm.config.gradient_checkpointing else 0
    once = epoch = 0.0
    for row in rows:
        actor, trunk = _size(row), _size(row)[:2]
        read = shape.forward(*actor)
        learn = read + shape.backward(*actor) + again * shape.forward(*trunk)
        once += read if work.reference else 0
        epoch += work.reads * read + work.updates * learn
        if critic is not None and _reads_apart(critic):
            seen = _size(truncate_to_states(row))[:2]
            value = shape.forward(*seen)
            learn = (1 + again) * value + shape.backward(*seen)
            once += critic.warmup_epochs * learn + value
            epoch += work.updates * learn + work.reads * value
    return once, epoch


def _reads_apart(critic: CriticConfig | None) -> bool:
    """Whether a critic reads the rows with its own adapter."""
    return critic is not None and critic.kind == "separate"


def _predicted(row: TokenTree) -> int:
    return sum(len(decision.token_positions) for decision in row.decisions)


def _size(row: TokenTree) -> tuple[int, int, int]:
    """Number of tokens, of attending pairs, and of predicted tokens."""
    return len(row.ids), sum(position + 1 for position in row.positions), _predicted(row)
