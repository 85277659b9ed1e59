"""Lists the entry points of all installed distributions without importing any of them."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import ConfigError, PluginError

API = 1
PREFIX = "spark_framework.v"
GROUP = f"{PREFIX}{API}"
KINDS = ("algorithm", "judge", "reward", "selector", "tool")
OWN_DISTRIBUTION = "spark-framework"
DISABLE_VARIABLE = "SPARK_DISABLE_PLUGINS"
AUTOLOAD_VARIABLE = "SPARK_PLUGIN_AUTOLOAD"

State = Literal["ready", "disabled", "conflict", "incompatible"]


@dataclass(frozen=True)
class EntryPoint:
    """One entry point: a distribution offers one component."""

    kind: str
    name: str
    target: str
    """What to import: `module` or `module:attribute`."""
    distribution: str
    """Normalised name (PEP 503)."""
    version: str
    state: State = "ready"
    api: int = API
    """The plugin API that it was written for: the number in the group's name."""

    @property
    def key(self) -> str:
        """The entry point's name, as in `-p no:NAME`."""
        return f"{self.kind}.{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of {self.distribution} {self.version} ({self.target})"


@dataclass(frozen=True)
class InstalledPlugins:
    """All entry points, sorted by kind, name and distribution."""

    entry_points: tuple[EntryPoint, ...]
    reader: str
    """The package that read the metadata: `entrypoints`, or `importlib.metadata` where that failed."""
    problem: str = ""
    """Why `entrypoints` failed."""

    def find(self, kind: str, reference: str) -> EntryPoint:
        """The usable entry point for `name` or `distribution/name`.

        Raises:
            PluginError: unknown, disabled, in conflict, or written for another plugin API.
        """
        distribution, _, name = reference.rpartition("/")
        found = [entry for entry in self.entry_points if (entry.kind, entry.name) == (kind, name)]
        if distribution:
            found = [entry for entry in found if entry.distribution == normalise(distribution)]
        usable = [entry for entry in found if entry.state in ("ready", "conflict")]
        if len(usable) == 1:
            return usable[0]
        if usable:
            raise PluginError(_conflict(usable))
        raise PluginError(_why_not(found[0]) if found else self._unknown(kind, reference))

    def check_disabled(self, names: Iterable[str]) -> None:
        """Check that the names of plugins to disable, as typed by the user, are known.

        Raises:
            ConfigError: one of them is not installed.
        """
        known = {name for entry in self.entry_points for name in (entry.key, f"{entry.distribution}/{entry.key}")}
        for name in sorted(_parse_disabled(names) - known):
            raise ConfigError(f"there is no {name} to disable{did_you_mean(name, sorted(known))}; see `plugins list`")

    def _unknown(self, kind: str, reference: str) -> str:
        if not any(entry.distribution == OWN_DISTRIBUTION for entry in self.entry_points):
            return (
                f"{kind} {reference!r} is not installed, and neither is {OWN_DISTRIBUTION} itself: "
                "run `pip install -e .` in the checkout"
            )
        names = sorted(
            {entry.name for entry in self.entry_points if entry.kind == kind and entry.state != "incompatible"}
        )
        installed = ", ".join(names) or "none"
        return f"there is no {kind} {reference!r} (installed: {installed}){did_you_mean(reference, names)}"


def scan(disable: Iterable[str] = ()) -> InstalledPlugins:
    """List the entry points of all distributions on `sys.path`; the environment can disable more of them.

    Args:
        disable: `kind.name` or `distribution/kind.name`, one for each entry point to disable.

    Raises:
        ConfigError: an entry of `disable` or of SPARK_DISABLE_PLUGINS has another form.
    """
    disabled = _parse_disabled([*disable, *os.environ.get(DISABLE_VARIABLE, "").split(",")])
    reader, problem = "entrypoints", ""
    try:
        entry_points = _read(_by_entrypoints)
    except Exception as exc:  # `entrypoints` raises various errors for one malformed file of any distribution
        reader, problem = "importlib.metadata", f"{type(exc).__name__}: {exception_text(exc)}"
        entry_points = _read(_by_metadata)

    all_off = os.environ.get(AUTOLOAD_VARIABLE) == "0"
    entry_points = [
        replace(entry, state="disabled")
        if entry.state == "ready" and (all_off or {entry.key, f"{entry.distribution}/{entry.key}"} & disabled)
        else entry
        for entry in entry_points
    ]
    claims = Counter(entry.key for entry in entry_points if entry.state == "ready")
    entry_points = [
        replace(o, state="conflict") if o.state == "ready" and claims[o.key] > 1 else o for o in entry_points
    ]
    return InstalledPlugins(
        tuple(sorted(entry_points, key=lambda o: (o.kind, o.name, o.distribution, o.api))), reader, problem
    )


