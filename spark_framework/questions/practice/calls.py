"""Short ways to write the planned calls. The argument names are the default tools' own; the values are kept short."""

from __future__ import annotations

from collections.abc import Sequence

from spark_framework.records import THINK, Call

Plan = tuple[tuple[Call, ...], ...]


def calculator(expression: str) -> Call:
    return Call(action="calculator", arguments={"expression": expression})


def python(code: str) -> Call:
    return Call(action="python", arguments={"code": code})


def printed(expression: str) -> Call:
    """A one-line program that prints the value of a Python expression."""
    return python(f"print({expression})")


def solver(op: str, *expressions: str) -> Call:
    return Call(action="solver", arguments={"op": op, "expressions": list(expressions)})


def convert(value: float, frm: str, to: str) -> Call:
    return Call(action="science", arguments={"op": "convert", "value": value, "frm": frm, "to": to})


def science(op: str, **arguments: str) -> Call:
    return Call(action="science", arguments={"op": op, **arguments})


def stats_finance(op: str, **arguments: str | float | Sequence[float]) -> Call:
    return Call(action="stats_finance", arguments={"op": op, **arguments})


def encyclopedia(query: str) -> Call:
    return Call(action="encyclopedia", arguments={"query": query})


def dictionary(term: str) -> Call:
    return Call(action="dictionary", arguments={"term": term})


def search(query: str) -> Call:
    return Call(action="search", arguments={"query": query})


def think(thought: str) -> Call:
    return Call(action=THINK, arguments={"thought": thought})


def one_step(*alternatives: Call) -> Plan:
    """A plan whose only step is solved by any of the alternatives."""
    return (alternatives,)
