"""How long to wait before the next attempt: exponential back-off, full jitter, and a server's Retry-After."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER = 120.0
"""Seconds: the longest Retry-After that is followed."""


def exponential_delay(attempt: int, first: float, longest: float) -> float:
    """Seconds after attempt 1, 2, …: `first`, doubled with every attempt, up to `longest`."""
    return min(math.ldexp(first, attempt - 1), longest)


def full_jitter(attempt: int, first: float, longest: float) -> float:
    """Seconds after an attempt: uniform between 0 and the exponential delay, so that clients do not retry together."""
    return random.uniform(0.0, exponential_delay(attempt, first, longest))


def next_delay(retry_after: float | None, otherwise: float) -> float:
    """Seconds that the server requested, or `otherwise` if it did not; at most `LONGEST_RETRY_AFTER`."""
    return min(max(otherwise if retry_after is None else retry_after, 0.0), LONGEST_RETRY_AFTER)


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from now in a Retry-After header, a number or an HTTP date; possibly infinite. None if there is no such
    time, or if it has passed."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):  # no date, or one without a time zone
            return None
    return seconds if seconds >= 0 else None
