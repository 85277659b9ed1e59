"""The figures of one update, from the rows that it saw. Nothing here has a gradient."""

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
    """Gathers what an update sees of its rows.

    approx_kl: (log r)^2 / 2 to the reference over action tokens, nats a token. entropy: of pi over actions in a state;
    tool_entropy: of pi over actions, averaged over the states where a tool was chosen; token_entropy: of the written
    tokens; all in bits. advantage/TOOL: mean before the update.
    """

    def __init__(self) -> None:
        self.means: dict[str, list[Tensor]] = defaultdict(list)
        """Elements of each figure that is a plain mean."""
        self.choices: list[Tensor] = []
        self.values: list[Tensor] = []
        self.targets: list[Tensor] = []

    @torch.no_grad()
    def mean(self, name: str, value: Tensor) -> None:
        """Add a number, or the elements of a vector, to a figure that is a mean over the update."""
        self.means[name].append(value.detach().reshape(-1))

    @torch.no_grad()
    def policy(self, row: TokenTree, logp: LogProbs) -> None:
        """The policy on one row. Free text (`action` is empty) has no distribution over actions."""
        chosen = [i for i, d in enumerate(row.decisions) if d.action]
        pi_DA = logp.head_DA.exp()
        self.means["entropy"].append(torch.special.entr(pi_DA).sum(-1)[chosen] / NATS_PER_BIT)
        if logp.entropy_T is not None:
            self.means["token_entropy"].append(logp.entropy_T / NATS_PER_BIT)
        self.choices.append(pi_DA[[i for i in chosen if row.decisions[i].action != ANSWER]])

    @torch.no_grad()
    def distance(self, row: TokenTree, logp: LogProbs, reference: LogProbs) -> Tensor:
        """How far it is from the reference on one row: (log r)^2 / 2 of each of its action tokens."""
        taken = [i for i, d in enumerate(row.decisions) if d.constrained]
        gaps = ((logp.action_D - reference.action_D)[taken], logp.token_T - reference.token_T)
        far_T = torch.cat(gaps) ** 2 / 2
        self.means["approx_kl"].append(far_T)
        return far_T

    @torch.no_grad()
    def surrogate(self, logp: LogProbs, old: LogProbs, clip: float) -> None:
        """What PPO did."""
        self.means["clip_fraction_action"].append(clip_mask(logp.action_D, old.action_D, clip))
        self.means["clip_fraction_token"].append(clip_mask(logp.token_T, old.token_T, clip))

    @torch.no_grad()
    def advantages(self, row: TokenTree, advantage_D: Tensor) -> None:
        """What its decisions were worth."""
        for decision, advantage in zip(row.decisions, advantage_D, strict=True):
            if decision.action:
                self.means[f"advantage/{decision.action}"].append(advantage.detach()[None])

    @torch.no_grad()
    def value(self, value: Tensor, target: Tensor) -> None:
        """What the critic said, and what it should have said."""
        self.values.append(value.detach())
        self.targets.append(target)

    def compute(self) -> dict[str, float]:
        """All figures. What cannot be said of so few decisions is left out."""
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
        """The figures of all processes, as if one had seen all rows."""
        if world()[1] == 1:
            return self
        whole = UpdateMetrics()
        for one in all_gather_object(to_device(vars(self), "cpu")):
            for name, parts in one["means"].items():
                whole.means[name] += parts
            whole.choices += one["choices"]
            whole.values += one["values"]
            whole.targets += one["targets"]
        return whole


def clip_mask(logp: Tensor, old: Tensor, clip: float) -> Tensor:
    """1 for each ratio outside [1 - clip, 1 + clip], else 0."""
    return ((logp - old).exp() - 1).abs().gt(clip).float()
