"""Answer options: plausible wrong ones, and the place of the right one."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LEAST_OPTIONS = 4
LEAST_GAP = 0.012
"""Two numeric options differ by at least this share of the larger one, so that rounding never merges them."""
COUNT_WEIGHTS = {4: 4, 5: 4, 6: 5, 7: 5, 10: 2}
"""How often a question has so many options: mostly few (tokens), sometimes MMLU-Pro's ten. The mean is 6.05."""
FACTORS = (0.1, 0.5, 0.75, 0.8, 0.9, 1.1, 1.2, 1.25, 1.5, 2, 3, 10)
SHIFTS = (-10, -5, -3, -2, -1, 1, 2, 3, 5, 10)
TRIES = 400
_QUANTITY = re.compile(r"(-?\d+(?:\.\d+)?)(?: \D*)?")
"""A number with or without a unit; no date, numeral or equation."""


@dataclass(frozen=True)
class Amount:
    """A numeric answer with its unit. `digits` fixes the decimals; else at least four significant digits are shown."""

    value: float
    unit: str = ""
    digits: int | None = None

    def __str__(self) -> str:
        number = show(self.value) if self.digits is None else f"{self.value:.{self.digits}f}"
        return f"{number} {self.unit}".strip()

    @property
    def is_integer(self) -> bool:
        return not _decimals(str(self))


def show(value: float) -> str:
    """A number with two decimals or four significant digits, whichever is finer, without trailing zeros."""
    if value == round(value):
        return str(round(value))
    digits = max(2, 3 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def build_options(
    answer: Amount | str, wrong: Sequence[Amount | str], rng: random.Random
) -> tuple[tuple[str, ...], int]:
    """Options in random order and the index of the right one.

    `wrong` holds likely mistakes of a numeric answer (more numbers are made from it), or the pool of a textual one.
    Raises ValueError where the pool does not give four options.
    """
    count = rng.choices(list(COUNT_WEIGHTS), weights=list(COUNT_WEIGHTS.values()))[0]
    candidates: Iterable[str] = map(str, rng.sample(wrong, len(wrong)))
    if isinstance(answer, Amount):
        candidates = itertools.chain(candidates, _numbers_like(answer, rng))
    options = [str(answer)]
    for candidate in candidates:
        if len(options) == count:
            break
        if all(are_distinct(candidate, option) for option in options):
            options.append(candidate)
    if len(options) < LEAST_OPTIONS:
        raise ValueError(f"only {len(options)} distinct options for the answer {answer}")
    rng.shuffle(options)
    return tuple(options), options.index(str(answer))


def are_distinct(one: str, other: str) -> bool:
    """Whether two options can be told apart: neither contains the other, and numbers have a gap between them."""
    first, second = _QUANTITY.fullmatch(one), _QUANTITY.fullmatch(other)
    if first and second:
        x, y = float(first[1]), float(second[1])
        return abs(x - y) > LEAST_GAP * max(abs(x), abs(y))
    return not (_contains(one, other) or _contains(other, one))


def _contains(long: str, short: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(short)}(?!\w)", long, re.IGNORECASE) is not None


def _decimals(text: str) -> bool:
    return "." in text.split()[0]


def _numbers_like(answer: Amount, rng: random.Random) -> Iterator[str]:
    """Numbers in the answer's style. Each is made from any earlier one, so that the answer is not in their middle."""
    values = [answer.value]
    for _ in range(TRIES):
        value = rng.choice(values)
        if answer.is_integer:  # other answers have digits after the point, which a shift would leave as they are
            value = value + rng.choice(SHIFTS) if rng.random() < 0.5 else round(value * rng.choice(FACTORS))
        else:
            value *= rng.choice(FACTORS)
        too_far = not abs(answer.value) / 30 <= abs(value) <= abs(answer.value) * 30 + 30
        if too_far or (answer.value > 0) != (value > 0):
            continue
        values.append(value)
        yield str(Amount(value, answer.unit, answer.digits))
