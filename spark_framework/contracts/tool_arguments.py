"""Arguments of tools that define a JSON schema: MCP servers, OpenAI functions."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

from pydantic import ConfigDict, model_validator

from ..errors import ConfigError
from .components import ToolArgs

MAX_SCHEMA = 20_000
"""Characters; a longer schema would fill the policy's context."""


def arguments_from_schema(schema: Mapping[str, Any]) -> type[ToolArgs]:
    """An `Args` class for a JSON schema (draft 2020-12) of an object: `model_dump()` gives the arguments back.

    The schema may be untrusted: no reference is fetched, and `pattern` is not checked here but by the tool itself,
    since matching a regular expression can take unbounded time.

    Raises:
        ConfigError: it is not a schema of an object, has more than 20,000 characters, or refers to another document.
    """
    from jsonschema import Draft202012Validator, SchemaError

    try:
        text = json.dumps(schema, allow_nan=False)
        own = json.loads(text)
        if len(text) > MAX_SCHEMA:
            raise ConfigError(f"the schema has {len(text)} characters; at most {MAX_SCHEMA} are allowed")
        Draft202012Validator.check_schema(own)
        foreign = [reference for reference in _references(own) if not str(reference).startswith("#")]
    except (SchemaError, TypeError, ValueError, RecursionError) as exc:
        reason = getattr(exc, "message", str(exc))
        raise ConfigError(f"not a JSON schema: {' '.join(str(reason).split())[:200]}") from None
    if not isinstance(own, dict) or own.setdefault("type", "object") != "object":
        raise ConfigError("the schema of a tool's arguments has to be of type object")
    if foreign:
        raise ConfigError(f"the schema refers to another document, {str(foreign[0])[:80]}")
    known = own.get("properties", {})
    required: dict[str, Any] = {name: {} for name in own.get("required", ())}
    own["properties"] = required | {name: one if isinstance(one, dict) else {} for name, one in known.items()}
    return type("Args", (_ForeignArgs,), {"__module__": __name__, "schema_of_tool": own})


class _ForeignArgs(ToolArgs):
    model_config = ConfigDict(extra="allow")
    schema_of_tool: ClassVar[dict[str, Any]]

    @model_validator(mode="before")
    @classmethod
    def _fits(cls, data: Any) -> Any:
        from jsonschema.exceptions import best_match
        from referencing import Registry
        from referencing.exceptions import Unresolvable

        try:
            error = best_match(_validator()(cls.schema_of_tool, registry=Registry()).iter_errors(data))
        except (RecursionError, Unresolvable) as exc:
            raise ValueError("the arguments cannot be checked against the tool's schema") from exc
        if error is not None:
            where = ".".join(map(str, error.absolute_path))
            raise ValueError(f"{where}: {error.message[:200]}" if where else error.message[:200])
        return data

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return copy.deepcopy(cls.schema_of_tool)


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    return extend(Draft202012Validator, {"pattern": None, "patternProperties": None})


def _references(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef", "$schema"):
                if key != "$schema":
                    yield value
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)
