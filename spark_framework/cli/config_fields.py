"""Formats the fields of a component's `Config` as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..stats.tables import plain_table

if TYPE_CHECKING:
    from pydantic import BaseModel


def fields(model: type[BaseModel]) -> str:
    """A model's fields as a table: name, type, default, description."""
    schema = model.model_json_schema()
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in schema.get("required", ()) else repr(field.get("default"))
        rows.append((name, _type(field), default, " ".join(field.get("description", "").split())))
    return plain_table(("name", "type", "default", "description"), rows) if rows else "none"


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " | ".join(map(repr, field["enum"]))
    if "anyOf" in field:
        return " | ".join(map(_type, field["anyOf"]))
    if field.get("type") == "array" and "items" in field:
        return f"list of {_type(field['items'])}"
    return str(field.get("type") or field.get("$ref", "any").rpartition("/")[2])
