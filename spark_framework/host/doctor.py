"""Every installed plugin, examined where it can do no harm; and the metadata of everybody else."""

from __future__ import annotations

import configparser
import json
import os
import sys
import threading
import time
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import PluginError
from .discovery import API, GROUP, OWN_DISTRIBUTION, Inventory, Offer, normalise, one_line
from .subprocess_call import isolated

SLOW = 5.0
"""Seconds for importing one plugin. A sound one takes a hundredth of that; a slow machine may take longer."""
_DEFER = "who does not use it notices nothing; its author should do that in `prepare` or at the first call"


@dataclass(frozen=True)
class Finding:
    """What is known of one component, or of one distribution's metadata."""

    subject: str
    distribution: str
    version: str
    state: str
    """`good`, `disabled`, or what is wrong in a few words."""
    advice: str = ""
    """What to do; empty where nothing is wrong."""


def examine(inventory: Inventory, disable: Iterable[str], timeout: float) -> list[Finding]:
    """One finding for each offer, in order. What may be used is loaded, each in a process of its own.

    Args:
        timeout: seconds for loading one plugin.
    """
    disable = sorted(disable)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda offer: _examined(offer, inventory, disable, timeout), inventory.offers))


def examine_metadata() -> list[Finding]:
    """What is wrong with the metadata on `sys.path`: files that nobody can read, editable installs out of date."""
    findings = [*_unreadable(), *_stale()]
    if OWN_DISTRIBUTION not in {normalise(name) for name in _names()}:
        advice = "run `pip install -e .` in the checkout: without it there are no plugins"
        findings.append(Finding("metadata", OWN_DISTRIBUTION, "", "not installed", advice))
    return findings


# -- components ----------------------------------------------------------------------------------------------------


def _examined(offer: Offer, inventory: Inventory, disable: list[str], timeout: float) -> Finding:
    def finding(state: str, advice: str = "") -> Finding:
        return Finding(offer.key, offer.distribution, offer.version, state, advice)

    if offer.state == "disabled":
        return finding("disabled")
    if offer.state == "incompatible":
        if offer.api == API:
            return finding("no such kind", f"{offer.distribution}: name its entry point judge.X, tool.X …")
        return finding(
            f"written for plugin API v{offer.api}",
            f"install a version of {offer.distribution} for API v{API}; until then it cannot be used, and harms nobody",
        )
    if offer.state == "conflict":
        rivals = [o.distribution for o in inventory.offers if o.key == offer.key and o.state == "conflict"]
        others = " and ".join(name for name in rivals if name != offer.distribution)
        return finding(
            "in conflict",
            f"{others} has this name too: write `use: {offer.distribution}/{offer.name}` to take this one, "
            f"or disable it with -p no:{offer.distribution}/{offer.key}, `plugins.disable` or SPARK_DISABLE_PLUGINS",
        )
    order = {"kind": offer.kind, "reference": f"{offer.distribution}/{offer.name}", "disable": disable}
    answer = isolated(f"{__name__}:load", order, timeout)
    loaded = answer.value or {"problem": answer.problem}
    if problem := loaded["problem"]:
        return finding("broken", f"{problem}; until {offer.distribution} is mended, run without it: -p no:{offer.key}")
    if loaded["seconds"] > SLOW:
        return finding("slow", f"importing {offer.target} takes {loaded['seconds']:.1f} s; {_DEFER}")
    if answer.printed.strip():
        return finding("prints", f"importing {offer.target} prints {answer.printed.strip()[:80]!r}; {_DEFER}")
    if loaded["threads"]:
        return finding("starts threads", f"importing {offer.target} leaves threads behind; {_DEFER}")
    return finding("good")


def load(order: dict[str, Any]) -> dict[str, Any]:
    """In a process of its own: load a component, and build it if it has default settings.

    Returns: `problem`, what went wrong or ''; the `seconds` that loading took; how many `threads` it left.
    """
    from pydantic import ValidationError

    from .manager import Host

    start, threads, problem = time.perf_counter(), threading.active_count(), ""
    try:
        Host(order["disable"]).component_class(order["kind"], order["reference"]).cls()
    except ValidationError:  # it has no default settings
        pass
    except PluginError as exc:
        cause = exc.__cause__ or exc
        problem = f"{type(cause).__name__}: {one_line(cause)}"
    except Exception as exc:
        problem = f"cannot be built: {type(exc).__name__}: {one_line(exc)}"
    seconds = time.perf_counter() - start
    return {"problem": problem, "seconds": seconds, "threads": threading.active_count() - threads}


# -- metadata ------------------------------------------------------------------------------------------------------


def _unreadable() -> Iterator[Finding]:
    """Files of entry points that `entrypoints` gives up on, and so has to be done without."""
    for folder in dict.fromkeys(sys.path):
        for file in sorted(Path(folder).glob("*-info/entry_points.txt")):
            parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
            try:
                parser.read_string(file.read_text(encoding="utf-8"), str(file))
            except (configparser.Error, UnicodeDecodeError, OSError) as exc:
                name, _, version = file.parent.name.rpartition(".")[0].partition("-")
                advice = f"{file}: {one_line(exc)}; reinstall {name}, or tell its author"
                yield Finding("metadata", normalise(name), version, "unreadable", advice)


def _stale() -> Iterator[Finding]:
    """Editable installs whose pyproject.toml has other entry points by now: metadata are a snapshot."""
    for distribution in metadata.distributions():
        folder = _editable_folder(distribution)
        try:
            project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")) if folder else {}
            wanted = dict(project["project"]["entry-points"][GROUP])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        installed = {entry.name: entry.value for entry in distribution.entry_points if entry.group == GROUP}
        changed = sorted(name for name in {*wanted, *installed} if wanted.get(name) != installed.get(name))
        if changed:
            advice = f"pyproject.toml says otherwise of {', '.join(changed)}: run `pip install -e {folder}` again"
            yield Finding("metadata", normalise(distribution.name), distribution.version, "out of date", advice)


def _editable_folder(distribution: metadata.Distribution) -> Path | None:
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        editable = origin.get("dir_info", {}).get("editable")
        return Path(unquote(urlsplit(origin["url"]).path)) if editable else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _names() -> Iterator[str]:
    for distribution in metadata.distributions():
        try:
            yield distribution.metadata["Name"] or ""
        except (OSError, ValueError, KeyError):
            continue
