"""The trainer of the stages sft, replay, rft, ppo and spark: SPaRK's losses over the decisions of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..config import StageConfig
from ..host.calls import Calls
from . import losses
from .base import StageTrainer
from .losses import LogProbs, RowTensors
from .model import ActorCritic
from .rows import Row

WITH_CRITIC = ("ppo", "spark")
MIN_SCALE = 0.1
"""Advantages are never blown up by more than its inverse."""
STOP_AT = 10.0
"""A stage stops early when an epoch's mean KL passes this multiple of its target."""


Reward = Callable[[Row, list[list[float]]], list[float]]
"""The rewards of a row's decisions, given the action head [decisions, actions] of the old policy in each state."""


class SparkTrainer(StageTrainer):
    """Trains one stage on rows.

    Everything that offline data allows is computed once and kept beside the checkpoint: reference and behaviour
    log-probabilities, states for the critic, V_old. A checkpoint restores all of it, so that an interrupted run equals
    an uninterrupted one.
    """

    def __init__(
        self,
        agent: ActorCritic,
        rows: list[Row],
        stage: StageConfig,
        calls: Calls,
        name: str,
        reward: Reward | None = None,
        **kwargs: Any,
    ) -> None:
        self.rows, self.reward = rows, reward
        self.beta = stage.beta
        self.old: list[LogProbs] = []
        self.reference: list[LogProbs] = []
        self.features: list[Tensor] = []
        self.v_old: list[Tensor] = []
        self.advantages: list[Tensor] = []
        self.prepared_epoch = -1
        self._epoch_kl: list[float] = []
        super().__init__(agent, stage, calls, name, len(rows), lambda row: {"row": row}, **kwargs)

    @property
    def has_critic(self) -> bool:
        return self.stage.kind in WITH_CRITIC

    # -- what is computed once -----------------------------------------------------------------------------------

    @torch.no_grad()
    def prepare(self) -> None:
        """Reference log-probabilities and the critic's features, from the policy that the stage starts from."""
        if self.stage.kind == "sft" or self.reference:
            return
        self.agent.model.eval()
        for row in self.rows:
            hidden = self.agent.hidden(row)
            self.reference.append(self.agent.log_probs(hidden, row))
            if self.has_critic and self.stage.critic.kind == "frozen_features":
                self.features.append(self.agent.states(hidden, row).float())
        if self.has_critic:
            with torch.enable_grad():
                self._warm_up_critic()

    def begin_epoch(self, epoch: int) -> None:
        """The ratio's denominator and the advantages of an epoch."""
        if not self.has_critic or self.prepared_epoch == epoch:
            return
        self.prepared_epoch = epoch
        if self.stage.old_policy == "behaviour":
            self.old = [_behaviour(row, reference) for row, reference in zip(self.rows, self.reference, strict=True)]
        elif epoch == 0:
            self.old = self.reference
        else:
            self.agent.model.eval()
            with torch.no_grad():
                self.old = [self.agent.log_probs(self.agent.hidden(row), row) for row in self.rows]
        if self.reward is not None and self.stage.old_policy == "refresh":
            for row, old in zip(self.rows, self.old, strict=True):
                for decision, value in zip(row.decisions, self.reward(row, old.head_DA.exp().tolist()), strict=True):
                    decision.reward = value
        if epoch == 0 or self.stage.old_policy == "refresh":
            self.v_old = [self._values(i) for i in range(len(self.rows))]
            gaps = [self._rewards(i) - v for i, v in enumerate(self.v_old)]  # A_t = R_t - V_old(s_t)
            scale = (
                torch.cat(gaps).std().clamp(min=MIN_SCALE) if self.stage.normalise and len(torch.cat(gaps)) > 1 else 1.0
            )
            self.advantages = [gap / scale for gap in gaps]

    def end_epoch(self) -> bool:
        """Adapt beta to the epoch's KL; True where training has to stop."""
        if not self._epoch_kl:
            return False
        mean = sum(self._epoch_kl) / len(self._epoch_kl)
        self._epoch_kl = []
        if mean > 1.5 * self.stage.kl_target:
            self.beta *= 2
        elif mean < self.stage.kl_target / 1.5:
            self.beta /= 2
        return mean > STOP_AT * self.stage.kl_target

    def figures(self) -> dict[str, float]:
        return {} if self.stage.kind == "sft" else {"beta": self.beta}

    # -- one row -------------------------------------------------------------------------------------------------

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        index = inputs["row"]
        row, stage = self.rows[index], self.stage
        tensors = self._tensors(row)
        logp = self.agent.log_probs(self.agent.hidden(row), row)
        notes: dict[str, Tensor | float] = {
            "entropy": -(logp.head_DA.exp() * logp.head_DA).sum(-1).mean() / torch.log(torch.tensor(2.0))
        }
        if stage.kind == "sft":
            loss = losses.imitation_loss(tensors, logp)
        else:
            kl = losses.kl_to_reference(tensors, logp, self.reference[index])
            notes["kl"] = kl
            self._epoch_kl.append(float(kl.detach()))
            loss = self.beta * kl**2
            if stage.kind in ("replay", "rft"):
                loss = loss + losses.imitation_loss(tensors, logp, actions=stage.kind == "rft", only_ok=True)
            else:
                old = self.old[index]
                loss = loss + losses.ppo_loss(tensors, logp, old, self.advantages[index], stage.clip)
                notes["clip_fraction_action"] = losses.clip_fraction(logp.action_D, old.action_D, stage.clip)
                notes["clip_fraction_token"] = losses.clip_fraction(logp.token_T, old.token_T, stage.clip)
                if stage.replay and tensors.ok_D.any():
                    loss = loss + stage.replay * losses.imitation_loss(tensors, logp, actions=False, only_ok=True)
                if stage.critic.kind == "frozen_features":  # shares no weight with the actor: one backward serves both
                    value_loss = self._value_loss(index)
                    notes["value_loss"] = value_loss
                    loss = loss + value_loss
        self.note(notes)
        return loss

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        loss: Tensor = super().training_step(model, dict(inputs), *args, **kwargs)
        if self.has_critic and self.stage.critic.kind == "separate":
            with self.agent.as_critic():  # the actor's backward is done: only now may the adapters be switched
                value_loss = self._value_loss(inputs["row"])
                self.accelerator.backward(value_loss / self.current_gradient_accumulation_steps)
            self.note({"value_loss": value_loss})
        return loss

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def kept(self) -> dict[str, Any]:
        return {
            "beta": self.beta,
            "prepared_epoch": self.prepared_epoch, "epoch_kl": self._epoch_kl,
            "rewards": [[d.reward for d in row.decisions] for row in self.rows],
            "features": self.features, "v_old": self.v_old, "advantages": self.advantages,
            "old": [(x.action_D, x.token_T, x.head_DA) for x in self.old],
            "reference": [(x.action_D, x.token_T, x.head_DA) for x in self.reference],
        }  # fmt: skip

    def restore(self, kept: dict[str, Any]) -> None:
        self.beta, self.prepared_epoch, self._epoch_kl = kept["beta"], kept["prepared_epoch"], kept["epoch_kl"]
        self.features, self.v_old, self.advantages = kept["features"], kept["v_old"], kept["advantages"]
        for row, rewards in zip(self.rows, kept["rewards"], strict=True):
            for decision, reward in zip(row.decisions, rewards, strict=True):
                decision.reward = reward
        self.old = [LogProbs(*pair) for pair in kept["old"]]
        self.reference = [LogProbs(*pair) for pair in kept["reference"]]

    # -- the critic ----------------------------------------------------------------------------------------------

    def _warm_up_critic(self) -> None:
        section = self.stage.critic
        optimizer = torch.optim.AdamW(self.agent.critic_parameters(), lr=section.lr, weight_decay=0.0)
        order = torch.Generator().manual_seed(self.args.seed)
        for _ in range(section.warmup_epochs):
            for index in torch.randperm(len(self.rows), generator=order).tolist():
                if section.kind == "separate":
                    with self.agent.as_critic():
                        self._value_loss(index).backward()
                else:
                    self._value_loss(index).backward()
                optimizer.step()
                optimizer.zero_grad()

    def _value_loss(self, index: int) -> Tensor:
        row = self.rows[index]
        tensors = self._tensors(row)
        return losses.value_loss(self._value_D(index), self._rewards(index), tensors.weight_D)

    def _value_D(self, index: int) -> Tensor:
        assert self.agent.value_head is not None
        if self.stage.critic.kind == "separate":
            row = self.rows[index]
            return self.agent.value_head(self.agent.states(self.agent.hidden(row), row))  # type: ignore[no-any-return]
        return self.agent.value_head(self.features[index])  # type: ignore[no-any-return]

    @torch.no_grad()
    def _values(self, index: int) -> Tensor:
        if self.stage.critic.kind == "separate":
            with self.agent.as_critic():
                return self._value_D(index)
        return self._value_D(index)

    def _rewards(self, index: int) -> Tensor:
        return torch.tensor([d.reward for d in self.rows[index].decisions], device=self.device)

    # -- small things --------------------------------------------------------------------------------------------

    def _tensors(self, row: Row) -> RowTensors:
        device = self.device
        owner = [i for i, d in enumerate(row.decisions) for _ in d.tokens_at]
        return RowTensors(
            weight_D=torch.tensor([d.weight for d in row.decisions], device=device),
            ok_D=torch.tensor([float(d.ok) for d in row.decisions], device=device),
            constrained_D=torch.tensor([float(d.constrained) for d in row.decisions], device=device),
            owner_T=torch.tensor(owner, device=device),
        )


def _behaviour(row: Row, reference: LogProbs) -> LogProbs:
    """The stored behaviour log-probabilities; the reference where a script wrote the action and none are stored."""
    action, token, at = reference.action_D.clone(), reference.token_T.clone(), 0
    for i, decision in enumerate(row.decisions):
        stored = torch.tensor(decision.old, device=action.device)
        if len(stored):
            skip = int(decision.constrained)
            if skip:
                action[i] = stored[0]
            token[at : at + len(decision.tokens_at)] = stored[skip:]
        at += len(decision.tokens_at)
    return LogProbs(action, token, reference.head_DA)
