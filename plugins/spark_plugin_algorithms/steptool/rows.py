"""Training rows of StepTool: the tokens of a trajectory, with the reward of each of its steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spark_framework.api import (
    DataError,
    Decision,
    LogProbs,
    PpoExample,
    ResponseSpans,
    StageData,
    TokenTree,
    Trajectory,
    build_tree,
    read_ppo_csv,
)

if TYPE_CHECKING:
    from . import StepToolSection

Tokenise = Callable[[str, bool], Sequence[int]]
"""Token ids of a text; the flag says whether the tokenizer's own special tokens (BOS) are added."""


@dataclass(frozen=True)
class StepTree:
    """A trajectory's row and its response tokens T, in order: of each step the action's label where it was drawn from
    the action head, then the free tokens."""

    row: TokenTree
    score_S: Tensor
    """Reward of each step. A row that was cut has fewer steps than scores; the last scores belong to them."""
    places: ResponseSpans
    order_T: Tensor
    """Index of each token in `LogProbs`, whose actions precede its tokens."""
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


def step_tree(row: TokenTree, scores: Sequence[float], device: torch.device | str = "cpu") -> StepTree:
    """The step-grained view of an unbranched row."""
    steps, places, order = [], [], []
    free = len(row.decisions)  # index of the next free token, after all actions
    for step, decision in enumerate(row.decisions):
        if decision.constrained:
            steps.append(step)
            places.append(decision.first_position)
            order.append(step)
        steps += [step] * len(decision.token_positions)
        places += decision.token_positions
        order += range(free, free + len(decision.token_positions))
        free += len(decision.token_positions)

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, device=device)

    at_T = tensor(places)
    before_T = tensor([row.parents[at] for at in places])
    return StepTree(row, torch.tensor(scores), ResponseSpans(tensor(steps), at_T), tensor(order), before_T)


def trajectory_row(trajectory: Trajectory, rewards: list[float], max_tokens: int) -> TokenTree:
    """One of our own trajectories: the tokens that were generated, and the reward of each step."""
    return build_tree([trajectory], {trajectory.id: rewards}, max_tokens=max_tokens)


def csv_rows(section: StepToolSection, data: StageData) -> list[TokenTree]:
    """A row for each row of the stage's CSV."""
    assert section.csv is not None
    tokenizer = data.tokenizer()

    def tokenise(text: str, special: bool) -> Sequence[int]:
        return tokenizer(text, add_special_tokens=special).input_ids  # type: ignore[no-any-return]

    return [
        csv_row(f"{section.csv}, row {number}", example, tokenise, section, data.max_tokens)
        for number, example in enumerate(read_ppo_csv(section.csv), 1)
    ]


def csv_row(name: str, example: PpoExample, tokenise: Tokenise, section: StepToolSection, max_tokens: int) -> TokenTree:
    """A row of StepTool's CSV, cut as its trainer cuts it: context at the beginning, the last response at its end.

    `released` gives every fragment the tokenizer's special tokens, `paper` the first one only.

    Raises:
        DataError: it has more tokens than the model reads, or no response is left.
    """
    every = section.compat == "released"
    context: list[tuple[int, int]] = []  # (token, step; -1 for text of the environment)
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
    row = TokenTree(name=name)
    row.add(-1, [token for token, _ in tokens])
    for step in range(last + 1):
        at = [i for i, (_, owner) in enumerate(tokens) if owner == step and i > 0]  # nothing predicts the first token
        if at:
            row.decisions.append(
                Decision(
                    action="", depth=step, state_position=at[0] - 1, first_position=at[0], token_positions=at,
                    constrained=False, reward=example.rewards[step],
                )
            )  # fmt: skip
    if not row.decisions:
        raise DataError(f"{name} has no token of a response; raise steptool.max_context")
    return row
