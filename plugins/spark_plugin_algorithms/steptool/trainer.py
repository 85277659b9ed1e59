"""The trainer of stage steptool: PPO over the response tokens of trajectories, one forward for all steps of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler

from spark_framework.api import (
    Alarm,
    BatchedForward,
    Limits,
    LogProbs,
    StageConfig,
    StageSetup,
    StageTrainer,
    TrainingMonitor,
    UpdateMetrics,
    all_reduce_gradients,
    all_reduce_sum,
    child_rng,
    rank_slice,
)
from spark_framework.api import steptool_maths as maths

from .rows import step_tree

if TYPE_CHECKING:
    from . import StepTool


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
    """Trains on rows in batches: values, rewards and advantages are computed for a batch with the current policy, then
    `passes` optimiser steps follow on it, each over its mini-batches.

    Value head and actor share the trunk, and its gradient reaches the actor.
    """

    logging_steps = 5

    def __init__(self, setup: StageSetup, algorithm: StepTool, **kwargs: Any) -> None:
        agent, rows, stage = setup.agent, setup.rows, algorithm.config
        self.setup, self.settings, self.section = setup, stage, stage.steptool
        device = agent.model.device
        released = self.section.compat == "released"
        scores = [torch.tensor([d.reward for d in row.decisions]) for row in rows]
        # The released loader keeps rewards in half precision.
        self.rows = [
            step_tree(row, (s.half().float() if released else s).tolist(), device)
            for row, s in zip(rows, scores, strict=True)
        ]
        torch.manual_seed(kwargs["args"].seed)
        width = agent.model.get_base_model().config.hidden_size
        agent.value_head = TokenValueHead(width, zero=not released).to(device)
        self.reader = BatchedForward(agent, rows, stage.pack_tokens, sharded=stage.shard)
        limits = Limits.of(
            stage.alarm, target=self.section.kl_target, unit="nats a trajectory", weight_key="steptool.kl_coef",
            weight=self.section.kl_coef,
        )  # fmt: skip
        self.monitor = TrainingMonitor(setup.name, limits, stage.lr)
        self.update = UpdateMetrics()
        self.update_figures: dict[str, float] = {}
        self.kl_coef = self.section.kl_coef
        self.reference: list[LogProbs] = []
        self.batch: dict[int, dict[str, Tensor]] = {}
        """For each row of the current batch: old log-probabilities and values, advantages, returns."""
        self._epoch = 0
        batches = math.ceil(len(rows) / stage.batch_size)
        super().__init__(setup, stage, batches * self.section.passes, lambda slots: {"slot": slots[0]}, **kwargs)

    @classmethod
    def step_size(cls, stage: StageConfig) -> int:
        """The trainer forms its own batches: an optimiser step is a pass over one."""
        return 1

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]  # the order is in `_rows_of`

    # -- a batch ---------------------------------------------------------------------------------------------------

    def begin_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    @torch.no_grad()
    def prepare(self) -> None:
        """Reference log-probabilities, from the policy that the stage starts from."""
        self.agent.model.eval()
        self.reference, _ = self.setup.first_policy.readings(self.reader, with_states=False)

    @torch.no_grad()
    def begin_batch(self, indices: Sequence[int]) -> None:
        """Rewards, advantages and returns of some rows under the current policy; adapts the KL penalty's weight."""
        section = self.section
        self.batch = {}
        kl = 0.0
        for index, (old_T, value_T) in zip(indices, self.reader.each(indices, self._of_row), strict=True):
            row, reference_T = self.rows[index], self.rows[index].in_order(self.reference[index])
            reward_T = maths.token_rewards(
                row.score_S.to(old_T), old_T, reference_T, row.places, kl_coef=self.kl_coef, compat=section.compat
            )
            advantage_T, return_T = maths.advantages(
                reward_T, value_T, row.places, gamma=section.gamma, lam=section.lam, compat=section.compat
            )
            self.batch[index] = {"old": old_T, "value": value_T, "advantage": advantage_T, "return": return_T}
            kl += float((old_T - reference_T).sum()) / len(indices)
        if self.settings.normalise:
            lengths = [len(kept["old"]) for kept in self.batch.values()]
            whitened = maths.whiten(torch.cat([kept["advantage"] for kept in self.batch.values()])).split(lengths)
            for kept, advantage_T in zip(self.batch.values(), whitened, strict=True):
                kept["advantage"] = advantage_T
        self.log_scalars({"kl": kl})
        self.kl_coef = maths.adapted_kl_coef(
            self.kl_coef, kl, target=section.kl_target, horizon=section.kl_horizon, trajectories=len(indices)
        )

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """One pass over a batch: the mean of its mini-batches' losses."""
        turn = inputs["slot"] % self.section.passes
        model.eval()  # no dropout: the ratio compares the same function before and after
        if turn == 0:
            self.begin_batch(self._rows_of(inputs["slot"] // self.section.passes))
        order, self.update = list(self.batch), UpdateMetrics()
        child_rng(self.args.seed, "mini-batches", self._epoch, inputs["slot"]).shuffle(order)
        size = self.section.mini_batch
        parts = [order[first : first + size] for first in range(0, len(order), size)]
        total = torch.zeros((), device=self.device)
        for part in parts:
            total += self._learn(part, 1 / len(parts))
        all_reduce_gradients([*self.agent.actor_parameters(), *self.agent.critic_parameters()])
        self.update_figures = self.update.all_gather().compute()
        self.log_scalars(self.update_figures)
        return total

    def _learn(self, indices: Sequence[int], weight: float) -> Tensor:
        """Gradients of the mean loss over the response tokens of some rows of the batch; processes share the rows.
        Returns the loss, times its weight."""
        read = [
            self._read(index, logp, hidden_NH)
            for pack in self.reader.batches_of(rank_slice(indices))
            for index, logp, hidden_NH in zip(pack, *self.reader.read(self.reader.inputs(pack)), strict=True)
        ]
        nothing = torch.zeros(0, device=self.device)
        kept, names = [self.batch[index] for index, *_ in read], ("old", "advantage", "value", "return")
        old_T, advantage_T, value_old_T, return_T = (torch.cat([nothing, *(k[name] for k in kept)]) for name in names)
        logp_T = torch.cat([nothing, *(logp_T for _, logp_T, _ in read)])
        value_T = torch.cat([nothing, *(value_T for _, _, value_T in read)])
        loss = maths.step_loss(
            logp_T, old_T, advantage_T, value_T, value_old_T, return_T, clip=self.settings.clip,
            value_clip=self.section.value_clip, tokens=sum(len(self.batch[index]["old"]) for index in indices),
        )  # fmt: skip
        figures = {
            "policy_loss": loss.policy, "value_loss": loss.value, "clip_fraction": loss.clip_fraction,
            "value_clip_fraction": loss.value_clip_fraction, "ratio": loss.mean_ratio,
        }  # fmt: skip
        whole = all_reduce_sum(torch.stack([part.detach() for part in figures.values()]))
        self.log_scalars(dict(zip(figures, whole, strict=True)))
        loss = replace(loss, mean_ratio=whole[-1])
        idle = [0 * hidden_NH.sum() for hidden_NH in self.reader.dummy_passes(indices)]
        if read or idle:
            self.accelerator.backward(weight * (loss.total(self.section.value_coef) + sum(idle)))
        return weight * maths.StepLoss(*whole).total(self.section.value_coef)

    def _read(self, index: int, logp: LogProbs, hidden_NH: Tensor) -> tuple[int, Tensor, Tensor]:
        """A row's number, and log pi and V of its response tokens, both [T]; records them."""
        row, kept = self.rows[index], self.batch[index]
        logp_T, value_T = self._of_row(index, logp, hidden_NH)
        self.update.policy(row.row, logp)
        far_T = self.update.distance(row.row, logp, self.reference[index])
        self.update.means["kl_k2"].append(far_T.sum()[None])
        self.update.advantages(row.row, row.of_steps(kept["advantage"]))
        self.update.value(value_T, kept["return"])
        return index, logp_T, value_T

    def _of_row(self, index: int, logp: LogProbs, hidden_NH: Tensor) -> tuple[Tensor, Tensor]:
        """log pi and V of a row's response tokens, both [T]."""
        assert self.agent.value_head is not None
        row = self.rows[index]
        return row.in_order(logp), self.agent.value_head(hidden_NH[row.before_T])

    def _rows_of(self, batch: int) -> list[int]:
        """The rows of an epoch's batch; every epoch has its own order."""
        order = list(range(len(self.rows)))
        child_rng(self.args.seed, "rows", self._epoch).shuffle(order)
        return order[batch * self.stage.batch_size : (batch + 1) * self.stage.batch_size]

    # -- hooks of the base trainer -----------------------------------------------------------------------------------

    def _clip_grad_norm(self, model: Any) -> Any:
        """The released code does not clip gradients: the norm is only logged."""
        if self.section.compat == "paper":
            return super()._clip_grad_norm(model)
        return self.accelerator.clip_grad_norm_(self.agent.actor_parameters(), math.inf)

    def after_update(self, *, epoch_ends: bool) -> Alarm | None:
        return self.monitor.after_update(self.update_figures["kl_k2"], self.update_figures.get("tool_entropy"))

    def extra_metrics(self) -> dict[str, float]:
        return {"kl_coef": self.kl_coef}

    def state_dict(self) -> dict[str, Any]:
        return {"kl_coef": self.kl_coef, "monitor": self.monitor.state_dict(), "batch": self.batch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kl_coef, self.batch = state["kl_coef"], state["batch"]
        self.monitor.load_state_dict(state["monitor"])
