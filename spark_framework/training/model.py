"""The actor (a LoRA adapter on the frozen base) and the critic, and what they compute on a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import CriticSection, LoraSection
from ..errors import RunError
from ..policy.models import quiet_peft
from .losses import LogProbs
from .rows import Decision, Row

CRITIC = "critic"


def with_actor(base: Any, lora: LoraSection, init: Path | None, seed: int) -> Any:
    """A PEFT model with one trainable adapter: a fresh one, or a copy of a finished stage's."""
    from peft import PeftModel, get_peft_model

    if init is not None:
        if not (init / "adapter_config.json").is_file():
            raise RunError(f"there is no adapter in {init}; train that stage first")
        with quiet_peft():
            return PeftModel.from_pretrained(base, str(init), is_trainable=True)
    torch.manual_seed(seed)
    with quiet_peft():
        return get_peft_model(base, lora_config(base, lora))


def lora_config(base: Any, lora: LoraSection) -> Any:
    """PEFT's configuration of an adapter; `layers` counts from the top."""
    from peft import LoraConfig

    depth = base.config.num_hidden_layers
    head = base.get_output_embeddings()
    linear = {n.rsplit(".", 1)[-1] for n, m in base.named_modules() if isinstance(m, nn.Linear) and m is not head}
    return LoraConfig(
        r=lora.r, lora_alpha=lora.alpha, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=sorted(lora.targets or linear),
        layers_to_transform=None if lora.layers is None else list(range(max(0, depth - lora.layers), depth)),
    )  # fmt: skip


class ValueHead(nn.Module):
    """V(s): an MLP on a hidden state. Its last layer starts at zero, so V starts at 0. [D, width] -> [D]."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, state_DH: Tensor) -> Tensor:
        value: Tensor = self.outer(torch.tanh(self.inner(self.norm(state_DH.float()))))[:, 0]
        return value


class ActorCritic:
    """Reads rows with the actor, or with the critic's adapter where the critic has one.

    Args:
        model: PEFT model whose adapter `default` is the actor.
        labels: token id of each action's name; the order is that of the action head.
        critic: None for stages without a value function.
    """

    def __init__(self, model: Any, labels: Sequence[int], critic: CriticSection | None, seed: int) -> None:
        self.model, self.critic = model, critic
        self.actions = torch.tensor(list(labels), device=model.device)
        base = model.get_base_model()
        self.trunk, self.output = base.base_model, base.get_output_embeddings()
        self.value_head: nn.Module | None = None
        if critic is not None:
            torch.manual_seed(seed)
            if critic.kind == "separate":
                model.add_adapter(CRITIC, model.peft_config["default"])
                model.set_adapter("default")
            self.value_head = ValueHead(base.config.hidden_size, critic.hidden).to(model.device)

    def actor_parameters(self) -> list[nn.Parameter]:
        return [p for n, p in self.model.named_parameters() if ".default." in n and "lora_" in n]

    def critic_parameters(self) -> list[nn.Parameter]:
        adapter = [p for n, p in self.model.named_parameters() if f".{CRITIC}." in n and "lora_" in n]
        return [*adapter, *(self.value_head.parameters() if self.value_head is not None else ())]

    @contextmanager
    def as_critic(self) -> Iterator[None]:
        """The critic's adapter is active inside. Finish its backward pass before leaving: PEFT flips requires_grad."""
        self.model.set_adapter(CRITIC)
        try:
            yield
        finally:
            self.model.set_adapter("default")

    def hidden(self, row: Row) -> Tensor:
        """[N, width]: last hidden states of a row. Rows are never padded; branches see only their ancestors."""
        device, dtype = self.model.device, self.model.dtype
        mask = None
        if row.branched:
            seen = row.attention_mask().to(device)
            mask = torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill(~seen, torch.finfo(dtype).min)[
                None, None
            ]
        out = self.trunk(
            input_ids=torch.tensor([row.ids], device=device),
            position_ids=torch.tensor([row.positions], device=device),
            attention_mask=mask,
            use_cache=False,
        )
        return out.last_hidden_state[0]  # type: ignore[no-any-return]

    def log_probs(self, hidden_NH: Tensor, row: Row) -> LogProbs:
        """log pi of the row's decisions, of its free tokens and of the whole action head."""
        device = hidden_NH.device
        state_D = torch.tensor([d.state_at for d in row.decisions], device=device)
        head_DA = (hidden_NH[state_D].float() @ self.output.weight[self.actions].float().T).log_softmax(-1)
        label_D = torch.tensor([self._label(row, d) for d in row.decisions], device=device)
        action_D = head_DA.gather(1, label_D[:, None])[:, 0]
        token_at = [t for d in row.decisions for t in d.tokens_at]
        before_T = torch.tensor([row.parents[t] for t in token_at], device=device)
        target_T = torch.tensor([row.ids[t] for t in token_at], device=device)
        logits_TV = nn.functional.linear(hidden_NH[before_T], self.output.weight).float()
        token_T = logits_TV.gather(1, target_T[:, None])[:, 0] - logits_TV.logsumexp(-1)
        return LogProbs(action_D, token_T, head_DA)

    def states(self, hidden_NH: Tensor, row: Row) -> Tensor:
        """[D, width]: the state of each decision."""
        return hidden_NH[torch.tensor([d.state_at for d in row.decisions], device=hidden_NH.device)]

    def _label(self, row: Row, decision: Decision) -> int:
        """Index of the decision's action in the head; 0 (masked by the losses) where nothing was constrained."""
        if not decision.constrained:
            return 0
        first = row.ids[decision.first_at]
        return int((self.actions == first).nonzero()[0, 0])
