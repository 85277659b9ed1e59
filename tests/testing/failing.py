"""Bad components, each with the checks of its contract that find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import pytest

from spark_framework.testing import ComponentContract

Cls = TypeVar("Cls", bound=type)


ELSEWHERE = {
    "building_it_touches_nothing", "importing_the_module_has_no_side_effects", "the_fingerprint_is_the_same_elsewhere",
    "the_module_is_light_to_import",
}  # fmt: skip
"""What needs a process of its own, which takes half a second: tried with faults of components in general alone."""


class Fault(NamedTuple):
    """A class that breaks a contract."""

    cls: Any
    checks: dict[str, str]
    """Each check that has to fail, and a part of what it says."""
    contract: dict[str, Any]
    """Attributes of the contract class."""


class Faults(list[Fault]):
    """The faults of one kind of component."""

    def found_by(self, *checks: str, says: str, **contract: Any) -> Callable[[Cls], Cls]:
        """Note a class that exactly these checks find; the first one says so in these words."""

        def note(cls: Cls) -> Cls:
            self.append(Fault(cls, {check: says if check == checks[0] else "" for check in checks}, contract))
            return cls

        return note

    def each(self) -> pytest.MarkDecorator:
        """One test for each: it gets `fault`."""
        return pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.cls.__name__) for fault in self])

    def checks(self) -> set[str]:
        """The checks that are the only ones to find something."""
        return {check for fault in self if len(fault.checks) == 1 for check in fault.checks}


def failures(
    contract: type[ComponentContract], component: object, elsewhere: bool = False, **attributes: Any
) -> dict[str, str]:
    """The checks that fail, without `test_`, and what they say; those that start a process only if `elsewhere`."""
    checks = type("Checks", (contract,), {"has_entry_point": False, **attributes})()
    found = {}
    for name in checks_of(contract):
        if name in ELSEWHERE and not elsewhere:
            continue
        try:
            getattr(checks, f"test_{name}")(component)
        except Exception as exc:
            found[name] = f"{type(exc).__name__}: {exc}"
    return found


def checks_of(contract: type[ComponentContract]) -> list[str]:
    """Names of all checks, without `test_`."""
    return [name.removeprefix("test_") for name in dir(contract) if name.startswith("test_")]


def assert_found(fault: Fault, contract: type[ComponentContract], elsewhere: bool = False) -> None:
    """Exactly those checks fail, each with one problem in words."""
    found = failures(contract, fault.cls(), elsewhere, **fault.contract)
    assert found.keys() == fault.checks.keys(), found
    for check, says in fault.checks.items():
        assert found[check].startswith("AssertionError: ")
        assert says in found[check]
