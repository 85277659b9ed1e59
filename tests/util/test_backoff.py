"""Waits between attempts: they double up to a limit, are spread at random, and follow what a server asks for."""

from __future__ import annotations

import math
import time
from email.utils import formatdate

import pytest

from spark_framework.api import exponential_delay, parse_retry_after
from spark_framework.util.backoff import LONGEST_RETRY_AFTER, full_jitter, next_delay


def test_delays_double_up_to_the_longest() -> None:
    assert [exponential_delay(attempt, 0.5, 5.0) for attempt in range(1, 7)] == [0.5, 1, 2, 4, 5, 5]


def test_jitter_is_spread_between_zero_and_the_delay() -> None:
    drawn = [full_jitter(3, 0.5, 30.0) for _ in range(1000)]
    assert 0 <= min(drawn) < 0.2
    assert 1.8 < max(drawn) <= 2
    assert full_jitter(9, 0.0, 30.0) == 0


def test_a_server_is_waited_for_as_long_as_it_asks_within_limits() -> None:
    assert next_delay(7.0, otherwise=1.0) == 7
    assert next_delay(0.0, otherwise=1.0) == 0
    assert next_delay(None, otherwise=1.0) == 1
    assert next_delay(-1.0, otherwise=1.0) == 0
    assert next_delay(math.inf, otherwise=1.0) == next_delay(None, otherwise=1e6) == LONGEST_RETRY_AFTER


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("2.5", 2.5), ("inf", math.inf), ("9" * 400, math.inf)])
def test_seconds_are_read(value: str, seconds: float) -> None:
    assert parse_retry_after(value) == seconds


def test_a_date_is_read() -> None:
    assert parse_retry_after(formatdate(time.time() + 3000, usegmt=True)) == pytest.approx(3000, abs=60)


@pytest.mark.parametrize(
    "value", [None, "", "soon", "nan", "-5", "Fri, 31 Dec 1999", "Fri, 01 Jan 2021 00:00:00 GMT"]
)  # fmt: skip
def test_what_names_no_time_ahead_is_none(value: str | None) -> None:
    assert parse_retry_after(value) is None
