"""Estimates the cost of judging before any money is spent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ..contracts.components import Judge, JudgeRequest
from ..contracts.remote_judge import Usage
from ..host.hooks import PluginHooks
from .budget import cost
from .client import JudgeClient, remote_judges

CHARACTERS_PER_TOKEN = 3.8
"""Measured on the judges' prompts: 8,600 characters are 2,250 tokens (SmolLM2's tokenizer; others differ by a few per
cent)."""
TOKENS_PER_VERDICT = 14
"""Output tokens per candidate: a label with its score and its process_ok."""


@dataclass(frozen=True)
class Estimate:
    """The cost of one judge. US dollars are None if no price is known."""

    judge: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    usd_in_batches: float | None

    def __str__(self) -> str:
        price = "price not known" if self.usd is None else f"${self.usd:,.2f}"
        if self.usd and self.usd_in_batches is not None:
            price += f" (in batches ${self.usd_in_batches:,.2f})"
        return (
            f"judge {self.judge} ({self.model}): {self.calls:,} calls, {self.input_tokens:,} tokens in, "
            f"{self.output_tokens:,} out, {price}"
        )


def estimate(judge: Judge, sample: Sequence[JudgeRequest], calls: int) -> list[Estimate]:
    """An estimate for every remote judge, from the mean of sampled steps; no request is sent.

    Args:
        sample: steps like those that will be judged, or all of them if they are known.
        calls: number of steps that will be judged.
    """
    estimates = []
    for part in remote_judges(judge):
        api_requests = [part.request(PluginHooks.redact_gold(part, request)) for request in sample]
        lengths = [len(json.dumps(one.body, ensure_ascii=False)) for one in api_requests]
        characters = sum(lengths) / len(lengths)
        candidates = sum(len(request.candidates) for request in sample) / len(sample)
        mean = Usage(
            input_tokens=round(characters / CHARACTERS_PER_TOKEN), output_tokens=round(candidates * TOKENS_PER_VERDICT)
        )
        live, batched = cost(part, mean), cost(part, mean, batch=True)
        estimates.append(
            Estimate(
                judge=part.name,
                model=str(api_requests[0].body.get("model", api_requests[0].endpoint)),
                calls=calls,
                input_tokens=mean.input_tokens * calls,
                output_tokens=mean.output_tokens * calls,
                usd=None if live is None else live * calls,
                usd_in_batches=None if batched is None or part.batches() is None else batched * calls,
            )
        )
    return estimates


@dataclass(frozen=True)
class Forecast:
    """Estimates for all remote judges, and their assumptions."""

    estimates: tuple[Estimate, ...]
    assumed: str

    @property
    def lines(self) -> list[str]:
        """One line per judge."""
        return list(map(str, self.estimates)) or ["no judge sends requests: 0 calls, $0.00"]

    def __str__(self) -> str:
        return "\n".join([*self.lines, self.assumed])


def forecast_steps(client: JudgeClient, judge: Judge, steps: Sequence[JudgeRequest]) -> Forecast:
    """An estimate for known steps: their actual requests are counted, and those with a stored reply are free."""
    estimates = []
    for part in remote_judges(judge):
        seen = [client.calls.redact_gold(part, request) for request in steps]
        fresh = [request for request in seen if not client.is_stored(part, request)]
        estimates += estimate(part, fresh, len(fresh)) if fresh else [Estimate(part.name, "-", 0, 0, 0, 0.0, None)]
    return Forecast(
        tuple(estimates), f"assumed: {len(steps):,} steps have no verdict yet; their requests are known, and every "
        "call succeeds at once",
    )  # fmt: skip
