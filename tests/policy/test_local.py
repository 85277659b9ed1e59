"""The local policy: batched generation with a kept cache equals one row at a time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from spark_framework.models.loading import load_model, load_tokenizer
from spark_framework.policy import Continuation, Sampling
from spark_framework.policy.action_space import ActionSpace
from spark_framework.policy.candidate_logprobs import candidate_logprobs
from spark_framework.policy.formats import ReAct
from spark_framework.policy.local import LocalPolicy
from spark_framework.policy.renderer import Renderer
from spark_framework.records import Candidate, Question
from tests.policy.test_renderer import SPACE

QUESTIONS = [
    Question(
        id=str(i),
        text=f"What is {i}*{i}" + " plus one" * (i % 3),
        options=("1", str(i)),
        answer=1,
        category="math",
        source="t",
    )
    for i in range(5)
]


def policy(tiny: Path, batch_size: int, constrained: bool = True, dtype: str = "float32") -> LocalPolicy:
    renderer = Renderer(load_tokenizer(str(tiny)), SPACE, ReAct())
    model = load_model(str(tiny), dtype=dtype, device="cpu")
    return LocalPolicy(model, renderer, batch_size=batch_size, constrained=constrained)


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_batching_changes_no_more_than_rounding(tiny: Path, temperature: float) -> None:
    """Two steps with nine-way writing, one row at a time and all together: same tokens, same probabilities.

    In double precision: in single precision, the order of a sum can flip a token.
    """
    sampling = Sampling(temperature, 12)
    names = SPACE.candidates
    results = []
    for size in (1, 3, 5):
        batch = policy(tiny, size, dtype="float64").start(QUESTIONS)
        first = batch.propose([names] * 5, sampling, [10 * i for i in range(5)])
        before = batch.action_probs()
        continuations = [Continuation(i, first[i][k], "forty-two") for i in (4, 1, 2) for k in (0, 2)]
        contexts = batch.step(continuations)
        second = batch.act(SPACE.names, sampling, range(6))
        results.append((first, before, contexts, batch.action_probs(), second))
    one = results[0]
    for other in results[1:]:
        assert [[c.token_ids for c in row] for row in other[0]] == [[c.token_ids for c in row] for row in one[0]]
        assert other[2] == one[2]
        assert [c.token_ids for c in other[4]] == [c.token_ids for c in one[4]]
        for probs, expected in zip((*other[1], *other[3]), (*one[1], *one[3]), strict=True):
            assert probs == pytest.approx(expected, abs=1e-6)


def test_stored_logprobs_are_those_of_a_fresh_forward(tiny: Path) -> None:
    import torch

    local = policy(tiny, 5)
    batch = local.start(QUESTIONS)
    written = batch.propose([SPACE.candidates] * 5, Sampling(0.8, 10), range(5))
    labels = [local.renderer.prefixes[name].label for name in SPACE.names]
    for question, row in zip(QUESTIONS, written, strict=True):
        prompt = local.renderer.prompt_ids(question)
        for candidate in row:
            ids = torch.tensor([[*prompt, *candidate.token_ids]])
            logits = local.model(ids).logits[0].float()
            head = logits[len(prompt) - 1, labels].log_softmax(-1)
            assert candidate.token_logprobs[0] == pytest.approx(
                head[SPACE.names.index(candidate.action)].item(), abs=1e-4
            )
            for at in range(candidate.opening, len(candidate.token_ids)):
                expected = logits[len(prompt) + at - 1].log_softmax(-1)[candidate.token_ids[at]].item()
                assert candidate.token_logprobs[at] == pytest.approx(expected, abs=1e-4)


def test_the_head_is_a_distribution_over_all_actions(tiny: Path) -> None:
    for probs in policy(tiny, 2).start(QUESTIONS).action_probs():
        assert tuple(probs) == SPACE.names
        assert math.isclose(sum(probs.values()), 1.0, abs_tol=1e-6)


def test_only_allowed_actions_are_decided(tiny: Path) -> None:
    batch = policy(tiny, 2).start(QUESTIONS)
    decided = batch.act(["answer"], Sampling(0.0, 5), range(5))
    assert {candidate.action for candidate in decided} == {"answer"}


def test_free_generation_is_parsed(tiny: Path) -> None:
    """Random weights name no action: the candidate says so and nothing is guessed."""
    batch = policy(tiny, 2, constrained=False).start(QUESTIONS)
    for candidate in batch.act(SPACE.names, Sampling(1.0, 8), range(5)):
        assert candidate.opening == 0
        assert candidate.token_ids
        assert candidate.action in SPACE.names or candidate.error is not None


def test_fingerprint_names_what_matters(tiny: Path) -> None:
    assert policy(tiny, 1).fingerprint() == policy(tiny, 4).fingerprint()
    assert policy(tiny, 1).fingerprint() != policy(tiny, 1, constrained=False).fingerprint()


def test_a_space_has_think_and_answer() -> None:
    assert ActionSpace.of([]).names == ("think", "answer")


def alone(local: LocalPolicy, state: list[int], candidate: Candidate) -> list[float]:
    """The log-probabilities of a candidate's tokens, from one forward over its whole prefix."""
    import torch

    ids = candidate.token_ids
    with torch.no_grad():
        logits = local.model(torch.tensor([[*state, *ids]])).logits[0, len(state) - 1 : -1].float()
    values = [float(logits[k].log_softmax(-1)[token]) for k, token in enumerate(ids)]
    if candidate.opening:
        labels = [local.renderer.prefixes[name].label for name in SPACE.names]
        head = logits[0, labels].log_softmax(-1)
        values[: candidate.opening] = [float(head[labels.index(ids[0])]), *[0.0] * (candidate.opening - 1)]
    return values


def test_scores_are_those_of_each_candidate_alone(tiny: Path) -> None:
    """Candidates of five questions over two steps, in batches: some written, one free, one row without any."""
    local = policy(tiny, 2)
    batch = local.start(QUESTIONS)
    states = [local.renderer.prompt_ids(question) for question in QUESTIONS]
    for step in range(2):
        written = batch.propose([SPACE.candidates] * 5, Sampling(1.0, 3 + 9 * step), range(5))
        rows = [*written[:3], [], [*written[4], local.renderer.free([7, 8, local.renderer.stop_id], [])]]
        scores = candidate_logprobs(batch, rows)
        for state, row, scored in zip(states, rows, scores, strict=True):
            assert len(scored) == len(row)
            for candidate, found in zip(row, scored, strict=True):
                assert found == pytest.approx(alone(local, state, candidate), abs=1e-5)
        for candidate, found in zip(rows[0], scores[0], strict=True):
            assert found == pytest.approx(candidate.token_logprobs, abs=1e-5)
        chosen = [row[i % len(row)] for i, row in enumerate(written)]
        contexts = batch.step([Continuation(i, chosen[i], "go on" * i) for i in range(5)])
        states = [[*states[i], *chosen[i].token_ids, *contexts[i]] for i in range(5)]


def test_branches_leave_their_states_as_they_are(tiny: Path) -> None:
    batch = policy(tiny, 5).start(QUESTIONS)
    before = batch.action_probs()
    first = batch.propose([SPACE.candidates] * 5, Sampling(0.0, 6), range(5))
    assert batch.action_probs() == before
    assert batch.propose([SPACE.candidates] * 5, Sampling(0.0, 6), range(5)) == first
