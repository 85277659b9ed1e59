"""Reads an option from free text: a tool's observation, a policy's answer, a model's letter."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..records import LETTERS, Candidate

NEAR = 0.01
"""Relative distance within which the nearest numeric option is accepted."""
FUZZY = 0.8
"""Least difflib ratio at which a misspelt option is recognised."""

# A separate number: not part of a word (H2O, 3F), a power (m/s^2), a version (1.2.3), a ratio (1/3, 5(1/2)), a
# formula (p-3) or a date (2024-03-05).
_NUMBER = re.compile(
    r"""(?<![\w.^/)\]]) (?<![\w)\]][-+*%]) [-+]?
        (?: (?:\d{1,3}(?:,\d{3})+ | \d+) (?:\.\d+)? | \.\d+ ) (?:[eE][-+]?\d+)?
        (?! \w | \.\d | [/(] | [-+*%]\w )""",
    re.VERBOSE,
)
_LOOSE_MINUS = re.compile(r"(^|[=≈:(,])\s*-\s+(?=[\d.])")
_EQUALS = re.compile(r"[=≈→]")
# The end of a statement: `x = 3, y = 4` is two statements, `a = b = 4` one. The comma in 1,200 does not end one.
_STATEMENT = re.compile(r"[;\n([]|,(?!\d{3})|\s(?:and|or)\s")
_SUPERSCRIPT_POWER = re.compile(r"(?<=10)[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWER_OF_TEN = re.compile(r"(?<![\w.])(?:(\d+(?:\.\d+)?)\s*[x×·*]\s*)?10(?:\^|\*\*)\{?([-+]?\d+)\}?(?![\w.])")
_LETTER = re.compile(
    r"(?:(?:the\s+)?(?:correct\s+)?(?:answer|option)\s*(?:is|:)?\s*)?\(?([A-Z])\)?[.:]?(?:(?<=[).:])\s.*)?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class _Quantity:
    """A numeric option: its value, half of its last printed digit, and its unit as text."""

    value: float
    half_digit: float
    unit: str

    @property
    def is_integer(self) -> bool:
        return self.half_digit >= 0.5

    def equals(self, number: float) -> bool:
        """Whether `number` rounds to the option. The precision of integer options is unknown: 1 % at most."""
        slack = 1e-9 * max(1.0, abs(self.value))
        limit = min(self.half_digit, NEAR * abs(self.value)) if self.is_integer else self.half_digit
        return abs(number - self.value) <= limit + slack


def match_option(text: str, options: Sequence[str]) -> int | None:
    """The option that a tool's text singles out, or None where it singles out none or several.

    In this order: the exact text; one option, not just a number, as complete words, where a longer option wins over a
    shorter one inside it; the result of a computation (the text after the last `=`, a bare number in the last line,
    the only number), equal within the rounding of the option's printed digits; one option's number in a sentence.
    """
    exact = _exact_option(text, options)
    if exact is not None:
        return exact
    quantities = _quantities(options)
    named = _named_options(text, [k for k in range(len(options)) if k not in quantities], options)
    if named:
        return _only(named)
    found = _equal_options(_results(text), quantities, text)
    if found:
        return _only(found)
    # In a sentence an integer option must match exactly: a mass of 22.99 is not the atomic number 23.
    numbers = _numbers(text)
    return _only(
        k for k, q in quantities.items() if any(n == q.value if q.is_integer else q.equals(n) for n in numbers)
    )


def resolve_answer(text: str, options: Sequence[str]) -> int | None:
    """The option that a policy's answer means, or None where no option can be read from it.

    In this order: exact text, letter (`B`, `(B)`, `B. Lima`, `The answer is B`), equal number, nearest number within
    1 %, complete words, and a misspelt option (difflib ratio of at least 0.8 and the same digits).
    """
    exact = _exact_option(text, options)
    if exact is not None:
        return exact
    letter = _LETTER.fullmatch(text.strip())
    if letter and (index := LETTERS.index(letter[1].upper())) < len(options):
        return index
    matched = match_option(text, options)
    if matched is not None:
        return matched
    nearest = _nearest_option(text, options)
    return _misspelt_option(text, options) if nearest is None else nearest


def official_answer(text: str, options: Sequence[str]) -> int | None:
    """The option that MMLU-Pro's own script reads from a model's text (TIGER-Lab, evaluate_from_local.py), or None.

    Letters only, in this order: `answer is (X)`; `Answer: X`; the last capital letter A to J that is a word. Where
    there is none, that script draws an option at random; here the answer stays None. None too for a letter without an
    option.
    """
    letter = _official_letter(text)
    index = None if letter is None else LETTERS.index(letter)
    return index if index is not None and index < len(options) else None


def answer_text(candidate: Candidate) -> str:
    """What a closing candidate answers: the text that it gives as an argument, else all that was written."""
    return str(candidate.arguments.get("text", "")) if candidate.arguments else candidate.text


def _official_letter(text: str) -> str | None:
    if match := re.search(r"answer is \(?([A-J])\)?", text):
        return match[1]
    # The script's `.*[aA]nswer:\s*([A-J])`, the last of the first line that has one, without its quadratic search.
    stated = list(re.finditer(r"[aA]nswer:(?=\s*([A-J]))", text))
    if stated:
        return [match[1] for match in stated if "\n" not in text[stated[0].start() : match.start()]][-1]
    alone = re.findall(r"\b[A-J]\b", text)
    return alone[-1] if alone else None


def _only(indices: Iterable[int]) -> int | None:
    found = list(indices)
    return found[0] if len(found) == 1 else None


def _exact_option(text: str, options: Sequence[str]) -> int | None:
    """The option with this text; where case or punctuation alone tell options apart (`DdGg`, `Ddgg`), they count."""
    same = _only(k for k, option in enumerate(options) if option.strip() == text.strip())
    return _only(k for k, option in enumerate(options) if _plain(option) == _plain(text)) if same is None else same


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".").strip("\"'`")


def _normal(text: str) -> str:
    """The text with minus signs and powers of ten in one spelling: `1.2 × 10⁻³` becomes `1.2e-3`."""
    text = _LOOSE_MINUS.sub(r"\1 -", text.replace("−", "-").replace("–", "-"))
    text = _SUPERSCRIPT_POWER.sub(lambda match: "^" + match[0].translate(_SUPERSCRIPTS), text)
    return _POWER_OF_TEN.sub(lambda match: f"{match[1] or 1}e{match[2]}", text)


def _numbers(text: str) -> list[float]:
    values = [float(match[0].replace(",", "")) for match in _NUMBER.finditer(_normal(text))]
    return [value for value in values if math.isfinite(value)]


def _quantity(option: str) -> _Quantity | None:
    """The option as number and unit; None for text and for what holds several numbers (a ratio, a range)."""
    text = _normal(option).strip().lstrip("$€£ ")
    match = _NUMBER.match(text)
    if match is None:
        return None
    unit = text[match.end() :].strip()
    if re.search(r"^[-^]|[=+<>,;:]", unit) or _numbers(unit) or len(unit.split()) > 3:
        return None
    mantissa, _, exponent = match[0].lower().partition("e")
    digits = len(mantissa.partition(".")[2]) - int(exponent or 0)
    value = float(match[0].replace(",", ""))
    return _Quantity(value, 0.5 * 10.0**-digits, unit) if math.isfinite(value) else None


def _quantities(options: Sequence[str]) -> dict[int, _Quantity]:
    return {k: quantity for k, option in enumerate(options) if (quantity := _quantity(option)) is not None}


def _results(text: str) -> list[float]:
    """The numbers that a text presents as its outcome. Several, where it makes several statements of the kind x = 3."""
    results: list[float] = []
    stated = False
    for statement in _STATEMENT.split(_normal(text)):
        *before, value = _EQUALS.split(statement)
        stated = stated or bool(before)
        if stated:
            results += _numbers(value)
    if stated:
        return results
    last_line = text.strip().rpartition("\n")[2]
    bare = _quantity(last_line)
    if bare is not None:
        return [bare.value]
    numbers = _numbers(text)
    return numbers if len(numbers) == 1 else []


def _equal_options(numbers: Sequence[float], quantities: dict[int, _Quantity], text: str) -> list[int]:
    """Options that one of the numbers rounds to: for each number the nearest, and of equals those with the unit."""
    found: set[int] = set()
    for number in numbers:
        distances = {k: abs(q.value - number) for k, q in quantities.items() if q.equals(number)}
        nearest = [k for k, distance in distances.items() if distance == min(distances.values())]
        with_unit = [k for k in nearest if quantities[k].unit and _occurs(quantities[k].unit, text)]
        found.update(with_unit if len(nearest) > 1 and with_unit else nearest)
    return sorted(found)


def _nearest_option(text: str, options: Sequence[str]) -> int | None:
    results = _results(text)
    if not results:
        return None
    number = results[-1]
    distances = {k: abs(q.value - number) for k, q in _quantities(options).items()}
    near = {k: d for k, d in distances.items() if d <= NEAR * abs(number)}
    return _only(k for k, d in near.items() if d == min(near.values()))


def _misspelt_option(text: str, options: Sequence[str]) -> int | None:
    digits = re.findall(r"\d+", text)
    ratios = {
        k: difflib.SequenceMatcher(None, _plain(text), _plain(option)).ratio()
        for k, option in enumerate(options)
        if re.findall(r"\d+", option) == digits
    }
    best = max(ratios.values(), default=0.0)
    return _only(k for k, ratio in ratios.items() if ratio == best) if best >= FUZZY else None


def _occurs(phrase: str, text: str) -> bool:
    """Whether the text contains the phrase as complete words. Short ones (In, As, no) need the same case."""
    flags = re.IGNORECASE if len(phrase) > 3 else 0
    words = r"\s+".join(map(re.escape, phrase.split()))
    return re.search(rf"(?<!\w){words}(?!\w)", text, flags) is not None


def _named_options(text: str, indices: Sequence[int], options: Sequence[str]) -> list[int]:
    """Text options that occur in the text, without those inside a longer one. Single letters do not count."""
    named = [k for k in indices if len(options[k].strip()) > 1 and _occurs(options[k].strip(" ."), text)]
    return [k for k in named if not any(k != j and _inside(options[k], options[j]) for j in named)]


def _inside(short: str, long: str) -> bool:
    return len(short) < len(long) and _occurs(short.strip(" .").casefold(), long.casefold())
