"""The contract that every tool has to keep, and what this one does."""

import pytest
from spark_framework.api import ToolContext, ToolError
from spark_framework.testing import ToolContract

from spark_tool_primes import Primes


class TestPrimes(ToolContract):
    arguments = {"number": 360}

    @pytest.fixture
    def tool(self) -> Primes:
        return Primes()


def test_a_number_is_the_product_of_its_factors() -> None:
    assert Primes().call(Primes.Args(number=360), ToolContext()) == "2 * 2 * 2 * 3 * 3 * 5"


def test_what_would_take_too_long_is_refused() -> None:
    with pytest.raises(ToolError, match="try a smaller number"):
        Primes().call(Primes.Args(number=999985999949), ToolContext())
