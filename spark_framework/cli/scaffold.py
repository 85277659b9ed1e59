"""`plugins new`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..host.inventory import scan
from ..scaffold import new_plugin


def new(args: argparse.Namespace) -> int:
    """Write a plugin to start from, and say what to do with it."""
    folder = new_plugin(args.kind, args.name, Path(args.to))
    print(folder)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(f"  {file.relative_to(folder)}")
    print(f"next: cd {folder} && pip install -e '.[dev]' && pytest")
    key = f"{args.kind}.{args.name.replace('-', '_')}"
    if rivals := [offer.distribution for offer in scan(args.disable).offers if offer.key == key]:
        print(f"note: {rivals[0]} offers {key} too; users of both will have to write `use: DISTRIBUTION/NAME`")
    return 0
