"""Parses a formula, as people write it, into a small tree. No `eval`, no Python syntax: unknown input is refused.

Shared by the calculator (which computes the tree) and the solver (which builds sympy objects from it).
`^` is a power, `5!` a factorial, `6.5%` a percentage (`20% of 50`), `100 % 3` a remainder, `2x` and `2(x+1)` products.
A parser of its own, because `sympy.parse_expr` and similar libraries evaluate the text as Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

MAX_CHARACTERS = 400
MAX_TOKENS = 250
MAX_DEPTH = 40
MAX_POSTFIX = 12  # signs such as ! and % after one operand


class ExpressionError(ValueError):
    """The text is not a formula, or is too long. The message is short and meant for the model."""


@dataclass(frozen=True, slots=True)
class Number:
    text: str
    """Decimal text that `Fraction` reads."""


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    symbol: str
    """One of + - * / // mod ^ (two operands), neg (one), or a comparison: = != < > <= >=."""
    operands: tuple[Node, ...]


Node = Number | Name | Call | Operation

COMPARISONS = ("=", "!=", "<=", ">=", "<", ">")
_SPELLINGS = {"**": "^", "×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "==": "="}
_SPELLINGS |= {"≤": "<=", "≥": ">=", "≠": "!="}
_POSTFIX_POWERS = {"²": "2", "³": "3"}
_NOT_DECIMAL = re.compile(r"(?<![\w.])0[xXbBoO][0-9a-fA-F]")  # 0x10 is not the product of 0 and x10
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?
               | (?:[0-9]+(?:_[0-9]+)*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    | (?P<name>[A-Za-z_Α-Ωα-ω][A-Za-z_0-9Α-Ωα-ω]*|∞)
    | (?P<symbol>\*\*|//|<=|>=|!=|==|[-+*/^%!()\[\],=<>|√²³°×·⋅÷−–≤≥≠])
    )""",
    re.VERBOSE,
)


def parse(text: str, functions: Collection[str]) -> Node:
    """The tree of `text`; names in `functions` are calls. Raises ExpressionError."""
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"expression longer than {MAX_CHARACTERS} characters")
    if _NOT_DECIMAL.search(text):
        raise ExpressionError("bad number: write it in decimal")
    tokens = _tokens(text)
    if not tokens:
        raise ExpressionError("empty expression")
    return _Parser(tokens, functions).parse_all()


def _tokens(text: str) -> list[tuple[str, str]]:
    """(kind, text) pairs. `12,345` is one number, except among the arguments of a call: gcd(12,345)."""
    text = re.sub(r"[$€£]", "", text).rstrip(" \t\n?").removesuffix("=").rstrip()
    tokens: list[tuple[str, str]] = []
    calls: list[bool] = []  # for each open bracket, whether commas separate arguments in it
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f"{text[position:].strip()[0]!r} is not allowed in an expression")
        kind = str(match.lastgroup)
        token, position = match[kind], match.end()
        if kind == "number" and "," in token:
            if calls and calls[-1]:
                position -= len(token) - token.index(",")
                token = token[: token.index(",")]
            token = token.replace(",", "")
        elif token in ("(", "["):
            calls.append(token == "[" or (bool(tokens) and tokens[-1][0] == "name"))
        elif token in (")", "]") and calls:
            calls.pop()
        tokens.append((kind, _SPELLINGS.get(token, token)))
        if len(tokens) > MAX_TOKENS:
            raise ExpressionError("expression too complex")
    return tokens


class _Parser:
    """Recursive descent, one method a level of precedence, loosest first."""

    def __init__(self, tokens: list[tuple[str, str]], functions: Collection[str]) -> None:
        self.tokens = [*tokens, ("end", "")]
        self.functions = functions
        self.position = 0
        self.depth = 0

    @property
    def token(self) -> str:
        return self.tokens[self.position][1]

    @property
    def kind(self) -> str:
        return self.tokens[self.position][0]

    def take(self, *symbols: str) -> str | None:
        """Consume and return the current symbol if it is one of `symbols`."""
        if self.kind != "end" and self.token in symbols:
            self.position += 1
            return self.tokens[self.position - 1][1]
        return None

    def expect(self, symbol: str) -> None:
        if not self.take(symbol):
            raise self.unreadable(f"expected {symbol!r}")

    def unreadable(self, why: str) -> ExpressionError:
        place = "at the end" if self.kind == "end" else f"at {self.token[:20]!r}"
        return ExpressionError(f"cannot read the expression {place}: {why}")

    def parse_all(self) -> Node:
        tree = self.sum()
        if symbol := self.take(*COMPARISONS):
            tree = Operation(symbol, (tree, self.sum()))
        if self.kind != "end":
            raise self.unreadable("expected an operator")
        return tree

    def sum(self) -> Node:
        tree = self.product()
        while symbol := self.take("+", "-"):
            tree = Operation(symbol, (tree, self.product()))
        return tree

    def product(self) -> Node:
        tree = self.signed()
        while True:
            if symbol := self.take("*", "/", "//", "%", "mod", "of"):
                tree = Operation({"%": "mod", "of": "*"}.get(symbol, symbol), (tree, self.signed()))
            elif self.starts_operand() and not (
                self.kind == "number" and self.tokens[self.position - 1][0] == "number"
            ):
                tree = Operation("*", (tree, self.power()))
            else:
                return tree

    def signed(self) -> Node:
        symbol = self.take("-", "+")
        tree = self.deeper(self.power if symbol is None else self.signed)
        return Operation("neg", (tree,)) if symbol == "-" else tree

    def deeper(self, read: Callable[[], Node]) -> Node:
        """Call `read` one level deeper. All recursion passes here, so that no text exhausts the stack."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError("expression too complex")
        tree = read()
        self.depth -= 1
        return tree

    def power(self) -> Node:
        base = self.postfix()
        return Operation("^", (base, self.signed())) if self.take("^") else base

    def postfix(self) -> Node:
        tree = self.atom()
        for _ in range(MAX_POSTFIX):
            if self.take("!"):
                if self.token == "!":
                    raise ExpressionError("'!!' is ambiguous: write factorial(factorial(n)), or the product")
                tree = Call("factorial", (tree,))
            elif self.take("°"):
                tree = Operation("/", (Operation("*", (tree, Name("pi"))), Number("180")))
            elif symbol := self.take(*_POSTFIX_POWERS):
                tree = Operation("^", (tree, Number(_POSTFIX_POWERS[symbol])))
            elif self.token == "%" and not self.percent_is_remainder():
                self.position += 1
                tree = Operation("/", (tree, Number("100")))
            else:
                return tree
        raise ExpressionError("expression too complex")

    def percent_is_remainder(self) -> bool:
        kind, token = self.tokens[self.position + 1]
        return (kind in ("number", "name") and token != "of") or token in ("(", "√")

    def starts_operand(self) -> bool:
        return (self.kind in ("number", "name") and self.token not in ("mod", "of")) or self.token in ("(", "√")

    def atom(self) -> Node:
        kind, token = self.tokens[self.position]
        self.position += kind != "end"
        if kind == "number":
            return Number(_checked_number(token))
        if kind == "name":
            return self.name_or_call(token)
        if token == "√":
            return Call("sqrt", (self.deeper(self.postfix),))
        if token == "(":
            tree = self.sum()
            self.expect(")")
            return tree
        if token == "|":
            tree = self.sum()
            self.expect("|")
            return Call("abs", (tree,))
        self.position -= kind != "end"
        if token in ("[", "<", ">"):
            raise ExpressionError(f"{token!r} is not allowed in an expression")
        raise self.unreadable("expected a number")

    def name_or_call(self, name: str) -> Node:
        if name in self.functions:
            if self.take("("):
                return Call(name, self.arguments())
            return Call(name, (self.signed(),)) if self.starts_operand() else Name(name)  # `ln x`, `sin 30°`
        if self.token == "(" and len(name) > 1:
            raise ExpressionError(f"unknown function {name[:20]!r}")
        return Name(name)

    def arguments(self) -> tuple[Node, ...]:
        """The arguments between the brackets of a call; `mean([1, 2])` is read as `mean(1, 2)`."""
        closing = ")"
        if listed := self.take("["):
            closing = "]"
        found: list[Node] = []
        while not self.take(closing):
            found.append(self.sum())
            if self.token != closing:
                self.expect(",")
        if listed:
            self.expect(")")
        return tuple(found)


def _checked_number(token: str) -> str:
    mantissa, _, exponent = token.lower().partition("e")
    if exponent and abs(int(exponent)) > 400:
        raise ExpressionError("bad number: exponent too large")
    return mantissa.replace("_", "").rstrip(".") + (f"e{exponent}" if exponent else "")
