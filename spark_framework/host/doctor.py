"""Checks every installed plugin in a separate process, and the metadata of all distributions."""

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
from .discovery import API, GROUP, OWN_DISTRIBUTION, EntryPoint, InstalledPlugins, exception_text, normalise
from .subprocess_call import call_in_subprocess

SLOW = 5.0
"""Seconds for importing one plugin. A good plugin takes a hundredth of that; the margin is for slow machines."""
_DEFER = "only runs that use it are affected; its author should move that to `prepare` or to the first call"


@dataclass(frozen=True)
class Diagnosis:
    """The state of one component, or of one distribution's metadata."""

    subject: str
    distribution: str
    version: str
    state: str
    """`good`, `disabled`, or a short description of the problem."""
    advice: str = ""
    """What to do; empty if nothing is wrong."""


def examine(installed: InstalledPlugins, disable: Iterable[str], timeout: float) -> list[Diagnosis]:
    """One diagnosis for each entry point, in order. Each usable entry point is loaded in a separate process.

    Args:
        timeout: seconds for loading one plugin.
    """
    disable = sorted(disable)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda entry: _examined(entry, installed, disable, timeout), installed.entry_points))


def examine_metadata() -> list[Diagnosis]:
    """Problems of the metadata on `sys.path`: unreadable files, editable installs that are out of date."""
    diagnoses = [*_unreadable(), *_stale()]
    if OWN_DISTRIBUTION not in {normalise(name) for name in _names()}:
        advice = "run `pip install -e .` in the checkout: without it there are no plugins"
        diagnoses.append(Diagnosis("metadata", OWN_DISTRIBUTION, "", "not installed", advice))
    return diagnoses


# -- components ----------------------------------------------------------------------------------------------------


def _examined(entry: EntryPoint, installed: InstalledPlugins, disable: list[str], timeout: float) -> Diagnosis:
    def diagnosis(state: str, advice: str = "") -> Diagnosis:
        return Diagnosis(entry.key, entry.distribution, entry.version, state, advice)

    if entry.state == "disabled":
        return diagnosis("disabled")
    if entry.state == "incompatible":
        if entry.api == API:
            return diagnosis("no such kind", f"{entry.distribution}: name its entry point judge.X, tool.X …")
        return diagnosis(
            f"written for plugin API v{entry.api}",
            f"install a version of {entry.distribution} for API v{API}; other plugins are unaffected",
        )
    if entry.state == "conflict":
        rivals = [o.distribution for o in installed.entry_points if o.key == entry.key and o.state == "conflict"]
        others = " and ".join(name for name in rivals if name != entry.distribution)
        return diagnosis(
            "in conflict",
            f"{others} has this name too: write `use: {entry.distribution}/{entry.name}` to take this one, "
            f"or disable it with -p no:{entry.distribution}/{entry.key}, `plugins.disable` or SPARK_DISABLE_PLUGINS",
        )
    order = {"kind": entry.kind, "reference": f"{entry.distribution}/{entry.name}", "disable": disable}
    answer = call_in_subprocess(f"{__name__}:load", order, timeout)
    loaded = answer.value or {"problem": answer.problem}
    if problem := loaded["problem"]:
        return diagnosis("broken", f"{problem}; until {entry.distribution} is fixed, disable it with -p no:{entry.key}")
    if loaded["seconds"] > SLOW:
        return diagnosis("slow", f"importing {entry.target} takes {loaded['seconds']:.1f} s; {_DEFER}")
    if answer.printed.strip():
        return diagnosis("prints", f"importing {entry.target} prints {answer.printed.strip()[:80]!r}; {_DEFER}")
    if loaded["threads"]:
        return diagnosis("starts threads", f"importing {entry.target} leaves threads running; {_DEFER}")
    return diagnosis("good")


def load(order: dict[str, Any]) -> dict[str, Any]:
    """Load a component, and build it if it has default settings. Runs in a separate process.

    Returns: `problem`: what went wrong, or ''; `seconds`: the time of loading; `threads`: how many threads it left
    running.
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
        problem = f"{type(cause).__name__}: {exception_text(cause)}"
    except Exception as exc:
        problem = f"cannot be built: {type(exc).__name__}: {exception_text(exc)}"
    seconds = time.perf_counter() - start
    return {"problem": problem, "seconds": seconds, "threads": threading.active_count() - threads}


# -- metadata ------------------------------------------------------------------------------------------------------


def _unreadable() -> Iterator[Diagnosis]:
    """Entry point files that `entrypoints` cannot read."""
    for folder in dict.fromkeys(sys.path):
        for file in sorted(Path(folder).glob("*-info/entry_points.txt")):
            parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
            try:
                parser.read_string(file.read_text(encoding="utf-8"), str(file))
            except (configparser.Error, UnicodeDecodeError, OSError) as exc:
                name, _, version = file.parent.name.rpartition(".")[0].partition("-")
                advice = f"{file}: {exception_text(exc)}; reinstall {name}, or report it to its author"
                yield Diagnosis("metadata", normalise(name), version, "unreadable", advice)


def _stale() -> Iterator[Diagnosis]:
    """Editable installs whose pyproject.toml has changed its entry points: the metadata are a snapshot."""
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
            advice = f"pyproject.toml now differs in {', '.join(changed)}: run `pip install -e {folder}` again"
            yield Diagnosis("metadata", normalise(distribution.name), distribution.version, "out of date", advice)


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
