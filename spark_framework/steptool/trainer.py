"""The trainer of stage steptool: PPO over the response tokens of trajectories, one forward for all steps of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler

from ..config_stages import StageConfig
from ..host.calls import Calls
from ..seeding import child_rng
from ..training.base import StageTrainer
from ..training.model import ActorCritic
from ..training.rows import Row
from .losses import adapted_kl_coef, advantages, step_loss, token_rewards, whiten
from .rows import StepRow, step_row


class TokenValueHead(nn.Module):
    """V at every token: one linear layer in single precision on the actor's last hidden state. [T, width] -> [T]."""

    def __init__(self, width: int, *, zero: bool) -> None:
        super().__init__()
        self.summary = nn.Linear(width, 1)
        if zero:
            nn.init.zeros_(self.summary.weight)
            nn.init.zeros_(self.summary.bias)

    def forward(self, hidden_TH: Tensor) -> Tensor:
        value: Tensor = self.summary(hidden_TH.float())[:, 0]
        return value


class StepTrainer(StageTrainer):
    """Trains on rows in batches: values, rewards and advantages are computed for a batch with the policy as it is, then
    `passes` optimiser steps follow on it, each over its mini-batches.

    Value head and actor share the trunk, and its gradient reaches the actor.
    """

    def __init__(self, agent: ActorCritic, rows: Sequence[Row], stage: StageConfig, calls: Calls, name: str,
                 **kwargs: Any) -> None:  # fmt: skip
        assert stage.steptool is not None
        self.section = stage.steptool
        device = agent.model.device
        released = self.section.compat == "released"
        scores = [torch.tensor([d.reward for d in row.decisions]) for row in rows]
        # The released loader keeps rewards in half precision.
        self.rows = [
            step_row(row, (s.half().float() if released else s).tolist(), device)
            for row, s in zip(rows, scores, strict=True)
        ]
        torch.manual_seed(kwargs["args"].seed)
        width = agent.model.get_base_model().config.hidden_size
        agent.value_head = TokenValueHead(width, zero=not released).to(device)
        self.kl_coef = self.section.kl_coef
        self.reference: list[Tensor] = []
        self.batch: dict[int, dict[str, Tensor]] = {}
        """Of each row of the batch that is being learnt from: old log-probabilities and values, advantages, returns."""
        self._epoch = 0
        batches = math.ceil(len(rows) / stage.batch_size)
        super().__init__(
            agent, stage, calls, name, batches * self.section.passes, lambda slots: {"slot": slots[0]}, **kwargs
        )

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]  # the order is in `_rows_of`

    # -- a batch ---------------------------------------------------------------------------------------------------

    def begin_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    @torch.no_grad()
    def prepare(self) -> None:
        """Reference log-probabilities, from the policy that the stage starts from."""
        self.agent.model.eval()
        self.reference = [self._read(row)[0] for row in self.rows]

    @torch.no_grad()
    def begin_batch(self, indices: Sequence[int]) -> None:
        """Rewards, advantages and returns of some rows under the policy as it is; adapts the KL penalty's weight."""
        section = self.section
        self.batch = {}
        for index in indices:
            row = self.rows[index]
            old_T, value_T = self._read(row)
            reward_T = token_rewards(
                row.score_S.to(old_T), old_T, self.reference[index], row.places, kl_coef=self.kl_coef,
                compat=section.compat,
            )  # fmt: skip
            advantage_T, return_T = advantages(
                reward_T, value_T, row.places, gamma=section.gamma, lam=section.lam, compat=section.compat
            )
            self.batch[index] = {"old": old_T, "value": value_T, "advantage": advantage_T, "return": return_T}
        if self.stage.normalise:
            lengths = [len(kept["old"]) for kept in self.batch.values()]
            whitened = whiten(torch.cat([kept["advantage"] for kept in self.batch.values()])).split(lengths)
            for kept, advantage_T in zip(self.batch.values(), whitened, strict=True):
                kept["advantage"] = advantage_T
        kl = sum(float((kept["old"] - self.reference[i]).sum()) for i, kept in self.batch.items()) / len(indices)
        self.note({"kl": kl})
        self.kl_coef = adapted_kl_coef(
            self.kl_coef, kl, target=section.kl_target, horizon=section.kl_horizon, trajectories=len(indices)
        )

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """One pass over a batch: the mean of its mini-batches' losses."""
        turn = inputs["slot"] % self.section.passes
        model.eval()  # no dropout: the ratio compares the same function before and after
        if turn == 0:
            self.begin_batch(self._rows_of(inputs["slot"] // self.section.passes))
        order = list(self.batch)
        child_rng(self.args.seed, "mini-batches", self._epoch, inputs["slot"]).shuffle(order)
        size = self.section.mini_batch
        parts = [order[first : first + size] for first in range(0, len(order), size)]
        total = torch.zeros((), device=self.device)
        for part in parts:
            loss = self.mini_batch_loss(part) / len(parts)
            self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def mini_batch_loss(self, indices: Sequence[int]) -> Tensor:
        """The loss over the response tokens of some rows of the batch; each is one forward pass, without padding."""
        read = [self._read(self.rows[index]) for index in indices]
        logp_T, value_T = (torch.cat(parts) for parts in zip(*read, strict=True))
        kept = {name: torch.cat([self.batch[i][name] for i in indices]) for name in self.batch[indices[0]]}
        loss = step_loss(
            logp_T, kept["old"], kept["advantage"], value_T, kept["value"], kept["return"], clip=self.stage.clip,
            value_clip=self.section.value_clip,
        )  # fmt: skip
        self.note(
            {
                "policy_loss": loss.policy, "value_loss": loss.value, "clip_fraction": loss.clip_fraction,
                "value_clip_fraction": loss.value_clip_fraction, "ratio": loss.mean_ratio,
            }
        )  # fmt: skip
        return loss.total(self.section.value_coef)

    def _rows_of(self, batch: int) -> list[int]:
        """The rows of an epoch's batch; every epoch has its own order."""
        order = list(range(len(self.rows)))
        child_rng(self.args.seed, "rows", self._epoch).shuffle(order)
        return order[batch * self.stage.batch_size : (batch + 1) * self.stage.batch_size]

    def _read(self, row: StepRow) -> tuple[Tensor, Tensor]:
        """log pi and V of a row's response tokens, both [T]."""
        assert self.agent.value_head is not None
        hidden_NH = self.agent.hidden(row.row)
        return row.in_order(self.agent.log_probs(hidden_NH, row.row)), self.agent.value_head(hidden_NH[row.before_T])

    # -- what the base asks ----------------------------------------------------------------------------------------

    @property
    def critic_lr(self) -> float:
        return self.stage.lr

    def _clip_grad_norm(self, model: Any) -> Any:
        """The released code clips no gradient: its norm is only measured."""
        if self.section.compat == "paper":
            return super()._clip_grad_norm(model)
        return self.accelerator.clip_grad_norm_(self.agent.actor_parameters(), math.inf)

    def figures(self) -> dict[str, float]:
        return {"kl_coef": self.kl_coef}

    def kept(self) -> dict[str, Any]:
        return {"kl_coef": self.kl_coef, "reference": self.reference, "batch": self.batch}

    def restore(self, kept: dict[str, Any]) -> None:
        self.kl_coef, self.reference, self.batch = kept["kl_coef"], kept["reference"], kept["batch"]
