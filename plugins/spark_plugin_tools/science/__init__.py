"""`science`: units, physical constants, elements, molar masses and chemical equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from spark_framework.api import Tool, ToolArgs, ToolContext, ToolError, hookimpl

from ..shared.numbers import number_or_text
from .chemistry import ChemistryError, balance, element, molar_mass
from .units import UnitError, constant, convert

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class Science(Tool):
    """Looks up and converts; each operation reads its own arguments."""

    name = "science"
    description = (
        "Converts units (value, frm, to), computes molar masses (formula), balances chemical equations (equation), "
        "gives physical constants and element data (name)."
    )

    class Args(ToolArgs):
        op: Literal["convert", "molar_mass", "balance", "constant", "element"]
        value: Annotated[_Finite | Annotated[str, Field(max_length=100)], number_or_text] = Field(
            default="", union_mode="left_to_right", description="convert: the number"
        )
        frm: str = Field(default="", max_length=80, description="convert: the unit it has, for example km/h")
        to: str = Field(default="", max_length=80, description="convert: the unit wanted, for example m/s")
        formula: str = Field(default="", max_length=80, description="molar_mass: for example Ca(OH)2")
        equation: str = Field(default="", max_length=300, description="balance: for example H2 + O2 -> H2O")
        name: str = Field(default="", max_length=80, description="constant or element: for example speed of light, Fe")

    def call(self, args: Any, context: ToolContext) -> str:
        needed = _NEEDED[args.op]
        if missing := [field for field in needed if getattr(args, field) == ""]:
            raise ToolError(f"{args.op} needs {' and '.join(missing)}")
        try:
            return _OPERATIONS[args.op](*(getattr(args, field) for field in needed))
        except (UnitError, ChemistryError) as error:
            raise ToolError(str(error)) from None


_OPERATIONS: dict[str, Callable[..., str]] = {
    "convert": convert,
    "molar_mass": molar_mass,
    "balance": balance,
    "constant": constant,
    "element": element,
}
_NEEDED: dict[str, tuple[str, ...]] = {
    "convert": ("value", "frm", "to"),
    "molar_mass": ("formula",),
    "balance": ("equation",),
    "constant": ("name",),
    "element": ("name",),
}


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Science]
