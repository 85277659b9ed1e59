"""The figures of one update, from the rows that it saw. Nothing here has a gradient."""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor

from ..records import ANSWER
from . import losses
from .losses import LogProbs, RowTensors
from .rows import Row

NATS_PER_BIT = math.log(2)


class Figures:
    """Gathers what an update sees of its rows.

    kl: nats a step (what beta follows). approx_kl: (log r)^2 / 2 over action tokens, nats a token. entropy: of pi over
    actions in a state; tool_entropy: of pi over actions, averaged over the states where a tool was chosen;
    token_entropy: of the written tokens; all in bits. advantage/TOOL: mean before the update.
    """

    def __init__(self) -> None:
        self.means: dict[str, list[Tensor]] = defaultdict(list)
        """Elements of each figure that is a plain mean."""
        self.choices: list[Tensor] = []
        self.values: list[Tensor] = []
        self.rewards: list[Tensor] = []

    @torch.no_grad()
    def policy(self, row: Row, logp: LogProbs) -> None:
        """The policy on one row."""
        pi_DA = logp.head_DA.exp()
        self.means["entropy"].append(-(pi_DA * logp.head_DA).sum(-1) / NATS_PER_BIT)
        if logp.entropy_T is not None:
            self.means["token_entropy"].append(logp.entropy_T / NATS_PER_BIT)
        self.choices.append(pi_DA[[i for i, d in enumerate(row.decisions) if d.action != ANSWER]])

    @torch.no_grad()
    def distance(self, tensors: RowTensors, logp: LogProbs, reference: LogProbs, kl: Tensor) -> None:
        """How far it is from the reference."""
        self.means["kl"].append(kl.detach()[None])
        taken = tensors.constrained_D.bool()
        self.means["approx_kl"].append((logp.action_D - reference.action_D)[taken] ** 2 / 2)
        self.means["approx_kl"].append((logp.token_T - reference.token_T) ** 2 / 2)

    @torch.no_grad()
    def surrogate(self, row: Row, logp: LogProbs, old: LogProbs, advantage_D: Tensor, clip: float) -> None:
        """What PPO did."""
        self.means["clip_fraction_action"].append(losses.clipped(logp.action_D, old.action_D, clip))
        self.means["clip_fraction_token"].append(losses.clipped(logp.token_T, old.token_T, clip))
        for decision, advantage in zip(row.decisions, advantage_D, strict=True):
            self.means[f"advantage/{decision.action}"].append(advantage.detach()[None])

    @torch.no_grad()
    def value(self, row: Row, value_D: Tensor, loss: Tensor) -> None:
        """What the critic said."""
        self.means["value_loss"].append(loss.detach()[None])
        self.values.append(value_D.detach())
        self.rewards.append(value_D.new_tensor([d.reward for d in row.decisions]))

    def of_update(self) -> dict[str, float]:
        """All figures. What cannot be said of so few decisions is left out."""
        figures = {name: float(torch.cat(parts).mean()) for name, parts in self.means.items() if sum(map(len, parts))}
        if self.choices and sum(map(len, self.choices)):
            pi_A = torch.cat(self.choices).mean(0)
            figures["tool_entropy"] = float(torch.special.entr(pi_A).sum()) / NATS_PER_BIT
        if self.values:
            reward_D, value_D = torch.cat(self.rewards), torch.cat(self.values)
            spread = float(reward_D.var(unbiased=False))
            if spread > 0:
                figures["explained_variance"] = 1 - float((reward_D - value_D).var(unbiased=False)) / spread
        return figures
