"""Argument classes made from JSON schemas that come with a tool."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from spark_framework.api import ConfigError, arguments_from_schema

ADD = {"properties": {"a": {"type": "integer"}, "b": True}, "required": ["a", "c"]}


def test_arguments_pass_as_they_are():
    cls = arguments_from_schema({**ADD, "additionalProperties": {"type": "string"}})
    given = {"a": 1, "b": [None], "c": {}, "model_dump": "odd", "_under": "score"}
    with pytest.raises(ValidationError):
        cls.model_validate({**given, "more": 1})
    assert cls.model_validate(given | {"c": "x"}).model_dump() == given | {"c": "x"}


def test_the_schema_is_complete_for_the_prompt():
    schema = arguments_from_schema(ADD).model_json_schema()
    assert schema == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {}, "c": {}},
        "required": ["a", "c"],
    }


@pytest.mark.parametrize(
    ("arguments", "said"), [({"a": "x", "c": 1}, "a: 'x' is not of type 'integer'"), ({}, "'a' is")]
)
def test_what_does_not_fit_is_named(arguments, said):
    with pytest.raises(ValidationError, match=said):
        arguments_from_schema(ADD).model_validate(arguments)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string"}, "type object"),
        ({"type": 3}, "not a JSON schema"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}}, "refers to another document"),
        ({"description": "x" * 30_000}, "30"),
        ({"a": float("nan")}, "not a JSON schema"),
        ({"a": object()}, "not a JSON schema"),
    ],
)
def test_a_bad_schema_is_refused(schema, said):
    with pytest.raises(ConfigError, match=said):
        arguments_from_schema(schema)


@pytest.mark.parametrize("loop", [{"$ref": "#"}, {"properties": {"a": {"$ref": "#/nowhere"}}}])
def test_a_schema_that_leads_nowhere_refuses_the_arguments(loop):
    with pytest.raises(ValidationError, match="cannot be checked"):
        arguments_from_schema(loop).model_validate({"a": 1})


def test_a_slow_pattern_is_left_to_the_tool():
    cls = arguments_from_schema({"properties": {"a": {"pattern": "^(a+)+$"}}})
    assert cls.model_validate({"a": "a" * 60 + "!"}).model_dump()["a"].endswith("!")
