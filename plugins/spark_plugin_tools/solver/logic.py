"""Propositional logic by truth table. Pure Python, at most 12 letters.

The column of a formula in the truth table is one integer: bit k is its value in row k. A complete table costs a few
operations on integers of 4,096 bits at most, whatever a formula of the length that is read looks like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ..shared.formula_parser import MAX_DEPTH, ExpressionError

MAX_LETTERS = 12

_SPELLINGS = {
    "iff": "<-> <=> ↔ ≡ ⇔ iff",
    "implies": "-> => → ⊃ ⇒ implies",
    "or": "| || ∨ v or",
    "and": "& && ∧ ^ · • and",
    "not": "~ ¬ ! - not",
}
_MEANING = {spelling: word for word, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_TOKEN = re.compile(r"\s*(<->|<=>|->|=>|\|\||&&|[A-Za-z][A-Za-z0-9_]{0,19}|[↔≡⇔→⊃⇒|∨&∧^·•~¬!()\[\]{}-])")
_BINARY: tuple[tuple[str, Callable[[int, int, int], int]], ...] = (  # loosest first; the last argument is all rows
    ("iff", lambda left, right, rows: rows ^ left ^ right),
    ("implies", lambda left, right, rows: rows ^ left | right),
    ("or", lambda left, right, rows: left | right),
    ("and", lambda left, right, rows: left & right),
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def entails(expressions: Sequence[str]) -> str:
    """Whether the last expression follows from the others; for one expression, what kind of statement it is."""
    tokens = [_tokens(text) for text in expressions]
    letters = list(dict.fromkeys(token for line in tokens for token in line if _is_letter(token)))
    if len(letters) > MAX_LETTERS:
        raise ExpressionError(f"more than {MAX_LETTERS} letters")
    rows = (1 << (1 << len(letters))) - 1
    columns = {letter: _column(place, len(letters)) for place, letter in enumerate(letters)}
    *premises, conclusion = (_Parser(line, columns, rows).parse_all() for line in tokens)
    if not premises:
        if 0 < conclusion < rows:
            return "contingent: true in some cases and false in others"
        return "a tautology: true in every case" if conclusion else "a contradiction: false in every case"
    counterexamples = rows & ~conclusion
    for premise in premises:
        counterexamples &= premise
    if not counterexamples:
        return "valid: the premises entail the conclusion"
    row = counterexamples.bit_length() - 1
    case = ", ".join(f"{letter} is {'true' if columns[letter] >> row & 1 else 'false'}" for letter in letters)
    return f"invalid: the premises are true and the conclusion is false when {case}"


def _tokens(text: str) -> list[str]:
    text = text.rstrip()
    found: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f"{text[position:].strip()[0]!r} is not allowed in a logical formula")
        found.append(_MEANING.get(match[1], match[1]))
        position = match.end()
    return found


def _is_letter(token: str) -> bool:
    return token[:1].isalpha() and token not in _SPELLINGS


def _column(place: int, letters: int) -> int:
    """The column of the letter at `place`: true in the upper half of every block of rows, as in tables in books."""
    half = 1 << (letters - 1 - place)
    column = ((1 << half) - 1) << half
    for doubling in range(place):
        column |= column << (half << doubling + 1)
    return column


class _Parser:
    """Recursive descent that computes as it reads: every method returns a column."""

    def __init__(self, tokens: list[str], columns: Mapping[str, int], rows: int) -> None:
        self.tokens, self.columns, self.rows = tokens, columns, rows
        self.position = 0
        self.depth = 0

    @property
    def token(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def parse_all(self) -> int:
        column = self.binary(0)
        if self.token:
            raise ExpressionError(f"cannot read the formula at {self.token!r}; write for example P -> (Q & ~R)")
        return column

    def binary(self, level: int) -> int:
        """Operators of one level and tighter ones. Implication groups to the right, the others to the left."""
        if level == len(_BINARY):
            return self.unary()
        word, combine = _BINARY[level]
        column = self.binary(level + 1)
        while self.token == word:
            self.position += 1
            right = self.deeper(lambda: self.binary(level if word == "implies" else level + 1))
            column = combine(column, right, self.rows)
        return column

    def unary(self) -> int:
        token = self.token
        self.position += 1
        if token == "not":
            return self.rows ^ self.deeper(self.unary)
        if token in _CLOSING:
            column = self.deeper(lambda: self.binary(0))
            if self.token != _CLOSING[token]:
                raise ExpressionError("a bracket is not closed")
            self.position += 1
            return column
        if token not in self.columns:
            raise ExpressionError("cannot read the formula; write for example P -> (Q & ~R)")
        return self.columns[token]

    def deeper(self, read: Callable[[], int]) -> int:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError("formula too complex")
        column = read()
        self.depth -= 1
        return column
