"""Actions as text: writes a call for a language model, and parses it.

The action's name comes before thought and input. The choice of the action then depends on the state alone, its
distribution is the softmax at one position, and all nine candidates of a step share one prefix.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..records import ANSWER, LETTERS, THINK, Call, Question
from ..util.strict_json import read_json
from .action_space import Action, ActionSpace

_OTHER_TURN = re.compile(r"\n\s*(?:Observation|Action|Question)\s*:")


class ActionFormat(Protocol):
    """A text format for actions. `lead` + name + `middle` + `body` is the complete text of an assistant's turn."""

    @property
    def lead(self) -> str:
        """Fixed text at the start of a turn; the action's name follows directly."""
        ...

    def name_text(self, action: str) -> str:
        """The action's name as it follows the lead."""
        ...

    def middle(self, action: str) -> str:
        """Fixed text between the name and what the policy writes."""
        ...

    def body(self, call: Call, action: Action) -> str:
        """Thought and arguments of a call."""
        ...

    def parse_body(self, text: str, action: Action) -> tuple[str, dict[str, Any] | None, str | None]:
        """(thought, arguments, error): arguments are None if they cannot be parsed, and the error says why."""
        ...

    def parse_free(self, text: str) -> tuple[str | None, str]:
        """For unconstrained policies: the action's name (None if it is missing) and the body."""
        ...

    def explanation(self) -> str:
        """The format's description for the instruction."""
        ...


def _read_arguments(text: str, action: Action) -> tuple[dict[str, Any] | None, str | None]:
    text = text.strip()
    if text.startswith("{"):
        try:
            value = read_json(text)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return value, None
    if (plain := action.plain_argument) is not None:
        return {plain: text}, None
    return None, f"error: {action.name} takes a JSON object with {', '.join(action.schema.get('properties', {}))}"


def _compact(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class ReAct:
    """`Action: name`, an optional thought, `Input: …` (plain text if a tool only needs one string)."""

    thoughts: bool = False
    lead: str = "Action:"

    def name_text(self, action: str) -> str:
        return f" {action}"

    def middle(self, action: str) -> str:
        return "\nThought:" if self._thinks(action) else "\nInput:"

    def body(self, call: Call, action: Action) -> str:
        plain = action.plain_argument
        bare = plain is not None and set(call.arguments) == {plain} and not str(call.arguments[plain]).startswith("{")
        text = f" {call.arguments[plain]}" if bare and plain else f" {_compact(call.arguments)}"
        return f" {call.thought}\nInput:{text}" if self._thinks(action.name) else text

    def parse_body(self, text: str, action: Action) -> tuple[str, dict[str, Any] | None, str | None]:
        thought = ""
        if self._thinks(action.name):
            thought, found, text = text.partition("\nInput:")
            if not found:
                return thought.strip(), None, "error: there is no Input"
        if turn := _OTHER_TURN.search(text):
            text = text[: turn.start()]
        return (thought.strip(), *_read_arguments(text, action))

    def parse_free(self, text: str) -> tuple[str | None, str]:
        named = re.search(r"Action\s*:\s*([\w.-]+)", text)
        if named is None:
            return None, text
        before = re.search(r"Thought\s*:\s*(.*?)(?=\n\s*Action\s*:)", text[: named.start() + 8], re.DOTALL)
        inside = re.search(r"\n\s*(?:Action\s+)?Input\s*:(.*)", text[named.end() :], re.DOTALL)
        body = inside.group(1) if inside else text[named.end() :]
        if self._thinks(named.group(1)):
            body = f" {before.group(1).strip() if before else ''}\nInput:{body}"
        return named.group(1), body

    def explanation(self) -> str:
        thought = "Thought: WHY\n" if self.thoughts else ""
        return f"Write one action at a time:\nAction: NAME\n{thought}Input: TEXT OR JSON"

    def _thinks(self, action: str) -> bool:
        return self.thoughts and action not in (THINK, ANSWER)


@dataclass(frozen=True)
class JsonCalls:
    """One JSON object per turn: `{"tool": "name", "arguments": {…}}`, with a `thought` if thoughts are on."""

    thoughts: bool = False
    lead: str = '{"tool": "'

    def name_text(self, action: str) -> str:
        return action

    def middle(self, action: str) -> str:
        return '", '

    def body(self, call: Call, action: Action) -> str:
        fields: dict[str, Any] = {"thought": call.thought} if self.thoughts else {}
        return json.dumps({**fields, "arguments": call.arguments}, ensure_ascii=False)[1:]

    def parse_body(self, text: str, action: Action) -> tuple[str, dict[str, Any] | None, str | None]:
        try:
            value = read_json("{" + text.strip(), prefix=True)
        except ValueError:
            value = None
        if not isinstance(value, dict) or not isinstance(value.get("arguments"), dict):
            return "", None, 'error: write "arguments": {…}}'
        return str(value.get("thought", "")), value["arguments"], None

    def parse_free(self, text: str) -> tuple[str | None, str]:
        named = re.search(r'\{\s*"(?:tool|name)"\s*:\s*"([\w.-]+)"\s*,', text)
        return (named.group(1), text[named.end() :]) if named else (None, text)

    def explanation(self) -> str:
        thought = '"thought": "WHY", ' if self.thoughts else ""
        return f'Write one action at a time, as JSON: {{"tool": "NAME", {thought}"arguments": {{…}}}}'


FORMATS: dict[str, type[ReAct] | type[JsonCalls]] = {"react": ReAct, "json": JsonCalls}


def system_text(space: ActionSpace, form: ActionFormat, *, full: bool) -> str:
    """The instruction: short (names only) for policies that were trained on it, full for untrained ones."""
    if not full:
        return f"Solve with tools: {', '.join(space.candidates)}. Then answer with one option."
    lines = ["Answer the multiple-choice question. You can call tools and read their observations before you answer."]
    lines += [f"- {action.name}: {action.description} Arguments: {_signature(action)}" for action in space.actions]
    return "\n".join([*lines, form.explanation(), "Use the action answer as soon as you know the option."])


def _signature(action: Action) -> str:
    """The arguments in one line, `op: solve|diff; variables?: array (the unknowns)`: half the schema's tokens."""
    required = action.schema.get("required", ())
    parts = []
    for name, field in action.schema.get("properties", {}).items():
        types = [field, *field.get("anyOf", ())]
        kind = "|".join(
            str(value) for one in types for value in one.get("enum", [one["type"]] if "type" in one else [])
        )
        note = f" ({field['description']})" if "description" in field else ""
        parts.append(f"{name}{'' if name in required else '?'}: {kind or 'any'}{note}")
    return "; ".join(parts)


def question_text(question: Question) -> str:
    """The question with its lettered options, as the policy reads it."""
    return "\n".join([question.text, *(f"{LETTERS[i]}. {option}" for i, option in enumerate(question.options))])


def observation_text(text: str) -> str:
    """A tool's output as the policy reads it."""
    return f"Observation: {text}"
