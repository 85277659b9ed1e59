"""The actor (a LoRA adapter on the frozen base), the critic's adapter, and their forward passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...contracts.stage import CriticConfig, LoraConfig
from ...errors import ConfigError, RunError
from ...models.loading import quiet_peft
from ...models.tree_attention import enable_tree_attention
from ..data.packing import merge_trees
from ..data.tensors import LogProbs, PassInputs
from ..data.token_tree import TokenTree
from .token_logprobs import token_log_probs

CRITIC = "critic"


class ValueHead(nn.Module):
    """V(s): an MLP on a hidden state, in single precision. Its last layer starts at zero, so V starts at 0.
    [D, width] -> [D]."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, state_DH: Tensor) -> Tensor:
        value: Tensor = self.outer(torch.tanh(self.inner(self.norm(state_DH.to(self.inner.weight.dtype)))))[:, 0]
        return value


def add_actor_adapter(base: Any, lora: LoraConfig, init: Path | None, seed: int) -> Any:
    """A PEFT model with one trainable adapter in single precision: a new one, or a copy of a trained stage's.

    Raises:
        RunError: there is no adapter in `init`, or it does not fit the base.
    """
    from peft import PeftModel, get_peft_model

    if init is None:
        torch.manual_seed(seed)
        with quiet_peft():
            return get_peft_model(base, lora_config(base, lora))
    if not (init / "adapter_config.json").is_file():
        raise RunError(f"there is no adapter in {init}; train that stage first")
    try:
        with quiet_peft():
            return PeftModel.from_pretrained(base, str(init), is_trainable=True)
    except Exception as exc:  # another shape, other names, a damaged file: the libraries raise various errors
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
        raise RunError(f"the adapter in {init} does not fit policy.model ({reason}); train that stage again") from exc


def lora_config(base: Any, lora: LoraConfig) -> Any:
    """PEFT's configuration of an adapter; `layers` counts from the top."""
    from peft import LoraConfig as PeftConfig

    depth = base.config.num_hidden_layers
    head = base.get_output_embeddings()
    linear = {n.rsplit(".", 1)[-1]: m is head for n, m in base.named_modules() if isinstance(m, nn.Linear)}
    trained = {name for name, is_head in linear.items() if not is_head}
    for name in lora.targets:
        if linear.get(name):
            raise ConfigError(f"lora.targets: {name} is the output layer, which stays frozen; remove it")
    layers = None if lora.layers is None else list(range(max(0, depth - lora.layers), depth))
    given = {"layers_to_transform": layers, **(lora.model_extra or {})}
    return PeftConfig(
        r=lora.r, lora_alpha=lora.alpha, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=sorted(lora.targets or trained), **given,
    )  # fmt: skip


class ActorCritic:
    """Reads rows with the actor, or with the critic's adapter if the critic has one.

    Args:
        model: PEFT model whose adapter `default` is the actor.
        labels: token id of each action's name; the order is that of the action head.
        critic: None for stages without a value function.
        seed: of the value head and of the critic's adapter.
        checkpointing: recompute the layers' activations in the backward pass instead of storing them.
    """

    def __init__(
        self, model: Any, labels: Sequence[int], critic: CriticConfig | None, seed: int, checkpointing: bool = False
    ) -> None:
        self.model, self.critic, self.labels = model, critic, list(labels)
        self.actions = torch.tensor(self.labels, device=model.device)
        base = model.get_base_model()
        enable_tree_attention(base)
        self.trunk, self.output = base.base_model, base.get_output_embeddings()
        self.precision = torch.promote_types(model.dtype, torch.float32)
        """Dtype of log-probabilities, losses and values."""
        self.value_head: nn.Module | None = None
        if critic is not None:
            torch.manual_seed(seed)
            if critic.kind == "separate":
                model.add_adapter(CRITIC, model.peft_config["default"])
                model.set_adapter("default")
            self.value_head = ValueHead(base.config.hidden_size, critic.hidden).to(model.device, self.precision)
        self._checkpointed = _checkpointed_layers(base) if checkpointing else []

    def actor_parameters(self) -> list[nn.Parameter]:
        """The trainable parameters of the actor's adapter."""
        return [p for n, p in self.model.named_parameters() if ".default." in n and "lora_" in n]

    def critic_parameters(self) -> list[nn.Parameter]:
        """The parameters of the critic's adapter, if it has one, and of the value head; empty without a critic."""
        adapter = [p for n, p in self.model.named_parameters() if f".{CRITIC}." in n and "lora_" in n]
        return [*adapter, *(self.value_head.parameters() if self.value_head is not None else ())]

    @contextmanager
    def as_critic(self) -> Iterator[None]:
        """Activate the critic's adapter while the block lasts. Finish every backward pass before entering and before
        leaving: PEFT changes requires_grad, and checkpointed layers recompute with the adapter that is active then."""
        self.model.set_adapter(CRITIC)
        try:
            yield
        finally:
            self.model.set_adapter("default")

    def inputs(self, indices: Sequence[int], rows: Sequence[TokenTree]) -> PassInputs:
        """The inputs of one forward pass over some rows.

        Args:
            indices: the rows' numbers, stored with the inputs.
        """
        merged, places = merge_trees(rows)
        return PassInputs.of(indices, rows, merged, places, self.labels, self.model.device)

    def forward(self, inputs: PassInputs) -> Tensor:
        """[N, width]: last hidden states of a tree. There is no padding; every token sees its ancestors only."""
        for (
            layer
        ) in self._checkpointed:  # only the layer itself: its submodules stay in evaluation mode, without dropout
            layer.training = torch.is_grad_enabled()
        out = self.trunk(
            input_ids=inputs.ids_N[None], position_ids=inputs.positions_N[None], segments=inputs.segments,
            use_cache=False,
        )  # fmt: skip
        return out.last_hidden_state[0]  # type: ignore[no-any-return]

    def log_probs(self, hidden_NH: Tensor, inputs: PassInputs) -> list[LogProbs]:
        """log pi of the decisions, of the free tokens and of the whole action head, for each row of a pass."""
        label_AH = self.output.weight[self.actions].to(self.precision)
        head_DA = (hidden_NH[inputs.state_D].to(self.precision) @ label_AH.T).log_softmax(-1)
        action_D = head_DA.gather(1, inputs.label_D[:, None])[:, 0]
        token_T, entropy_T = token_log_probs(hidden_NH[inputs.before_T], self.output, inputs.target_T)
        parts = (
            action_D.split(inputs.decisions), token_T.split(inputs.tokens), head_DA.split(inputs.decisions),
            entropy_T.split(inputs.tokens),
        )  # fmt: skip
        return [LogProbs(*part) for part in zip(*parts, strict=True)]

    def values(self, inputs: PassInputs) -> list[Tensor]:
        """V of the decisions of each row [D], with the critic's own adapter. Call it inside `as_critic`."""
        assert self.value_head is not None
        value_D: Tensor = self.value_head(self.forward(inputs)[inputs.state_D])
        return list(value_D.split(inputs.decisions))


def _checkpointed_layers(base: Any) -> list[nn.Module]:
    """Switch on gradient checkpointing in a model's layers; returns those layers."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers: list[nn.Module] = [module for module in base.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(f"gradient_checkpointing: {type(base).__name__} has no layers that support it; switch it off")
    if hasattr(base, "activation_checkpointing_enable"):
        base.activation_checkpointing_enable({"use_reentrant": False})
    else:  # its name in older releases of transformers
        base.gradient_checkpointing_enable({"use_reentrant": False})
    return layers
