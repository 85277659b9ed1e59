"""Reads `python_programs.txt`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Program(NamedTuple):
    name: str
    full: bool
    code: str
    printed: str


def programs() -> list[Program]:
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    found = []
    for part in re.split(r"^=== ", text, flags=re.M)[1:]:
        title, _, rest = part.partition("\n")
        code, _, printed = rest.partition("\n--- prints\n")
        found.append(Program(title.removesuffix(" [full]"), title.endswith(" [full]"), code, printed.strip()))
    return found
