"""A hook of MkDocs that adds files of the repository's root to the site, so that each text exists once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
"""Files of the root by their page."""


_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=as_page((ROOT / source).read_text(encoding="utf-8"))))
    return files


def as_page(text: str) -> str:
    """The text of a root file with links as the site needs them. A link to a file outside the site becomes its text."""

    def link(found: re.Match[str]) -> str:
        target = PAGES.get(found[2], found[2].removeprefix("docs/"))
        return f"[{found[1]}]({target})" if target != found[2] else found[1]

    return _LINK.sub(link, text)
