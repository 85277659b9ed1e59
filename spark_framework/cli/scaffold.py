"""`plugins new`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..host.discovery import scan
from ..scaffold import new_plugin


def new(args: argparse.Namespace) -> int:
    """Write a plugin to start from, and say what to do with it."""
    folder = new_plugin(args.kind, args.name, Path(args.to), scan(args.disable))
    print(folder)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(f"  {file.relative_to(folder)}")
    print(f"next: cd {folder} && pip install -e '.[dev]' && pytest")
    return 0
