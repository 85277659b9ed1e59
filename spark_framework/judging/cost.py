"""What judging will cost, before anything is spent."""

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
"""Of our prompts: 8,600 characters are 2,250 tokens (SmolLM2's tokenizer; providers' differ by some per cent)."""
TOKENS_PER_VERDICT = 14
"""A label with its score and its process_ok."""


@dataclass(frozen=True)
class Estimate:
    """One judge's share. US dollars are None where no price is known."""

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
    """An estimate for every judge that asks over a wire, from the mean of sampled steps; nothing is asked.

    Args:
        sample: steps like those that will be judged; all of them where they are known.
        calls: how many steps will be judged.
    """
    estimates = []
    for part in remote_judges(judge):
        wires = [part.request(PluginHooks.redact_gold(part, step)) for step in sample]
        characters = sum(len(json.dumps(wire.body, ensure_ascii=False)) for wire in wires) / len(wires)
        candidates = sum(len(step.candidates) for step in sample) / len(sample)
        mean = Usage(
            input_tokens=round(characters / CHARACTERS_PER_TOKEN), output_tokens=round(candidates * TOKENS_PER_VERDICT)
        )
        live, batched = cost(part, mean), cost(part, mean, batch=True)
        estimates.append(
            Estimate(
                judge=part.name,
                model=str(wires[0].body.get("model", wires[0].endpoint)),
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
    """Estimates of all judges that ask over a wire, and the assumptions behind them."""

    estimates: tuple[Estimate, ...]
    assumed: str

    @property
    def lines(self) -> list[str]:
        """One a judge."""
        return list(map(str, self.estimates)) or ["nothing is asked over a wire: 0 calls, $0.00"]

    def __str__(self) -> str:
        return "\n".join([*self.lines, self.assumed])


def forecast_steps(client: JudgeClient, judge: Judge, steps: Sequence[JudgeRequest]) -> Forecast:
    """For steps that are known: their requests are counted as they are, and those with a stored reply cost nothing."""
    estimates = []
    for part in remote_judges(judge):
        seen = [client.calls.redact_gold(part, step) for step in steps]
        fresh = [step for step in seen if not client.is_stored(part, step)]
        estimates += estimate(part, fresh, len(fresh)) if fresh else [Estimate(part.name, "-", 0, 0, 0, 0.0, None)]
    return Forecast(
        tuple(estimates), f"assumed: {len(steps):,} steps have no verdict yet; their requests are known, and every "
        "call succeeds at once",
    )  # fmt: skip
