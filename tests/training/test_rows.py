"""Rows: one tree of tokens reads like every trajectory on its own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from spark_framework.errors import DataError
from spark_framework.training.data.packing import merge_trees, plan_batches, truncate_to_states
from spark_framework.training.data.tensors import LogProbs
from spark_framework.training.data.token_tree import TokenTree, add_candidates, build_tree
from spark_framework.training.model.actor_critic import ActorCritic
from tests.training.trees import LABELS, PROMPT, actor, path_ids, trajectory, tree


def row_of(trajectories: list, max_tokens: int = 2048) -> TokenTree:
    return build_tree(trajectories, {t.id: [0.0] * len(t.steps) for t in trajectories}, max_tokens=max_tokens)


def read(agent: ActorCritic, row: TokenTree) -> LogProbs:
    inputs = agent.inputs([0], [row])
    (found,) = agent.log_probs(agent.forward(inputs), inputs)
    return found


def path_to(row: TokenTree, token: int) -> list[int]:
    path = []
    while token >= 0:
        path.append(token)
        token = row.parents[token]
    return path[::-1]


def test_every_path_of_the_tree_is_a_trajectory() -> None:
    trajectories = tree()
    row = row_of(trajectories)
    last = {tuple(row.ids[i] for i in path_to(row, d.token_positions[-1])) for d in row.decisions}
    assert {tuple(path_ids(t)) for t in trajectories} <= last
    for token in range(len(row.ids)):
        assert row.positions[token] == len(path_to(row, token)) - 1


def test_what_is_shared_stands_once() -> None:
    one, two, three = tree()
    row = row_of([one, two, three])
    first = len(one.steps[0].candidate.token_ids) + len(one.steps[0].context_ids)
    alone = [len(path_ids(t)) - len(PROMPT) for t in (one, two, three)]
    assert len(row.ids) == len(PROMPT) + sum(alone) - first  # the first two have their first step in common


def test_a_branched_row_equals_its_trajectories_on_their_own(tiny: Path) -> None:
    agent = ActorCritic(actor(tiny), LABELS, None, 0)
    plain = actor(tiny).get_base_model().base_model
    trajectories = tree()
    row = row_of(trajectories)
    with torch.no_grad():
        hidden = agent.forward(agent.inputs([0], [row]))
        for one in trajectories:
            ids = path_ids(one)
            alone = plain(input_ids=torch.tensor([ids])).last_hidden_state[0]
            ends = [d.token_positions[-1] for d in row.decisions]
            path = next(p for p in (path_to(row, end) for end in ends) if [row.ids[i] for i in p] == ids)
            torch.testing.assert_close(hidden[path], alone, atol=1e-5, rtol=0)


def test_log_probabilities_of_a_branched_row(tiny: Path) -> None:
    agent = ActorCritic(actor(tiny), LABELS, None, 0)
    trajectories = tree()
    row = row_of(trajectories)
    with torch.no_grad():
        logp = read(agent, row)
        decision = at = 0
        for one in trajectories:
            single = row_of([one])
            own = read(agent, single)
            n, t = len(own.action_D), len(own.token_T)
            constrained = torch.tensor([d.constrained for d in single.decisions])
            torch.testing.assert_close(
                logp.action_D[decision : decision + n][constrained], own.action_D[constrained], atol=1e-5, rtol=0
            )
            torch.testing.assert_close(logp.token_T[at : at + t], own.token_T, atol=1e-5, rtol=0)
            torch.testing.assert_close(logp.head_DA[decision : decision + n], own.head_DA, atol=1e-5, rtol=0)
            decision, at = decision + n, at + t


def test_each_depth_counts_once() -> None:
    row = row_of(tree())
    for depth in range(4):
        assert sum(d.weight for d in row.decisions if d.depth == depth) == pytest.approx(1)
    assert [d.success for d in row.decisions if d.depth == 0] == [True, True, False]


def test_added_candidates_are_those_that_no_trajectory_follows() -> None:
    (one, _, _) = tree()
    row = row_of([one])
    add_candidates(row, one, 0, lambda number, candidate, score: score > 6.0)
    added = row.decisions[-1]
    assert (added.action, added.depth) == ("birch", 0)  # `think` has 4, `ash` is taken
    assert [row.ids[i] for i in path_to(row, added.token_positions[-1])] == [
        *PROMPT,
        *one.steps[0].candidates[1].token_ids,
    ]
    assert [d.weight for d in row.decisions if d.depth == 0] == [0.5, 0.5]


def test_too_long_for_the_model_is_an_error() -> None:
    (one, _, _) = tree()
    length = len(path_ids(one))
    row_of([one], max_tokens=length)
    with pytest.raises(DataError, match=rf"trajectory r/0/0 has {length} tokens; the model reads {length - 1}"):
        row_of([one], max_tokens=length - 1)


def test_text_without_tokens_cannot_be_trained_on() -> None:
    (one, _, _) = tree()
    bare = one.steps[0].candidates[0].model_copy(update={"token_ids": ()})
    steps = [one.steps[0].model_copy(update={"candidates": (bare, *one.steps[0].candidates[1:])}), *one.steps[1:]]
    with pytest.raises(DataError, match="r/0/0 holds no token ids"):
        row_of([trajectory(steps)])


def test_an_action_without_content_is_an_error() -> None:
    (one, _, _) = tree()
    bare = one.steps[1].candidate.model_copy(update={"token_ids": (301, 5), "token_logprobs": (-0.1, 0.0)})
    candidates = tuple(bare if c is one.steps[1].candidate else c for c in one.steps[1].candidates)
    steps = [one.steps[0], one.steps[1].model_copy(update={"candidates": candidates}), one.steps[2]]
    with pytest.raises(DataError, match="r/0/0, step 1: the action birch is empty"):
        row_of([trajectory(steps)])


@pytest.mark.parametrize("odd", [(-0.5,), (math.nan,) * 100])
def test_behaviour_log_probabilities_that_do_not_fit_are_an_error(odd: tuple[float, ...]) -> None:
    (one, _, _) = tree()
    closing = one.steps[2].candidate
    length = len(closing.token_ids)
    changed = closing.model_copy(update={"token_logprobs": odd[:length]})
    with pytest.raises(DataError, match="r/0/0, step 2: token_logprobs is not one finite number for each token"):
        row_of([trajectory([*one.steps[:2], one.steps[2].model_copy(update={"candidates": (changed,)})])])


# -- packing ---------------------------------------------------------------------------------------------------------


def plain_row(*ids: int) -> TokenTree:
    row = TokenTree("r")
    row.add(-1, ids)
    return row


def test_packs_hold_what_the_budget_allows() -> None:
    rows = [plain_row(*range(at, at + length)) for at, length in ((0, 50), (1000, 400), (2000, 60), (3000, 30))]
    assert plan_batches(rows, 100) == [[0], [1], [2, 3]]  # one is too long for all
    assert plan_batches(rows, 1000) == [[0, 1, 2, 3]]
    assert plan_batches(rows, 1) == [[0], [1], [2], [3]]


def test_rows_that_begin_alike_go_together_and_what_they_share_counts_once() -> None:
    shared = range(100, 180)
    rows = [plain_row(*start, *range(at, at + 10)) for start, at in ((shared, 1), ((5,), 2), (shared, 3), ((5,), 4))]
    assert plan_batches(rows, 100) == [[1, 3], [0, 2]]
    whole, places = merge_trees([rows[0], rows[2]])
    assert len(whole.ids) == 100
    assert [[whole.ids[i] for i in at] for at in places] == [rows[0].ids, rows[2].ids]
    assert places[0][:80] == places[1][:80]


def test_joined_rows_keep_their_tokens_apart() -> None:
    rows = [row_of(tree(0, 0)), row_of(tree(1, 1)[:1])]
    whole, places = merge_trees(rows)
    assert len(whole.ids) == sum(len(row.ids) for row in rows) - len(PROMPT)
    for row, at in zip(rows, places, strict=True):
        assert [whole.ids[i] for i in at] == row.ids
        assert [whole.positions[i] for i in at] == row.positions
        for token, parent in zip(at, row.parents, strict=True):
            assert whole.parents[token] == (at[parent] if parent >= 0 else -1)
    for ours, alone in zip(whole.decisions[len(rows[0].decisions) :], rows[1].decisions, strict=True):
        assert [whole.ids[t] for t in ours.token_positions] == [rows[1].ids[t] for t in alone.token_positions]
        assert (ours.state_position, ours.first_position) == (
            places[1][alone.state_position],
            places[1][alone.first_position],
        )


def test_a_critics_row_ends_at_the_last_state() -> None:
    for row in (row_of(tree()), row_of(tree()[:1])):
        short = truncate_to_states(row)
        last = max(d.state_position for d in row.decisions)
        assert len(short.ids) == last + 1 < len(row.ids)
        assert short.ids == row.ids[: last + 1]
