"""Log-probabilities by chunks of tokens are those of the whole softmax, and so are their gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from spark_framework.contracts.stage import CriticConfig, LoraConfig
from spark_framework.models.loading import load_model
from spark_framework.training.model import token_logprobs
from spark_framework.training.model.actor_critic import ActorCritic, add_actor_adapter
from tests.training.trees import LABELS


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_chunks_equal_the_unchunked_result(monkeypatch: pytest.MonkeyPatch, chunk: int, bias: bool) -> None:
    torch.manual_seed(0)
    head = nn.Linear(16, 50, bias=bias, dtype=torch.float64).requires_grad_(False)
    monkeypatch.setattr(token_logprobs, "MAX_LOGITS", chunk * 50)
    hidden = 3 * torch.randn(7, 16, dtype=torch.float64)
    target, upstream = torch.randint(50, (7,)), torch.randn(7, dtype=torch.float64)
    found = []
    for whole in (False, True):
        given = hidden.clone().requires_grad_()
        if whole:
            every = head(given).log_softmax(-1)
            logp, entropy = every.gather(1, target[:, None])[:, 0], -(every.exp() * every).sum(-1)
        else:
            logp, entropy = token_logprobs.token_log_probs(given, head, target)
        (logp * upstream).sum().backward()
        found.append((logp, entropy, given.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-10)


def test_a_missing_token_is_accepted() -> None:
    hidden = torch.zeros(0, 4, requires_grad=True)
    logp, entropy = token_logprobs.token_log_probs(hidden, nn.Linear(4, 9).requires_grad_(False), torch.zeros(0).long())
    assert (len(logp), len(entropy)) == (0, 0)
    logp.sum().backward()


def test_sums_are_in_single_precision_over_half_precision_weights() -> None:
    torch.manual_seed(0)
    head = nn.Linear(64, 5000, bias=False).bfloat16().requires_grad_(False)
    hidden = torch.randn(5, 64).bfloat16()
    target = torch.randint(5000, (5,))
    logp, _ = token_logprobs.token_log_probs(hidden, head, target)
    assert logp.dtype == torch.float32
    expected = head(hidden).float().log_softmax(-1).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(logp, expected, atol=1e-5, rtol=0)


def test_adapters_and_value_head_are_in_single_precision_over_a_half_precision_base(tiny: Path) -> None:
    base = load_model(str(tiny), dtype="bfloat16", device="cpu")
    agent = ActorCritic(add_actor_adapter(base, LoraConfig(r=2), None, 0), LABELS, CriticConfig(), 0)
    trained = [*agent.actor_parameters(), *agent.critic_parameters()]
    assert len(trained) > 10
    assert {p.dtype for p in trained} == {torch.float32}
    others = {id(p) for p in trained}
    assert {p.dtype for p in agent.model.parameters() if id(p) not in others} == {torch.bfloat16}