def normalise(distribution: str) -> str:
    """A distribution's normalised name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the most similar option, or an empty string."""
    near = difflib.get_close_matches(word, list(options), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def exception_text(exc: BaseException) -> str:
    """An exception's text without line breaks, or its type if it has no text."""
    return " ".join(str(exc).split()) or type(exc).__name__


def _conflict(rivals: list[EntryPoint]) -> str:
    first, second = rivals[:2]
    return (
        f"{first.kind} {first.name!r} is offered by {' and '.join(f'{e.distribution} {e.version}' for e in rivals)}: "
        f"name one in full, like {first.distribution}/{first.name}, "
        f"or disable the other, like -p no:{second.distribution}/{second.key}"
    )


def _why_not(entry: EntryPoint) -> str:
    if entry.state == "incompatible":
        return f"{entry} is written for plugin API v{entry.api}, but this is v{API}: install a matching version"
    if os.environ.get(AUTOLOAD_VARIABLE) == "0":
        return f"{entry} is disabled, like all plugins: unset {AUTOLOAD_VARIABLE}"
    return f"{entry} is disabled: remove it from -p no:, `plugins.disable` or {DISABLE_VARIABLE}"


def _parse_disabled(names: Iterable[str]) -> set[str]:
    parsed = set()
    for name in filter(None, map(str.strip, names)):
        distribution, slash, key = name.rpartition("/")
        if key.partition(".")[0] not in KINDS or not key.partition(".")[2]:
            kinds = ", ".join(KINDS)
            raise ConfigError(f"cannot disable {name!r}: write kind.name or distribution/kind.name (kinds: {kinds})")
        parsed.add(normalise(distribution) + slash + key)
    return parsed


# -- reading metadata ----------------------------------------------------------------------------------------------

_Listing = tuple[str, str, list[tuple[str, str, str]]]
"""Distribution, version, and its entry points as (group, name, value)."""


def _read(reader: Callable[[str], Iterator[_Listing]]) -> list[EntryPoint]:
    """All entry points. A distribution that is found twice counts once: the one in the earlier folder, or with the
    higher version."""
    found: dict[tuple[str, str, int], EntryPoint] = {}
    seen: set[str] = set()
    for folder in dict.fromkeys(sys.path):
        for distribution, version, entries in sorted(reader(folder), key=lambda row: _numbers(row[1]), reverse=True):
            if distribution in seen:
                continue
            seen.add(distribution)
            for group, key, value in entries:
                entry = _entry_point(distribution, version, group, key, value)
                found.setdefault((distribution, entry.key, entry.api), entry)
    # A distribution may support several API versions at once; then only the matching one counts.
    return [o for (distribution, key, api), o in found.items() if api == API or (distribution, key, API) not in found]


def _entry_point(distribution: str, version: str, group: str, key: str, value: str) -> EntryPoint:
    kind, _, name = key.partition(".")
    target = re.sub(r"\[.*\]|\s", "", value)  # extras and spaces have no meaning here
    api = int(group.removeprefix(PREFIX))
    state: State = "ready" if api == API and kind in KINDS and name else "incompatible"
    return EntryPoint(kind, name, target, distribution, version, state, api)


def _by_entrypoints(folder: str) -> Iterator[_Listing]:
    import entrypoints

    for file, distribution in entrypoints.iter_files_distros([folder], repeated_distro="all"):
        # The version comes from the folder's name; old egg-info folders add `-py3.11` to it, or have no version.
        version = re.sub(r"-py\d.*", "", distribution.version or "unknown")
        groups = [group for group in file.sections() if _ours(group)]
        entries = [(group, key, value) for group in groups for key, value in file.items(group)]
        yield normalise(distribution.name), version, entries


def _by_metadata(folder: str) -> Iterator[_Listing]:
    from importlib import metadata

    for distribution in metadata.distributions(path=[folder]):
        try:
            entries = [(e.group, e.name, e.value) for e in distribution.entry_points if _ours(e.group)]
            yield normalise(distribution.metadata["Name"]), distribution.version, entries
        except Exception:  # its metadata cannot be read at all: skip it; other distributions are unaffected
            continue


def _ours(group: str) -> bool:
    return re.fullmatch(re.escape(PREFIX) + r"\d+", group) is not None


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)]
