"""`primes`: the prime factors of a whole number."""

from pydantic import Field
from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolContext, ToolError, hookimpl


class Primes(Tool):
    """Divides by every number up to the limit, so that a call never takes long."""

    name = "primes"
    description = "Factorises a whole number into primes."

    class Config(ComponentConfig):
        largest_divisor: int = Field(default=100_000, ge=2)
        """A number that needs a larger one is refused."""

    class Args(ToolArgs):
        number: int = Field(ge=2, le=10**15, description="for example 360")

    def call(self, args: Args, context: ToolContext) -> str:
        factors, rest, divisor = [], args.number, 2
        while divisor * divisor <= rest:
            if divisor > self.config.largest_divisor:
                raise ToolError(f"the factors of {args.number} are too large; try a smaller number")
            while rest % divisor == 0:
                factors.append(divisor)
                rest //= divisor
            divisor += 1
        return " * ".join(map(str, factors + [rest] * (rest > 1)))


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Primes]
