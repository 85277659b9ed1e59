"""Propositional logic by truth table. Pure Python, at most 12 letters."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence

from ._expressions import MAX_DEPTH, ExpressionError

MAX_LETTERS = 12

Formula = Callable[[Mapping[str, bool]], bool]

_SPELLINGS = {
    "iff": "<-> <=> ↔ ≡ ⇔ iff",
    "implies": "-> => → ⊃ ⇒ implies",
    "or": "| || ∨ v or",
    "and": "& && ∧ ^ · • and",
    "not": "~ ¬ ! - not",
}
_MEANING = {spelling: word for word, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_TOKEN = re.compile(r"\s*(<->|<=>|->|=>|\|\||&&|[A-Za-z][A-Za-z0-9_]{0,19}|[↔≡⇔→⊃⇒|∨&∧^·•~¬!()\[\]{}-])")
_BINARY: tuple[tuple[str, Callable[[bool, bool], bool]], ...] = (  # loosest first
    ("iff", lambda left, right: left == right),
    ("implies", lambda left, right: not left or right),
    ("or", lambda left, right: left or right),
    ("and", lambda left, right: left and right),
)


def entails(expressions: Sequence[str]) -> str:
    """Whether the last expression follows from the others; for one expression, what kind of statement it is."""
    letters: dict[str, None] = {}
    formulas = [_Parser(text, letters).whole() for text in expressions]
    if len(letters) > MAX_LETTERS:
        raise ExpressionError(f"more than {MAX_LETTERS} letters")
    rows = [dict(zip(letters, values, strict=True)) for values in itertools.product((True, False), repeat=len(letters))]
    *premises, conclusion = formulas
    if not premises:
        truths = {conclusion(row) for row in rows}
        if len(truths) == 2:
            return "contingent: true in some cases and false in others"
        return "a tautology: true in every case" if truths == {True} else "a contradiction: false in every case"
    for row in rows:
        if all(premise(row) for premise in premises) and not conclusion(row):
            case = ", ".join(f"{letter} is {str(value).lower()}" for letter, value in row.items())
            return f"invalid: the premises are true and the conclusion is false when {case}"
    return "valid: the premises entail the conclusion"


class _Parser:
    def __init__(self, text: str, letters: dict[str, None]) -> None:
        self.tokens: list[str] = []
        self.letters = letters
        self.position = 0
        self.depth = 0
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ExpressionError(f"{text[position:].strip()[0]!r} is not allowed in a logical formula")
            self.tokens.append(_MEANING.get(match[1], match[1]))
            position = match.end()

    @property
    def token(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def whole(self) -> Formula:
        formula = self.binary(0)
        if self.token:
            raise ExpressionError(f"cannot read the formula at {self.token!r}; write for example P -> (Q & ~R)")
        return formula

    def binary(self, level: int) -> Formula:
        """Operators of one level and tighter ones. Implication groups to the right, the others to the left."""
        if level == len(_BINARY):
            return self.unary()
        word, combine = _BINARY[level]
        formula = self.binary(level + 1)
        while self.token == word:
            self.position += 1
            right = self.binary(level if word == "implies" else level + 1)
            formula = _combined(combine, formula, right)
        return formula

    def unary(self) -> Formula:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError("formula too complex")
        token = self.token
        self.position += 1
        formula: Formula
        if token == "not":
            inner = self.unary()
            formula = lambda row: not inner(row)  # noqa: E731
        elif token in ("(", "[", "{"):
            formula = self.binary(0)
            if self.token != {"(": ")", "[": "]", "{": "}"}[token]:
                raise ExpressionError("a bracket is not closed")
            self.position += 1
        elif token[:1].isalpha() and token not in _SPELLINGS:
            self.letters[token] = None
            formula = lambda row: row[token]  # noqa: E731
        else:
            raise ExpressionError("cannot read the formula; write for example P -> (Q & ~R)")
        self.depth -= 1
        return formula


def _combined(combine: Callable[[bool, bool], bool], left: Formula, right: Formula) -> Formula:
    return lambda row: combine(left(row), right(row))
