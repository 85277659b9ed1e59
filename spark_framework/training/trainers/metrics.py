"""The metrics of one update, from its rows, without gradients."""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor

from ...records import ANSWER
from ...util.collectives import all_gather_object, to_device, world
from ..data.tensors import LogProbs
from ..data.token_tree import TokenTree

NATS_PER_BIT = math.log(2)


class UpdateMetrics:
    """Collects the metrics of an update.

    approx_kl: (log r)^2 / 2 to the reference over action tokens, in nats per token. entropy: of pi over actions in a
    state;
    tool_entropy: of pi over actions, averaged over the states in which the answer was not chosen; token_entropy: of
    the written tokens; all in bits. advantage/TOOL: mean before the update.
    """

    def __init__(self) -> None:
        self.means: dict[str, list[Tensor]] = defaultdict(list)
        """The elements of each metric that is a plain mean."""
        self.choices: list[Tensor] = []
        self.values: list[Tensor] = []
        self.targets: list[Tensor] = []

    @torch.no_grad()
    def mean(self, name: str, value: Tensor) -> None:
        """Add a number, or the elements of a vector, to a metric that is a mean over the update."""
        self.means[name].append(value.detach().reshape(-1))

    @torch.no_grad()
    def policy(self, row: TokenTree, logp: LogProbs) -> None:
        """Add the policy's entropies on one row. Free text (`action` is empty) has no distribution over actions."""
        chosen = [i for i, d in enumerate(row.decisions) if d.action]
        pi_DA = logp.head_DA.exp()
        self.means["entropy"].append(torch.special.entr(pi_DA).sum(-1)[chosen] / NATS_PER_BIT)
        if logp.entropy_T is not None:
            self.means["token_entropy"].append(logp.entropy_T / NATS_PER_BIT)
        self.choices.append(pi_DA[[i for i in chosen if row.decisions[i].action != ANSWER]])

    @torch.no_grad()
    def distance(self, row: TokenTree, logp: LogProbs, reference: LogProbs) -> Tensor:
        """Add the distance from the reference on one row; returns (log r)^2 / 2 of each action token, in nats."""
        taken = [i for i, d in enumerate(row.decisions) if d.constrained]
        gaps = ((logp.action_D - reference.action_D)[taken], logp.token_T - reference.token_T)
        far_T = torch.cat(gaps) ** 2 / 2
        self.means["approx_kl"].append(far_T)
        return far_T

    @torch.no_grad()
    def surrogate(self, logp: LogProbs, old: LogProbs, clip: float) -> None:
        """Add the clip fractions of PPO's ratios."""
        self.means["clip_fraction_action"].append(clip_mask(logp.action_D, old.action_D, clip))
        self.means["clip_fraction_token"].append(clip_mask(logp.token_T, old.token_T, clip))

    @torch.no_grad()
    def advantages(self, row: TokenTree, advantage_D: Tensor) -> None:
        """Add the advantages of a row's decisions, by action."""
        for decision, advantage in zip(row.decisions, advantage_D, strict=True):
            if decision.action:
                self.means[f"advantage/{decision.action}"].append(advantage.detach()[None])

    @torch.no_grad()
    def value(self, value: Tensor, target: Tensor) -> None:
        """Add the critic's values and their targets."""
        self.values.append(value.detach())
        self.targets.append(target)

    def compute(self) -> dict[str, float]:
        """All metrics by name. Those that are not defined for so few decisions are left out."""
        figures = {name: float(torch.cat(parts).mean()) for name, parts in self.means.items() if sum(map(len, parts))}
        if self.choices and sum(map(len, self.choices)):
            pi_A = torch.cat(self.choices).mean(0)
            figures["tool_entropy"] = float(torch.special.entr(pi_A).sum()) / NATS_PER_BIT
        if self.values:
            target, value = torch.cat(self.targets), torch.cat(self.values)
            spread = float(target.var(unbiased=False))
            if spread > 0:
                figures["explained_variance"] = 1 - float((target - value).var(unbiased=False)) / spread
        return figures

    def all_gather(self) -> UpdateMetrics:
        """The metrics of all processes, as if one process had seen all rows."""
        if world()[1] == 1:
            return self
        merged = UpdateMetrics()
        for one in all_gather_object(to_device(vars(self), "cpu")):
            for name, parts in one["means"].items():
                merged.means[name] += parts
            merged.choices += one["choices"]
            merged.values += one["values"]
            merged.targets += one["targets"]
        return merged


def clip_mask(logp: Tensor, old: Tensor, clip: float) -> Tensor:
    """1 for each ratio outside [1 - clip, 1 + clip], else 0."""
    return ((logp - old).exp() - 1).abs().gt(clip).float()
