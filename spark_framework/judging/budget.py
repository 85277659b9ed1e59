"""The cost of an attempt, and a budget that is never exceeded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..contracts.remote_judge import Price, RemoteJudge, Usage
from ..errors import JudgeError

MILLION = 1_000_000


def cost(judge: RemoteJudge, usage: Usage | None, *, batch: bool = False) -> float | None:
    """US dollars for some tokens, by the price in the settings or in genai-prices; None if no price is known.

    A batch costs half (OpenAI and Anthropic, November 2026), unless genai-prices lists another batch price.
    """
    if usage is None:
        return None
    if (price := judge.price) is not None:
        return _by_price(price, usage) * (0.5 if batch else 1.0)
    if judge.provider is None or judge.priced_model is None:
        return 0.0 if judge.priced_model is None else None
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    context = {"processing": "batch"} if batch else None
    tokens = Tokens(
        input_tokens=usage.input_tokens, cache_read_tokens=usage.cached_tokens, output_tokens=usage.output_tokens
    )
    try:
        found = calc_price(tokens, judge.priced_model, provider_id=judge.provider, price_context=context)
    except LookupError:
        return None
    return float(found.total_price)


def _by_price(price: Price, usage: Usage) -> float:
    cached = price.input if price.cached is None else price.cached
    fresh = usage.input_tokens - usage.cached_tokens
    return (fresh * price.input + usage.cached_tokens * cached + usage.output_tokens * price.output) / MILLION


class Budget:
    """Admits an attempt only if its worst case still fits, so that spending never exceeds the limit.

    Args:
        limit: US dollars for the run; None admits everything.
        spent: US dollars that the run has cost so far.
    """

    def __init__(self, limit: float | None, spent: float) -> None:
        self.limit, self.spent = limit, spent
        self._held, self._admitted = 0.0, 0
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, worst: float) -> Iterator[list[float]]:
        """Reserve the worst case while an attempt is made; append its actual cost to the list, in US dollars.

        Raises:
            JudgeError: (budget) it does not fit.
        """
        costs: list[float] = []
        with self._changed:
            # Running attempts mostly cost less than their worst case: wait for them before giving up.
            self._changed.wait_for(lambda: self._fits(worst) or self._held == 0)
            if not self._fits(worst):
                raise JudgeError(
                    f"the budget of ${self.limit:g} is used up: ${self.spent:.4f} are spent, and the next call may "
                    f"cost ${worst:.4f}; raise judging.budget and run the same command again",
                    "budget",
                )
            self._held += worst
            self._admitted += 1
        try:
            yield costs
        finally:
            with self._changed:
                self._admitted -= 1
                self._held = self._held - worst if self._admitted else 0.0  # exactly 0, also in floating point
                self.spent += sum(costs)
                self._changed.notify_all()

    def _fits(self, worst: float) -> bool:
        return self.limit is None or self.spent + self._held + worst <= self.limit
