"""The trainer of the stages sft, replay, rft, ppo and spark: SPaRK's losses over the decisions of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...config.training import StageConfig
from ...host.hooks import PluginHooks
from ..algorithms import losses
from ..algorithms.losses import LogProbs, RowTensors
from ..data.token_tree import Row
from ..distributed import add_gradients, added, gathered, share
from ..model.actor_critic import ActorCritic
from ..model.critic import Critic
from ..model.firsts import Firsts
from ..model.forward import Reader
from .alarms import AdaptiveBeta, Alarm, Watch
from .base import StageTrainer
from .metrics import Figures

WITH_CRITIC = ("ppo", "spark")
MIN_SCALE = 0.1
"""Advantages are never blown up by more than its inverse."""

Reward = Callable[[Row, list[list[float]]], list[float]]
"""The rewards of a row's decisions, given the action head [decisions, actions] of the old policy in each state."""


class SparkTrainer(StageTrainer):
    """Trains one stage on rows. What offline data allows is computed once (`firsts`): reference and behaviour
    log-probabilities, states for the critic, V_old.

    Args:
        critic_seed: order of the critic's warm-up; one for all stages of a run, so that they share V_old.
    """

    def __init__(
        self, agent: ActorCritic, rows: list[Row], stage: StageConfig, calls: PluginHooks, name: str, firsts: Firsts,
        reward: Reward | None = None, critic_seed: int = 0, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.rows, self.firsts, self.reward, self.critic_seed = rows, firsts, reward, critic_seed
        self.critic = Critic(agent, rows, stage.critic) if stage.kind in WITH_CRITIC else None
        self.penalty, self.watch = AdaptiveBeta(stage.beta, stage.kl_target), Watch(name, stage)
        self.update = Figures()
        self.figures_of_update: dict[str, float] = {}
        self.old: list[LogProbs] = []
        self.reference: list[LogProbs] = []
        self.v_old: list[Tensor] = []
        self.advantages: list[Tensor] = []
        self.prepared_epoch = -1
        self.reader = Reader(agent, rows, stage.pack_tokens, sharded=stage.shard)
        super().__init__(agent, stage, calls, name, len(rows), lambda rows: {"rows": rows}, **kwargs)

    # -- what is computed once -----------------------------------------------------------------------------------

    @torch.no_grad()
    def prepare(self) -> None:
        """Reference log-probabilities and V_old, from the policy that the stage starts from."""
        if self.stage.kind == "sft":
            return
        self.agent.model.eval()
        with_states = self.critic is not None and not self.critic.reads_rows
        self.reference, features = self.firsts.readings(self.reader, with_states=with_states)
        if self.stage.old_policy == "behaviour":
            self.old = [_behaviour(row, reference) for row, reference in zip(self.rows, self.reference, strict=True)]
        if self.critic is not None:
            self.critic.features = features
            self.v_old = self.firsts.values(self.critic, self.reader, self.critic_seed)
            if self.stage.critic.kind != "frozen_features":
                self.critic.features = []

    def begin_epoch(self, epoch: int) -> None:
        """The ratio's denominator and the advantages of an epoch."""
        if self.critic is None or self.prepared_epoch == epoch:
            return
        self.prepared_epoch = epoch
        refresh = self.stage.old_policy == "refresh"
        if refresh:
            self._refresh(epoch)
        if epoch == 0 or refresh:
            gaps = [self._rewards(i) - v for i, v in enumerate(self.v_old)]  # A_t = R_t - V_old(s_t)
            scale = (
                torch.cat(gaps).std().clamp(min=MIN_SCALE) if self.stage.normalise and len(torch.cat(gaps)) > 1 else 1.0
            )
            self.advantages = [gap / scale for gap in gaps]

    @torch.no_grad()
    def _refresh(self, epoch: int) -> None:
        """The policy as it is becomes the old one: log-probabilities, rewards, values."""
        assert self.critic is not None
        if epoch == 0:
            self.old = self.reference
        else:
            self.agent.model.eval()
            self.old, states = self.reader.all(range(len(self.rows)))
            if self.critic.reads_rows:
                self.v_old = self.reader.values(self.critic)
            else:
                self.v_old = [self.critic.of_states(i, state_DH) for i, state_DH in enumerate(states)]
        if self.reward is not None:
            for row, old in zip(self.rows, self.old, strict=True):
                for decision, value in zip(row.decisions, self.reward(row, old.head_DA.exp().tolist()), strict=True):
                    decision.reward = value

    # -- one update ----------------------------------------------------------------------------------------------

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """Gradients of the mean loss over a step's rows, a pack at a time: first the actor's, then the critic's."""
        model.eval()  # no dropout: the ratio compares the same function before and after
        indices, self.update = inputs["rows"], Figures()
        total = torch.zeros((), device=self.device)
        parts = self.reader.packs_of(share(indices))
        for part in parts:
            loss = self.compute_loss(model, {"rows": part}) * (len(part) / len(indices))
            self.accelerator.backward(loss)
            total += loss.detach()
        self._idle(indices)
        if self.critic is not None and self.critic.reads_rows:
            with self.agent.as_critic():  # the actor's backward passes are done: only now may adapters be switched
                for part in parts:
                    self.accelerator.backward(self.critic_loss(part) * (len(part) / len(indices)))
                self._idle(indices)
        add_gradients([*self.agent.actor_parameters(), *self.agent.critic_parameters()])
        self.figures_of_update = gathered(self.update).of_update()
        self.note(self.figures_of_update)
        return added(total)

    def _idle(self, indices: Sequence[int]) -> None:
        """Gather sharded layers as often as other processes do, for nothing."""
        for hidden_NH in self.reader.idle(indices):
            self.accelerator.backward(0 * hidden_NH.sum())

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Mean loss of the actor over some rows, in one forward pass; with every critic that reads no rows itself."""
        indices = inputs["rows"]
        read = zip(indices, *self.reader.pack(indices), strict=True)
        return torch.stack([self._row_loss(*one) for one in read]).mean()

    def critic_loss(self, indices: Sequence[int]) -> Tensor:
        """separate: mean loss of the critic over some rows, in one forward pass, inside `ActorCritic.as_critic`."""
        assert self.critic is not None
        return torch.stack(
            [self._value_loss(i, v) for i, v in zip(indices, self.critic.read(indices), strict=True)]
        ).mean()

    def _row_loss(self, index: int, logp: LogProbs, hidden_NH: Tensor) -> Tensor:
        row, stage, tensors = self.rows[index], self.stage, self._tensors(self.rows[index])
        self.update.policy(row, logp)
        if stage.kind == "sft":
            return losses.imitation_loss(tensors, logp)
        reference = self.reference[index]
        kl = losses.kl_to_reference(tensors, logp, reference)
        self.update.means["kl"].append(kl.detach()[None])  # nats a step: what beta follows
        self.update.distance(row, logp, reference)
        loss = self.penalty.beta * kl**2
        if stage.kind in ("replay", "rft"):
            return loss + losses.imitation_loss(tensors, logp, actions=stage.kind == "rft", only_ok=True)
        assert self.critic is not None
        old, advantage_D = self.old[index], self.advantages[index]
        loss = loss + losses.ppo_loss(tensors, logp, old, advantage_D, stage.clip)
        self.update.surrogate(logp, old, stage.clip)
        self.update.advantages(row, advantage_D)
        if stage.replay and tensors.ok_D.any():
            loss = loss + stage.replay * losses.imitation_loss(tensors, logp, actions=False, only_ok=True)
        if not self.critic.reads_rows:
            state_DH = self.agent.states(hidden_NH, row)
            loss = loss + self._value_loss(index, self.critic.of_states(index, state_DH))
        return loss

    def _value_loss(self, index: int, value_D: Tensor) -> Tensor:
        assert self.critic is not None
        loss = self.critic.loss(index, value_D)
        self.update.means["value_loss"].append(loss.detach()[None])
        self.update.value(value_D, value_D.new_tensor([d.reward for d in self.rows[index].decisions]))
        return loss

    def after_update(self, *, epoch_ends: bool) -> Alarm | None:
        kl = self.figures_of_update.get("kl")
        if kl is None:
            return None
        entropy = self.figures_of_update.get("tool_entropy") if self.critic is not None else None
        alarm = self.watch.after_update(kl, entropy)
        self.penalty.after_update(kl)
        return (self.watch.of_mean(self.penalty.end_epoch()) if epoch_ends else None) or alarm

    def figures(self) -> dict[str, float]:
        return {} if self.stage.kind == "sft" else {"beta": self.penalty.beta}

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def kept(self) -> dict[str, Any]:
        old = self.old if self.stage.old_policy == "refresh" else []
        return {
            "beta": self.penalty.kept(), "watch": self.watch.kept(), "prepared_epoch": self.prepared_epoch,
            "rewards": [[d.reward for d in row.decisions] for row in self.rows],
            "v_old": self.v_old, "advantages": self.advantages,
            "old": [(x.action_D, x.token_T, x.head_DA) for x in old],
        }  # fmt: skip

    def restore(self, kept: dict[str, Any]) -> None:
        self.penalty.restore(kept["beta"])
        self.watch.restore(kept["watch"])
        self.prepared_epoch, self.v_old, self.advantages = kept["prepared_epoch"], kept["v_old"], kept["advantages"]
        for row, rewards in zip(self.rows, kept["rewards"], strict=True):
            for decision, reward in zip(row.decisions, rewards, strict=True):
                decision.reward = reward
        if kept["old"]:
            self.old = [LogProbs(*parts) for parts in kept["old"]]

    # -- small things --------------------------------------------------------------------------------------------

    def _rewards(self, index: int) -> Tensor:
        return self._tensor([d.reward for d in self.rows[index].decisions])

    def _tensors(self, row: Row) -> RowTensors:
        return RowTensors(
            weight_D=self._tensor([d.weight for d in row.decisions]),
            ok_D=self._tensor([float(d.ok) for d in row.decisions]),
            constrained_D=self._tensor([float(d.constrained) for d in row.decisions]),
            owner_T=torch.tensor([i for i, d in enumerate(row.decisions) for _ in d.tokens_at], device=self.device),
        )

    def _tensor(self, values: list[float]) -> Tensor:
        return torch.tensor(values, device=self.device, dtype=self.agent.precision)


def _behaviour(row: Row, reference: LogProbs) -> LogProbs:
    """The stored behaviour log-probabilities; the reference where a script wrote the action and none are stored."""
    action, token, at = reference.action_D.clone(), reference.token_T.clone(), 0
    for i, decision in enumerate(row.decisions):
        stored = torch.tensor(decision.old, device=action.device, dtype=action.dtype)
        if len(stored):
            skip = int(decision.constrained)
            if skip:
                action[i] = stored[0]
            token[at : at + len(decision.tokens_at)] = stored[skip:]
        at += len(decision.tokens_at)
    return LogProbs(action, token, reference.head_DA)
