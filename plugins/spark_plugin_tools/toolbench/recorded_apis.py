"""The functions and recorded responses of a file of converted predictions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from spark_framework.api import ToolError, UserError

FINISH = "Finish"
"""The function that ends an answer. It is not a tool."""


class RecordedCall(BaseModel):
    """A call and its response, as text."""

    name: str
    arguments: str
    response: str


class _Node(BaseModel):
    message: str | RecordedCall
    next: tuple[_Node, ...]


class _Answer(BaseModel):
    answer_details: tuple[_Node, ...]


class _Query(BaseModel):
    """The parts of a query that are needed here."""

    available_tools: tuple[dict[str, Any], ...]
    answer: _Answer


class RecordedApis:
    """Recorded responses by function name and arguments. A call recorded several times gets its first response.

    Args:
        calls: in the order in which they were made. Calls whose arguments are not a JSON object are left out.
    """

    def __init__(self, calls: Iterable[RecordedCall]) -> None:
        self._responses: dict[tuple[str, str], str] = {}
        self._names: set[str] = set()
        for call in calls:
            try:
                arguments = json.loads(call.arguments)
            except (ValueError, RecursionError):
                continue
            if isinstance(arguments, dict):
                self._names.add(call.name)
                self._responses.setdefault((call.name, _canonical(arguments)), call.response)

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The recorded response, as the API sent it.

        Raises:
            ToolError: the API reported a failure, or no such call was recorded.
        """
        response = self._responses.get((name, _canonical(arguments)))
        if response is None:
            known = "with these arguments" if name in self._names else "at all"
            raise ToolError(f"no response of {name} is recorded {known}")
        if not _succeeded(response):
            raise ToolError(response)
        return response


def read_recordings(file: Path, queries: Sequence[str] = ()) -> tuple[list[dict[str, Any]], RecordedApis]:
    """The functions that a file offers, each once, and all responses that it recorded.

    Args:
        queries: ids of the queries whose functions to offer; empty: all. `Finish` is left out.

    Raises:
        UserError: the file cannot be read, has no such query, or offers something that is not an OpenAI function.
    """
    found = _read(file)
    if unknown := [query for query in queries if query not in found]:
        raise UserError(f"{file} has no query {unknown[0]!r}")
    functions: dict[str, dict[str, Any]] = {}
    for query in queries or found:
        for schema in found[query].available_tools:
            function = schema.get("function")
            if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
                raise UserError(f"{file} offers something that is not an OpenAI function with a name")
            functions.setdefault(function["name"], function)  # an API that several queries share is one tool
    functions.pop(FINISH, None)
    roots = (root for query in found.values() for root in query.answer.answer_details)
    return list(functions.values()), RecordedApis(call for root in roots for call in _calls(root))


def _read(file: Path) -> dict[str, _Query]:
    try:
        found = TypeAdapter(dict[str, _Query]).validate_json(file.read_bytes())
    except OSError as exc:
        raise UserError(f"{file} cannot be read: {exc.strerror}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{file}: {where + ': ' if where else ''}{first['msg']}") from None
    if not found:
        raise UserError(f"{file} has no queries")
    return found


def _calls(node: _Node) -> Iterator[RecordedCall]:
    if isinstance(node.message, RecordedCall) and node.message.name != FINISH:
        yield node.message
    for follower in node.next:
        yield from _calls(follower)


def _succeeded(response: str) -> bool:
    """Reads ToolBench's own form, `{"error": "", "response": …}`. Text in another form is a success."""
    try:
        value = json.loads(response)
    except (ValueError, RecursionError):  # responses may be cut in the middle of JSON
        return not response.startswith('{"error": "') or response.startswith('{"error": ""')
    return not (isinstance(value, dict) and value.get("error"))


def _canonical(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"))
