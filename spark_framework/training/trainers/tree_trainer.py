"""Trains a stage whose algorithm gives a loss for each row (`TreeAlgorithm`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...util.collectives import all_reduce_gradients, all_reduce_sum, rank_slice
from ..algorithms.spark import value_loss
from ..data.tensors import LogProbs, PassInputs, TreeReading, TreeTensors
from ..data.token_tree import TokenTree
from ..model.critic import Critic
from ..model.forward import BatchedForward
from .alarms import Alarm, TrainingMonitor
from .base import StageSetup, StageTrainer
from .kl_control import AdaptiveKLController
from .metrics import UpdateMetrics


@dataclass
class _Pass:
    """The rows of one forward pass, for the actor and for a critic that reads rows itself."""

    actor: PassInputs
    critic: PassInputs | None


class TreeTrainer(StageTrainer):
    """Trains one stage on rows. Since the data are offline, log-probabilities of the reference and of the behaviour
    policy, states for the critic and V_old are computed once.

    Args:
        algorithm: a `TreeAlgorithm`.
    """

    def __init__(self, setup: StageSetup, algorithm: Any, **kwargs: Any) -> None:
        agent, stage, rows = setup.agent, algorithm.config, list(setup.rows)
        self.algorithm, self.rows, self.setup = algorithm, rows, setup
        self.critic = Critic(agent, rows, algorithm.critic) if algorithm.critic is not None else None
        self.kl = AdaptiveKLController(algorithm.beta or 0.0, algorithm.next_beta)
        limits = algorithm.limits
        self.monitor = None if limits is None else TrainingMonitor(setup.name, limits, stage.lr)
        self.update = UpdateMetrics()
        self.update_figures: dict[str, float] = {}
        self.tensors = [TreeTensors.of(row, agent.model.device, agent.precision) for row in rows]
        self.old: list[LogProbs] = []
        self.reference: list[LogProbs] = []
        self.v_old: list[Tensor] = [torch.zeros_like(row.weight_D) for row in self.tensors]
        self.advantages: list[Tensor] = []
        self.prepared_epoch = -1
        self.reader = BatchedForward(agent, rows, stage.pack_tokens, sharded=stage.shard)
        super().__init__(setup, stage, len(rows), self._collate, **kwargs)

    def _collate(self, indices: list[int]) -> dict[str, Any]:
        """The passes of a step: this process's share of its rows, in batches that fit one pass."""
        reads_rows = self.critic is not None and self.critic.reads_rows
        passes = [
            _Pass(self.reader.inputs(batch), self.critic.inputs(batch) if self.critic and reads_rows else None)
            for batch in self.reader.batches_of(rank_slice(indices))
        ]
        return {"rows": indices, "passes": passes}

    # -- what is computed once -----------------------------------------------------------------------------------

    @torch.no_grad()
    def prepare(self) -> None:
        """Reference log-probabilities and V_old, from the policy that the stage starts from."""
        if not self.algorithm.work.reference:
            return
        self.agent.model.eval()
        with_states = self.critic is not None and not self.critic.reads_rows
        self.reference, features = self.setup.first_policy.readings(self.reader, with_states=with_states)
        if not self.algorithm.refreshes:
            self.old = [_behaviour(row, reference) for row, reference in zip(self.rows, self.reference, strict=True)]
        if self.critic is not None:
            self.critic.features = features
            self.v_old = self.setup.first_policy.values(self.critic, self.reader, self.setup.critic_seed)
            if self.critic.section.kind != "frozen_features":
                self.critic.features = []

    def begin_epoch(self, epoch: int) -> None:
        """Set the old policy and the advantages of an epoch."""
        if self.prepared_epoch == epoch:
            return
        self.prepared_epoch = epoch
        if self.algorithm.refreshes:
            self._refresh(epoch)
        if epoch == 0 or self.algorithm.refreshes:
            found = self.algorithm.advantages([row.reward_D for row in self.tensors], self.v_old)
            self.advantages = [] if found is None else list(found)

    @torch.no_grad()
    def _refresh(self, epoch: int) -> None:
        """Make the current policy the old one: log-probabilities, rewards, values."""
        if epoch == 0:
            self.old = self.reference
        else:
            self.agent.model.eval()
            self.old, states = self.reader.all(range(len(self.rows)))
            if self.critic is not None:
                if self.critic.reads_rows:
                    self.v_old = self.reader.values(self.critic)
                else:
                    self.v_old = [self.critic.of_states(i, state_DH) for i, state_DH in enumerate(states)]
        names, device = self.setup.actions, self.agent.model.device
        for index, (row, old) in enumerate(zip(self.rows, self.old, strict=True)):
            probs = [dict(zip(names, one, strict=True)) for one in old.head_DA.exp().tolist()]
            rewards = self.algorithm.refreshed_rewards(row, probs, self.setup.data)
            if rewards is not None:
                for decision, value in zip(row.decisions, rewards, strict=True):
                    decision.reward = value
                self.tensors[index] = TreeTensors.of(row, device, self.agent.precision)

    # -- one update ----------------------------------------------------------------------------------------------

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """Compute the gradients of the mean loss over a step's rows, one pass at a time: the actor's, then the
        critic's."""
        model.eval()  # no dropout: the ratio compares the same function before and after
        indices, passes, self.update = inputs["rows"], inputs["passes"], UpdateMetrics()
        total = torch.zeros((), device=self.agent.model.device)
        for one in passes:
            share = len(one.actor.indices) / len(indices)
            loss = self.compute_loss(model, one.actor) * share
            self.accelerator.backward(loss)
            total += loss.detach()
        self._dummy_passes(indices)
        if self.critic is not None and self.critic.reads_rows:
            with self.agent.as_critic():  # adapters may only be switched after the actor's backward passes
                for one in passes:
                    share = len(one.actor.indices) / len(indices)
                    self.accelerator.backward(self.critic_loss(one.critic) * share)
                self._dummy_passes(indices)
        all_reduce_gradients([*self.agent.actor_parameters(), *self.agent.critic_parameters()])
        self.update_figures = self.update.all_gather().compute()
        return all_reduce_sum(total)

    def _dummy_passes(self, indices: Sequence[int]) -> None:
        """Gather sharded layers as often as other processes do."""
        if self.reader.sharded:
            for hidden_NH in self.reader.dummy_passes(indices):
                self.accelerator.backward(0 * hidden_NH.sum())

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Mean loss over the rows of one forward pass of the actor, including that of a critic on the actor's states.

        Args:
            inputs: `PassInputs`.
        """
        hidden_NH = self.agent.forward(inputs)
        logps = self.agent.log_probs(hidden_NH, inputs)
        losses = []
        for index, logp, places in zip(inputs.indices, logps, inputs.places, strict=True):
            loss = self.algorithm.loss(self._reading(index, logp), self.update)
            if self.critic is not None and not self.critic.reads_rows:
                state_DH = hidden_NH[places][[d.state_position for d in self.rows[index].decisions]]
                loss = loss + self._value_loss(index, self.critic.of_states(index, state_DH))
            losses.append(loss)
        return torch.stack(losses).mean()

    def critic_loss(self, inputs: PassInputs) -> Tensor:
        """Mean loss of a critic that reads rows itself, in one forward pass, inside `ActorCritic.as_critic`."""
        values = zip(inputs.indices, self.agent.values(inputs), strict=True)
        return torch.stack([self._value_loss(index, value_D) for index, value_D in values]).mean()

    def _reading(self, index: int, logp: LogProbs) -> TreeReading:
        row, advantages = self.rows[index], self.advantages
        self.update.policy(row, logp)
        return TreeReading(
            tree=row, tensors=self.tensors[index], logp=logp,
            reference=self.reference[index] if self.reference else None,
            old=self.old[index] if self.old else None,
            advantage_D=advantages[index] if advantages else None,
            beta=self.kl.beta,
        )  # fmt: skip

    def _value_loss(self, index: int, value_D: Tensor) -> Tensor:
        assert self.critic is not None
        row = self.tensors[index]
        loss = self.critic.section.coef * value_loss(value_D, row.reward_D, row.weight_D)
        self.update.mean("value_loss", loss)
        self.update.value(value_D, row.reward_D)
        return loss

    def after_update(self, *, epoch_ends: bool) -> Alarm | None:
        self.log_scalars(self.update_figures)
        kl = self.update_figures.get("kl")
        if kl is None:
            return None
        alarm = None
        if self.monitor is not None:
            alarm = self.monitor.after_update(kl, self.update_figures.get("tool_entropy"))
        self.kl.after_update(kl)
        if not epoch_ends:
            return alarm
        mean = self.kl.end_epoch()
        return (None if self.monitor is None else self.monitor.of_mean(mean)) or alarm

    @property
    def critic_lr(self) -> float:
        return self.stage.lr if self.critic is None else self.critic.section.lr

    def extra_metrics(self) -> dict[str, float]:
        return {} if self.algorithm.beta is None else {"beta": self.kl.beta}

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        old = self.old if self.algorithm.refreshes else []
        return {
            "beta": self.kl.state_dict(),
            "monitor": None if self.monitor is None else self.monitor.state_dict(),
            "prepared_epoch": self.prepared_epoch,
            "rewards": [[d.reward for d in row.decisions] for row in self.rows],
            "v_old": self.v_old, "advantages": self.advantages,
            "old": [(x.action_D, x.token_T, x.head_DA) for x in old],
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kl.load_state_dict(state["beta"])
        if self.monitor is not None:
            self.monitor.load_state_dict(state["monitor"])
        self.prepared_epoch, self.v_old, self.advantages = state["prepared_epoch"], state["v_old"], state["advantages"]
        for row, rewards in zip(self.rows, state["rewards"], strict=True):
            for decision, reward in zip(row.decisions, rewards, strict=True):
                decision.reward = reward
        self.tensors = [TreeTensors.of(row, self.agent.model.device, self.agent.precision) for row in self.rows]
        if state["old"]:
            self.old = [LogProbs(*parts) for parts in state["old"]]


def _behaviour(row: TokenTree, reference: LogProbs) -> LogProbs:
    """The stored behaviour log-probabilities; the reference's if none are stored, as for scripted actions."""
    action, token, at = reference.action_D.clone(), reference.token_T.clone(), 0
    for i, decision in enumerate(row.decisions):
        stored = torch.tensor(decision.behaviour_logprobs, device=action.device, dtype=action.dtype)
        if len(stored):
            skip = int(decision.constrained)
            if skip:
                action[i] = stored[0]
            token[at : at + len(decision.token_positions)] = stored[skip:]
        at += len(decision.token_positions)
    return LogProbs(action, token, reference.head_DA)
