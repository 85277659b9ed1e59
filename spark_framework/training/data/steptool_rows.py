"""What StepTool's optimisation reads: one row of tokens for a trajectory, with the reward of each of its steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...config.training import StepToolSection
from ...contracts.components import RewardTerm
from ...errors import DataError
from ...records import Trajectory
from ..algorithms.losses import LogProbs
from ..algorithms.steptool import Places
from .ppo_csv import PpoExample
from .rewards import step_rewards
from .token_tree import Decision, Row, build_row

Tokenise = Callable[[str, bool], Sequence[int]]
"""Token ids of a text; the flag says whether the tokenizer's own special tokens (BOS) are added."""


@dataclass(frozen=True)
class StepRow:
    """A trajectory's row and its response tokens T, in order: of each step the action's label where it was drawn from
    the action head, then the free tokens."""

    row: Row
    score_S: Tensor
    """Reward of each step. Where the row was cut there are fewer steps than scores: the last ones are theirs."""
    places: Places
    order_T: Tensor
    """Where each token stands in `LogProbs`, its actions followed by its tokens."""
    before_T: Tensor
    """Position in the row whose hidden state predicts the token."""

    def in_order(self, logp: LogProbs) -> Tensor:
        """log pi of the response tokens, [T]."""
        return torch.cat([logp.action_D, logp.token_T])[self.order_T]

    def of_steps(self, value_T: Tensor) -> Tensor:
        """[S]: the mean of a number over each step's tokens."""
        step_T = self.places.step_T
        count_S = step_T.bincount()
        return torch.zeros(len(count_S)).to(value_T).index_add(0, step_T, value_T) / count_S


def step_row(row: Row, scores: Sequence[float], device: torch.device | str = "cpu") -> StepRow:
    """The step-grained view of an unbranched row."""
    steps, places, order = [], [], []
    free = len(row.decisions)  # index of the next free token behind all actions
    for step, decision in enumerate(row.decisions):
        if decision.constrained:
            steps.append(step)
            places.append(decision.first_at)
            order.append(step)
        steps += [step] * len(decision.tokens_at)
        places += decision.tokens_at
        order += range(free, free + len(decision.tokens_at))
        free += len(decision.tokens_at)

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, device=device)

    at_T = tensor(places)
    before_T = tensor([row.parents[at] for at in places])
    return StepRow(row, torch.tensor(scores), Places(tensor(steps), at_T), tensor(order), before_T)


def trajectory_row(trajectory: Trajectory, terms: Sequence[tuple[float, RewardTerm]], max_tokens: int) -> Row:
    """One of our own trajectories: the tokens that were generated, and the sum of the terms as each step's reward."""
    rewards = step_rewards(trajectory, (), terms, rho=0.0)
    return build_row([trajectory], {trajectory.id: rewards}, max_tokens=max_tokens)


def csv_row(name: str, example: PpoExample, tokenise: Tokenise, section: StepToolSection, max_tokens: int) -> Row:
    """A row of StepTool's CSV, cut as its trainer cuts it: context at the beginning, the last response at its end.

    `released` gives every fragment the tokenizer's special tokens, `paper` the first one only.

    Raises:
        DataError: it has more tokens than the model reads, or no response is left.
    """
    every = section.compat == "released"
    context: list[tuple[int, int]] = []  # (token, step; -1 for what the environment wrote)
    last = len(example.responses) - 1
    for step, (prompt, response) in enumerate(zip(example.prompts, example.responses, strict=True)):
        context += [(token, -1) for token in tokenise(prompt, every or step == 0)]
        if step < last:
            context += [(token, step) for token in tokenise(response, every)]
    closing = [(token, last) for token in tokenise(example.responses[-1], every)]
    tokens = [*context[-section.max_context :], *closing[: section.max_response]]
    if len(tokens) > max_tokens:
        raise DataError(
            f"{name} has {len(tokens)} tokens; the model reads {max_tokens}: lower steptool.max_context or max_response"
        )
    row = Row(name=name)
    row.add(-1, [token for token, _ in tokens])
    for step in range(last + 1):
        at = [i for i, (_, owner) in enumerate(tokens) if owner == step and i > 0]  # nothing predicts the first token
        if at:
            row.decisions.append(
                Decision(
                    action="", depth=step, state_at=at[0] - 1, first_at=at[0], tokens_at=at, constrained=False,
                    reward=example.rewards[step],
                )
            )  # fmt: skip
    if not row.decisions:
        raise DataError(f"{name} has no token of a response; raise steptool.max_context")
    return row
