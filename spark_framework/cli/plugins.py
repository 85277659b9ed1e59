"""`plugins list`, `plugins show`, `plugins new`, `plugins check` and `plugins doctor`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PluginError
from .options import Commands, add_command, add_group, add_set, positive

if TYPE_CHECKING:
    from ..contracts.components import Tool, Toolset
    from ..host.discovery import InstalledPlugins

_COMPONENT = "NAME or KIND.NAME, like judge.gpt4o"
_NEW = ("tool", "judge", "selector", "reward", "algorithm")


def register(commands: Commands) -> None:
    """Add the commands of this module."""
    plugins = add_group(commands, "plugins", "list, check and create plugins")

    text = "list all installed components, without importing any"
    command = add_command(plugins, "list", run_list, text)
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add_command(plugins, "show", run_show, "show what a component does, its settings and its origin")
    command.add_argument("component", metavar="NAME", help=_COMPONENT)

    command = add_command(plugins, "new", run_new, "create a new plugin: a distribution with tests")
    command.add_argument("kind", choices=_NEW, metavar="KIND", help=f"{', '.join(_NEW[:-1])} or {_NEW[-1]}")
    command.add_argument("name", metavar="NAME", help="the component's name, like word_count")
    command.add_argument("--to", default=".", metavar="DIR", help="folder to create it in (default: this one)")

    text = "check a component against its contract"
    command = add_command(plugins, "check", run_check, text)
    command.add_argument("component", metavar="NAME", help=_COMPONENT)
    add_set(command, "change a setting of the component")
    _add_timeout(command, "for all checks")

    text = "load each plugin in a separate process, and report problems"
    command = add_command(plugins, "doctor", run_doctor, text)
    _add_timeout(command, "for each plugin")


def _add_timeout(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--timeout", type=positive, default=60, metavar="S", help=f"seconds {what} (default 60)")


def run_list(args: argparse.Namespace) -> int:
    """Print all entry points; no plugin is imported."""
    from dataclasses import asdict

    from ..host.discovery import OWN_DISTRIBUTION, scan

    installed = scan(args.disable)
    if args.json:
        print(json.dumps([asdict(entry) for entry in installed.entry_points], indent=2))
    else:
        from ..stats.tables import plain_table

        rows = [(o.kind, o.name, o.distribution, o.version, o.state) for o in installed.entry_points]
        print(plain_table(("kind", "name", "distribution", "version", "state"), rows))
    if installed.problem:
        print(
            f"note: `entrypoints` failed ({installed.problem}); listed with {installed.reader} instead", file=sys.stderr
        )
    if not any(entry.distribution == OWN_DISTRIBUTION for entry in installed.entry_points):
        print(f"note: {OWN_DISTRIBUTION} itself is not installed; run `pip install -e .`", file=sys.stderr)
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Import one component and print its docstring, arguments and settings."""
    import inspect

    from ..contracts.components import Tool, Toolset
    from ..host.manager import Host
    from .config_fields import fields

    host = Host(args.disable)
    kind, reference = _kind_and_reference(host.installed, args.component)
    loaded = host.component_class(kind, reference)
    cls, entry = loaded.cls, loaded.entry
    print(f"{entry.key}: from {entry.distribution} {entry.version}, {cls.__module__}:{cls.__qualname__}")
    print(f"\n{inspect.getdoc(cls)}")
    if issubclass(cls, Tool):
        print(f"\ndescription for the model: {cls.description}")
        print(f"needs: {_needs(cls)}")
        print(f"\narguments:\n{fields(cls.Args)}")
    elif issubclass(cls, Toolset):
        print(f"\ndescription: {cls.description}")
        print(f"needs: {_needs(cls)}")
        print(f"\nto list its tools: spark-framework tools prepare {entry.name} --set KEY=VALUE")
    print(f"\nsettings:\n{fields(cls.Config)}")
    return 0


def run_new(args: argparse.Namespace) -> int:
    """Create a plugin from a template, and print the next command."""
    from ..host.discovery import scan
    from ..scaffold import new_plugin

    folder = new_plugin(args.kind, args.name, Path(args.to), scan(args.disable))
    print(folder)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(f"  {file.relative_to(folder)}")
    print(f"next: cd {folder} && pip install -e '.[dev]' && pytest")
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Check one component's contract, in a separate process."""
    from ..host.discovery import scan
    from ..host.subprocess_call import call_in_subprocess

    installed = scan(args.disable)
    kind, reference = _kind_and_reference(installed, args.component)
    entry = installed.find(kind, reference)
    order = {"kind": kind, "reference": reference, "settings": args.set, "disable": args.disable}
    answer = call_in_subprocess("spark_framework.testing.check:run", order, args.timeout)
    results = [("the checks finish", answer.problem)] if answer.problem else answer.value
    for title, problem in results:
        print(f"{'FAIL' if problem else 'ok':4}  {title}{': ' * bool(problem)}{problem}")
    failed = sum(bool(problem) for _, problem in results)
    print(f"\n{entry.key} of {entry.distribution} {entry.version}: {len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


def run_doctor(args: argparse.Namespace) -> int:
    """Load every plugin in a separate process, read all metadata, and print the problems."""
    from ..host.discovery import scan
    from ..host.doctor import examine, examine_metadata
    from ..stats.tables import plain_table

    diagnoses = [*examine(scan(args.disable), args.disable, args.timeout), *examine_metadata()]
    rows = [(one.subject, one.distribution, one.version, one.state) for one in diagnoses]
    print(plain_table(("what", "distribution", "version", "state"), rows))
    wrong = [one for one in diagnoses if one.advice]
    if wrong:
        print()
    for one in wrong:
        print(f"{one.subject} of {one.distribution} {one.version}: {one.state}. {one.advice}")
    return 1 if wrong else 0


def _needs(cls: type[Tool] | type[Toolset]) -> str:
    """The permissions that a component needs with its default settings."""
    from pydantic import ValidationError

    try:
        return ", ".join(sorted(cls().needs)) or "nothing"
    except ValidationError:  # there are no default settings
        return "depends on its settings"


def _kind_and_reference(installed: InstalledPlugins, text: str) -> tuple[str, str]:
    """(kind, reference) from `kind.name` or `name`, optionally after `distribution/`."""
    from ..host.discovery import KINDS, did_you_mean

    distribution, slash, key = text.rpartition("/")
    kind, dot, name = key.partition(".")
    if dot and kind in KINDS:
        return kind, distribution + slash + name
    keys = sorted({entry.key for entry in installed.entry_points if entry.name == key})
    if len(keys) == 1:
        return keys[0].partition(".")[0], text
    if keys:
        raise PluginError(f"{text!r} names several components: write {' or '.join(keys)}")
    names = {name for entry in installed.entry_points for name in (entry.name, entry.key)}
    raise PluginError(f"there is no component {text!r}{did_you_mean(key, sorted(names))}; see `plugins list`")
