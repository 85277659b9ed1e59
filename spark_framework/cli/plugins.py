"""`plugins list`, `plugins show`, `plugins check` and `plugins doctor`."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..errors import PluginError
from ..host.discovery import KINDS, OWN_DISTRIBUTION, Inventory, did_you_mean, scan

if TYPE_CHECKING:
    from ..contracts.components import Tool, Toolset


def list_offers(args: argparse.Namespace) -> int:
    """Print all offers; no plugin is imported."""
    inventory = scan(args.disable)
    if args.json:
        print(json.dumps([asdict(offer) for offer in inventory.offers], indent=2))
    else:
        from ..stats.tables import plain_table

        rows = [(o.kind, o.name, o.distribution, o.version, o.state) for o in inventory.offers]
        print(plain_table(("kind", "name", "distribution", "version", "state"), rows))
    if inventory.problem:
        print(f"note: listed by {inventory.road}; `entrypoints` gave up: {inventory.problem}", file=sys.stderr)
    if not any(offer.distribution == OWN_DISTRIBUTION for offer in inventory.offers):
        print(f"note: {OWN_DISTRIBUTION} itself is not installed: run `pip install -e .`", file=sys.stderr)
    return 0


def show(args: argparse.Namespace) -> int:
    """Print one component, which is imported for that."""
    from ..contracts.components import Tool, Toolset
    from ..host.manager import Host
    from .config_fields import fields

    host = Host(args.disable)
    kind, reference = _kind_and_reference(host.inventory, args.component)
    loaded = host.component_class(kind, reference)
    cls, offer = loaded.cls, loaded.offer
    print(f"{offer.key}: from {offer.distribution} {offer.version}, {cls.__module__}:{cls.__qualname__}")
    print(f"\n{inspect.getdoc(cls)}")
    if issubclass(cls, Tool):
        print(f"\ndescription for the model: {cls.description}")
        print(f"needs: {_needs(cls)}")
        print(f"\narguments:\n{fields(cls.Args)}")
    elif issubclass(cls, Toolset):
        print(f"\ndescription: {cls.description}")
        print(f"needs: {_needs(cls)}")
        print(f"\nits tools: spark-framework tools prepare {offer.name} --set KEY=VALUE")
    print(f"\nsettings:\n{fields(cls.Config)}")
    return 0


def check(args: argparse.Namespace) -> int:
    """Run what can be checked without the author's own test, in a process of its own."""
    from ..host.subprocess_call import isolated

    inventory = scan(args.disable)
    kind, reference = _kind_and_reference(inventory, args.component)
    offer = inventory.find(kind, reference)
    order = {"kind": kind, "reference": reference, "settings": args.set, "disable": args.disable}
    answer = isolated("spark_framework.testing.check:run", order, args.timeout)
    results = [("the checks come to an end", answer.problem)] if answer.problem else answer.value
    for title, problem in results:
        print(f"{'FAIL' if problem else 'ok':4}  {title}{': ' * bool(problem)}{problem}")
    failed = sum(bool(problem) for _, problem in results)
    print(f"\n{offer.key} of {offer.distribution} {offer.version}: {len(results) - failed} good, {failed} failed")
    return 1 if failed else 0


def doctor(args: argparse.Namespace) -> int:
    """Load every plugin in a process of its own, read all metadata, and say what is wrong."""
    from ..host.doctor import examine, examine_metadata
    from ..stats.tables import plain_table

    findings = [*examine(scan(args.disable), args.disable, args.timeout), *examine_metadata()]
    print(plain_table(("what", "distribution", "version", "state"), [(f.subject, f.distribution, f.version, f.state)
                                                                for f in findings]))  # fmt: skip
    wrong = [finding for finding in findings if finding.advice]
    if wrong:
        print()
    for finding in wrong:
        print(f"{finding.subject} of {finding.distribution} {finding.version}: {finding.state}. {finding.advice}")
    return 1 if wrong else 0


def _needs(cls: type[Tool] | type[Toolset]) -> str:
    """The permissions that the default settings ask for."""
    from pydantic import ValidationError

    try:
        return ", ".join(sorted(cls().needs)) or "nothing"
    except ValidationError:  # there are no default settings
        return "what its settings ask for"


def _kind_and_reference(inventory: Inventory, text: str) -> tuple[str, str]:
    """`kind.name`, `name`, and either of them behind `distribution/`."""
    distribution, slash, key = text.rpartition("/")
    kind, dot, name = key.partition(".")
    if dot and kind in KINDS:
        return kind, distribution + slash + name
    keys = sorted({offer.key for offer in inventory.offers if offer.name == key})
    if len(keys) == 1:
        return keys[0].partition(".")[0], text
    if keys:
        raise PluginError(f"{text!r} is the name of several components: say which, {' or '.join(keys)}")
    names = {name for offer in inventory.offers for name in (offer.name, offer.key)}
    raise PluginError(f"there is no component {text!r}{did_you_mean(key, sorted(names))}; see `plugins list`")
