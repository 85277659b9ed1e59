"""A virtual API server: it answers calls with what the real APIs once said, as StableToolBench's cache does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ToolError, UserError
from .predictions import FINISH, Node, Prediction, ToolMessage, call_succeeded, read_queries


class RecordedApis:
    """Recorded responses by function name and arguments. What was said first is said again: a replay changes nothing.

    Args:
        calls: in the order in which they were made. Calls whose arguments are no JSON object are passed over.
    """

    def __init__(self, calls: Iterable[ToolMessage]) -> None:
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

    @classmethod
    def of(cls, predictions: Iterable[Prediction]) -> RecordedApis:
        """All calls in some converted predictions."""
        return cls(
            message
            for prediction in predictions
            for root in prediction.answer.answer_details
            for message in _calls(root)
            if message.name != FINISH
        )

    @classmethod
    def from_file(cls, file: Path, queries: Sequence[str] = ()) -> tuple[list[dict[str, Any]], RecordedApis]:
        """The functions that a file of converted predictions offers, each once, and all responses recorded there.

        Args:
            queries: ids of the queries whose functions are wanted; empty: all. `Finish` is none of them.

        Raises:
            UserError: the file cannot be read, has no such query, or offers something that is no OpenAI function.
        """
        predictions = read_queries(file, Prediction)
        if unknown := [query for query in queries if query not in predictions]:
            raise UserError(f"{file} has no query {unknown[0]!r}")
        functions: dict[str, dict[str, Any]] = {}
        for query in queries or predictions:
            for schema in predictions[query].available_tools:
                function = schema.get("function")
                if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
                    raise UserError(f"{file} offers something that is no OpenAI function with a name")
                functions.setdefault(function["name"], function)  # an API that several queries share is one tool
        functions.pop(FINISH, None)
        return list(functions.values()), cls.of(predictions.values())

    def __len__(self) -> int:
        return len(self._responses)

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The recorded response, as the API sent it.

        Raises:
            ToolError: the API said that it failed, or was never asked this.
        """
        response = self._responses.get((name, _canonical(arguments)))
        if response is None:
            known = "with these arguments" if name in self._names else "at all"
            raise ToolError(f"no response of {name} is recorded {known}")
        if not call_succeeded(response):
            raise ToolError(response)
        return response


def _calls(node: Node) -> Iterator[ToolMessage]:
    if isinstance(node.message, ToolMessage):
        yield node.message
    for follower in node.next:
        yield from _calls(follower)


def _canonical(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"))
