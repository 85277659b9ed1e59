"""Reference log-probabilities and initial values of a stage, from the policy that it starts from; cached with the
run."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ...util.collectives import all_gather_object, broadcast_from_first
from ..data.tensors import LogProbs
from . import reference_cache
from .actor_critic import CRITIC, ActorCritic
from .critic import Critic
from .forward import BatchedForward


class FirstPolicy:
    """Computes and caches the readings of the policy that a stage starts from.

    Args:
        folder: of the cache, which stages may share.
        base: digest of the frozen base.
    """

    def __init__(self, agent: ActorCritic, folder: Path, base: str) -> None:
        self.agent, self.folder = agent, folder
        actor = [(n, p) for n, p in agent.model.named_parameters() if ".default." in n]
        if not any(p.any() for n, p in actor if "lora_B" in n):
            actor = []  # a new adapter has no effect yet, whatever its seed
        self.policy = reference_cache.parts_digest(
            base,
            reference_cache.weights_digest(actor),
            agent.model.dtype,
            agent.model.device.type,
            agent.actions.tolist(),
        )
        """Digest of the policy: weights to the last byte, dtype, kind of device, action head."""

    def readings(self, reader: BatchedForward, *, with_states: bool) -> tuple[list[LogProbs], list[Tensor]]:
        """Log-probabilities of every row and, with `with_states`, the states of its decisions ([D, width]), which some
        critics need."""

        def compute(indices: list[int]) -> list[reference_cache.Entry]:
            found = []
            for logp, state_DH in zip(*reader.all(indices), strict=True):
                entry = {"action": logp.action_D, "token": logp.token_T, "head": logp.head_DA}
                found.append({**entry, "state": state_DH} if with_states else entry)
            return found

        names = ("action", "token", "head", *(("state",) if with_states else ()))
        file = self.folder / f"policy-{self.policy}.safetensors"
        keys = [reference_cache.row_digest(row) for row in reader.rows]
        got = reference_cache.entries(file, keys, names, compute, self.agent.model.device)
        logps = [LogProbs(entry["action"], entry["token"], entry["head"]) for entry in got]
        return logps, [entry["state"] for entry in got if "state" in entry]

    @torch.no_grad()
    def values(self, critic: Critic, reader: BatchedForward, seed: int) -> list[Tensor]:
        """V_old of every row [D], after the critic's warm-up in the order of a seed. The critic is warmed up
        afterwards."""
        model, rows = self.agent.model, critic.rows
        weights = {f"head.{n}": p for n, p in critic.head.named_parameters()}
        weights.update((n, p) for n, p in model.named_parameters() if f".{CRITIC}." in n)
        rewards = [[(d.reward, d.weight) for d in row.decisions] for row in rows]
        key = reference_cache.parts_digest(
            self.policy, [reference_cache.row_digest(row) for row in rows], rewards, critic.section.model_dump_json(),
            reference_cache.weights_digest(weights.items()), seed,
        )  # fmt: skip
        file = self.folder / f"critic-{key}.safetensors"
        stored = reference_cache.read(file)
        if not all(all_gather_object(bool(stored))):
            critic.warm_up(seed)
            agreed = broadcast_from_first(lambda: [p.detach().cpu() for p in weights.values()])
            for parameter, value in zip(weights.values(), agreed, strict=True):
                parameter.data.copy_(value)  # sums of several processes may differ in their last digit
            values = reader.values(critic) if critic.reads_rows else map(critic.head, critic.features)
            stored = {f"value.{i}": value_D for i, value_D in enumerate(values)}
            stored.update((name, p.detach()) for name, p in weights.items())
            reference_cache.write(file, stored)
        for name, parameter in weights.items():
            parameter.data.copy_(stored[name])
        return [stored[f"value.{i}"].to(model.device) for i in range(len(rows))]
