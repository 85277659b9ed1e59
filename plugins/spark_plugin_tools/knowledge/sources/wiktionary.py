"""Definitions from Wiktionary's REST interface (https://en.wiktionary.org/api/rest_v1/)."""

from __future__ import annotations

from urllib.parse import quote

from pydantic import BaseModel, RootModel

from spark_framework.api import ToolError

from ...shared.http_client import Client, Refusal, plain, without_markup

MAX_ENTRIES = 4
MAX_SENSES = 3


class _Sense(BaseModel):
    definition: str = ""
    """HTML; empty if the page has a heading without text."""


class _Entry(BaseModel):
    partOfSpeech: str
    language: str
    definitions: list[_Sense]


class _WiktionaryPage(RootModel[dict[str, list[_Entry]]]):
    """Entries by language code, `other` for languages without one."""


def definition(client: Client, base_url: str, term: str) -> str:
    """The first senses of a term's entries, the English ones where there are any.

    Args:
        base_url: the wiki, for example https://en.wiktionary.org

    Raises:
        ToolError: no entry, or no usable answer (then `transient`).
    """
    asked = plain(term, 80)
    for title in dict.fromkeys((asked, asked.lower())):  # page names are case-sensitive, and a query may begin in upper
        page = _page(client, base_url, title)
        text = _described(title, page.root) if page else ""
        if text:
            return text
    raise ToolError(f"no entry for {asked[:40]!r}; give one term")


def _page(client: Client, base_url: str, title: str) -> _WiktionaryPage | None:
    if not any(map(str.isalnum, title)):  # `.` and `..` would name another address
        return None
    address = f"{base_url}/api/rest_v1/page/definition/{quote(title.replace(' ', '_'), safe='')}"
    try:
        return client.get_json(address, _WiktionaryPage)
    except Refusal as refusal:
        if refusal.status in (400, 404):
            return None
        raise


def _described(title: str, entries_by_language: dict[str, list[_Entry]]) -> str:
    entries = entries_by_language.get("en") or next(iter(entries_by_language.values()), [])
    texts = []
    for entry in entries:
        senses = [plain(without_markup(sense.definition), 300).rstrip(".") for sense in entry.definitions]
        senses = [sense for sense in senses if sense][:MAX_SENSES]
        if senses:
            language = "" if entry.language == "English" else f"{entry.language} "
            texts.append(f"({plain(language + entry.partOfSpeech.lower(), 60)}): {'; '.join(senses)}.")
    return f"{title} {' '.join(texts[:MAX_ENTRIES])}" if texts else ""
