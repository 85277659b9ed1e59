"""`plugins check`: the static checks of a contract, without pytest and without the author's test."""

from __future__ import annotations

from typing import Any

from pydantic import create_model

from ..config.load import build_config
from ..contracts.components import Component, Toolset
from ..errors import UserError
from ..host.component_spec import AlgorithmSpec, JudgeSpec, RewardSpec, SelectorSpec, ToolSpec, key_of
from ..host.manager import Host, using_host
from .algorithm import AlgorithmContract
from .checks import static_checks
from .component import ComponentContract
from .judge import JudgeContract
from .reward import RewardTermContract
from .selector import SelectorContract
from .tool import ToolContract


class _ToolsetContract(ComponentContract):
    kind = "tool"
    subject = "toolset"


_KINDS: dict[str, tuple[Any, type[ComponentContract]]] = {
    "algorithm": (AlgorithmSpec, AlgorithmContract),
    "judge": (JudgeSpec, JudgeContract),
    "reward": (RewardSpec, RewardTermContract),
    "selector": (SelectorSpec, SelectorContract),
    "tool": (ToolSpec, ToolContract),
}


def run(order: dict[str, Any]) -> list[tuple[str, str]]:
    """In a process of its own: (what is asserted, what is wrong or '') of each check.

    Args:
        order: `kind`, `reference`, `settings` (KEY=VALUE each) and `disable`.
    """
    try:
        component = _built(order)
    except UserError as exc:
        return [("the component can be built", str(exc))]
    contract = (_ToolsetContract if isinstance(component, Toolset) else _KINDS[order["kind"]][1])()
    results = [("the component can be built", "")]
    for title, check in static_checks(contract):
        try:
            check(component)
        except Exception as exc:
            results.append((title, str(exc) if isinstance(exc, AssertionError) else f"{type(exc).__name__}: {exc}"))
        else:
            results.append((title, ""))
    return results


def _built(order: dict[str, Any]) -> Component:
    kind = order["kind"]
    fields: dict[str, Any] = {kind: (_KINDS[kind][0], ...)}
    model = create_model("One", **fields)
    settings = [f"{kind}.{setting}" for setting in order["settings"]]
    with using_host(Host(order["disable"])):
        chosen = build_config({kind: {key_of(kind): order["reference"]}}, model, settings, "--set")
        component: Component = getattr(chosen, kind).build()
    return component
