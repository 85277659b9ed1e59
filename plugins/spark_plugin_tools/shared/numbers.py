"""Types of number arguments that the computing tools share."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from pydantic import BeforeValidator


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would read true as 1
        raise ValueError("should be a number")
    return value


def _number_or_text(value: Any) -> Any:
    """Refuse a wrong value with one message; a union would report one for each of its types."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("should be a number or an expression")
    if not abs(value) <= sys.float_info.max:
        raise ValueError("should be a finite number")
    return value


Number = Annotated[float, BeforeValidator(_no_boolean)]
Integer = Annotated[int, BeforeValidator(_no_boolean)]
number_or_text = BeforeValidator(_number_or_text)
