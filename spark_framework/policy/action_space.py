"""The actions of a run: its tools, `think` and `answer`, each with the text that a policy reads about it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..contracts.components import Tool
from ..records import ANSWER, THINK


@dataclass(frozen=True)
class Action:
    """One action of a policy: a tool call, a thought, or the answer."""

    name: str
    description: str
    schema: Mapping[str, Any]

    @property
    def plain_argument(self) -> str | None:
        """The name of the only required argument, if it is free text: such a call can be written without JSON. Else
        None."""
        required = self.schema.get("required", [])
        argument = self.schema["properties"][required[0]] if len(required) == 1 else {}
        return str(required[0]) if argument.get("type") == "string" and "enum" not in argument else None


def _text_schema(argument: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {argument: {"type": "string"}},
        "required": [argument],
        "additionalProperties": False,
    }


@dataclass(frozen=True)
class ActionSpace:
    """The candidate actions in order (the tools, then `think`), followed by `answer`."""

    actions: tuple[Action, ...]

    @classmethod
    def of(cls, tools: Sequence[Tool]) -> ActionSpace:
        """The space of a run: its tools, then chain of thought, then the answer."""
        listed = [Action(tool.name, tool.description, tool.Args.model_json_schema()) for tool in tools]
        listed.append(Action(THINK, "Reason in words, without a tool.", _text_schema("thought")))
        listed.append(
            Action(ANSWER, "Give the final answer: the text or the letter of one option.", _text_schema("text"))
        )
        return cls(tuple(listed))

    @classmethod
    def from_json(cls, text: str) -> ActionSpace:
        """Read the space that `to_json` wrote."""
        return cls(tuple(Action(**fields) for fields in json.loads(text)))

    def to_json(self) -> str:
        """All actions as a JSON list."""
        return json.dumps([asdict(action) for action in self.actions], indent=1) + "\n"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all actions, in order."""
        return tuple(action.name for action in self.actions)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the actions that are proposed and judged: all except `answer`."""
        return tuple(name for name in self.names if name != ANSWER)

    def __getitem__(self, name: str) -> Action:
        return next(action for action in self.actions if action.name == name)
