"""`search` over a user's corpus: reading it, its index on disk, and finding."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_framework.api import UserError
from spark_plugin_tools.knowledge.search import Search
from spark_plugin_tools.knowledge.sources import text_index
from tests.plugins.tools.calls import call


def search(corpus: Path, **settings: Any) -> Search:
    return Search(Search.Config(corpus=corpus, **settings))


def found(corpus: Path, query: str, k: int = 3) -> str:
    return call(search(corpus), {"query": query, "k": k})


def index_of(corpus: Path) -> Path:
    return corpus.with_name(corpus.name + ".index.sqlite")


def write_rows(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """One file of each kind; the fact is in the title's file."""
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "zebra.txt").write_text("Zebras live in Africa.\n\nPenguins live\nin the south.\n \n" + "word " * 400)
    (folder / "notes.md").write_text("\ufeff# Notes on the aardvark\r\n\r\nIt eats ants.\r\n")
    write_rows(folder / "deep" / "more.jsonl", {"title": "Okapi", "text": "A shy relative."}, {"text": "Untitled gnu."})
    table = pa.table({"text": ["Tapirs swim.", "Lynxes climb."], "title": ["Tapir", None], "id": [1, 2]})
    pq.write_table(table, folder / "rows.parquet", row_group_size=1)
    (folder / "ignored.bin").write_bytes(b"\xff\xfe")
    return folder


# -- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "passage"),
    [
        ("penguins", "zebra: Penguins live in the south."),
        ("zebras of Africa", "Zebras live in Africa."),
        ("ants", "notes: It eats ants."),
        ("okapi", "Okapi: A shy relative."),
        ("gnu", "more: Untitled gnu."),
        ("tapir", "Tapirs swim."),
        ("climb", "rows: Lynxes climb."),
    ],
)
def test_every_kind_of_file_is_read(corpus: Path, query: str, passage: str) -> None:
    text = found(corpus, query)
    assert text.removeprefix("Tapir: ") == passage


def test_passages_are_short_and_fit_together(corpus: Path, tmp_path: Path) -> None:
    lines = found(corpus, "word", k=5).splitlines()
    assert len(lines) == 4
    assert all(len(line) < 620 for line in lines)
    letters = write_rows(tmp_path / "long.jsonl", *({"text": f"key{n} " + "x" * 10_000} for n in range(5)))
    text = found(letters, "x" * 10 + " key1 key2 key3 key4 key0", k=5)
    assert len(text) < 2000


def test_a_text_without_paragraphs_is_read_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(" ".join(f"word{n}" for n in range(60_000)) + " last")
    assert "word59999 last" in found(tmp_path / "one.txt", "last")
    assert "word20000" in found(tmp_path / "one.txt", "word20000")
    (tmp_path / "letters.txt").write_text("y" * 300_000 + " end")
    assert found(tmp_path / "letters.txt", "end").endswith("end")


def test_odd_characters_are_kept_or_replaced(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "odd.jsonl", {"text": "lone \ud800 half", "title": "\udfff"}, {"text": "a\x00b nul"}, {"text": ""}
    )
    assert found(tmp_path / "odd.jsonl", "half") == "lone ? half"
    assert "nul" in found(tmp_path / "odd.jsonl", "nul")
    for query in ('"', "NEAR(", "title:", "*", "\ud800", "z" * 200, "half OR nul AND NOT"):
        found(tmp_path / "odd.jsonl", query).encode()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "fine"}\n[1]\n', r"a\.jsonl line 2 of the search corpus should have a field text"),
        ("a.jsonl", b'{"text": "fine"}\n\n{"text": ', r"a\.jsonl line 3 "),
        ("a.jsonl", b'{"text": 3}', r"a\.jsonl line 1 "),
        ("a.jsonl", b'{"text": "x", "title": []}', r"a\.jsonl line 1 "),
        ("a.jsonl", b'{"text": "\xff"}', r"a\.jsonl line 1 "),
        ("a.jsonl", b"[" * 100_000, r"a\.jsonl line 1 "),
        ("a.txt", b"ok\n\n\xff\xfe", r"a\.txt of the search corpus is not UTF-8"),
        ("a.parquet", b"PAR1 but no more", r"a\.parquet of the search corpus is not a readable parquet file"),
    ],
)
def test_a_bad_file_is_named_with_its_row_and_no_index_is_left(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        search(folder).prepare()
    assert message.split(" ")[-1].strip("\\") in found(folder, "fine")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["texts"]


@pytest.mark.parametrize(
    ("columns", "row"), [({"text": ["fine", None]}, 2), ({"texts": ["fine"]}, 1), ({"text": [1]}, 1)]
)
def test_a_bad_parquet_row_is_named(tmp_path: Path, columns: dict[str, list[Any]], row: int) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=rf"a\.parquet row {row} of the search corpus should have a field text"):
        search(tmp_path / "a.parquet").prepare()


def test_there_has_to_be_a_text(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("x")
    for path in (tmp_path, tmp_path / "data.csv", tmp_path / "absent.txt"):
        with pytest.raises(UserError, match=r"there is no \.txt, \.md, \.jsonl, \.parquet file at"):
            search(path).prepare()
    with pytest.raises(UserError, match="there is no"):
        search(tmp_path).fingerprint()


# -- the index -----------------------------------------------------------------------------------------------------


def test_the_index_is_built_once_and_again_when_the_corpus_changes(corpus: Path) -> None:
    search(corpus).prepare()
    built = index_of(corpus).stat().st_mtime_ns
    search(corpus).prepare()
    assert found(corpus, "tapir")
    assert index_of(corpus).stat().st_mtime_ns == built
    (corpus / "new.txt").write_text("Narwhals dive.")
    assert "Narwhals dive." in found(corpus, "narwhals")
    (corpus / "new.txt").unlink()
    assert found(corpus, "narwhals").startswith("error: nothing found")
    assert sorted(path.name for path in corpus.parent.iterdir()) == ["texts", "texts.index.sqlite"]


def test_a_call_needs_no_preparation_and_the_index_can_be_elsewhere(corpus: Path, tmp_path: Path) -> None:
    place = tmp_path / "new" / "folder" / "my.sqlite"
    assert "Tapirs swim." in call(search(corpus, index=place), {"query": "tapir"})
    assert place.exists()
    assert not index_of(corpus).exists()


def test_the_fingerprint_is_that_of_the_contents_with_and_without_an_index(corpus: Path, tmp_path: Path) -> None:
    before = search(corpus).fingerprint()
    search(corpus).prepare()
    assert search(corpus).fingerprint() == before
    os.utime(corpus / "zebra.txt", (1, 1))
    assert search(corpus).fingerprint() == before
    (corpus / "zebra.txt").write_text("Zebras are striped.")
    changed = search(corpus).fingerprint()
    assert changed != before
    search(corpus).prepare()
    assert search(corpus).fingerprint() == changed


@pytest.mark.parametrize("damage", [b"no database at all " * 300, b""])
def test_a_damaged_index_is_named(corpus: Path, damage: bytes) -> None:
    search(corpus).prepare()
    index_of(corpus).write_bytes(damage)
    with pytest.raises(UserError, match=r"texts\.index\.sqlite is damaged .*delete it"):
        search(corpus).prepare()
    assert "texts.index.sqlite is damaged" in found(corpus, "tapir")
    index_of(corpus).unlink()
    assert "Tapirs swim." in found(corpus, "tapir")


def test_damage_within_an_index_is_named_in_the_call(corpus: Path) -> None:
    search(corpus).prepare()
    with sqlite3.connect(index_of(corpus)) as database:
        database.execute("UPDATE passage_data SET block = x'00' WHERE id > 10")
    database.close()
    assert "texts.index.sqlite is damaged" in found(corpus, "tapir")


def test_an_index_that_cannot_be_written_is_one_line(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*my\.sqlite"):
        search(corpus, index=tmp_path / "file" / "my.sqlite").prepare()


def test_readers_cannot_write(corpus: Path) -> None:
    tool = search(corpus)
    tool.prepare()
    mode = index_of(corpus).stat().st_mode
    index_of(corpus).chmod(0o444)
    assert "Tapirs swim." in call(tool, {"query": "tapir"})
    index_of(corpus).chmod(mode)


BUILD = """
import sys
from pathlib import Path
from spark_plugin_tools.knowledge.search import Search
Search(Search.Config(corpus=Path(sys.argv[1]))).prepare()
"""


def test_a_killed_build_leaves_the_old_index_or_none(tmp_path: Path) -> None:
    corpus, part = tmp_path / "big.txt", tmp_path / "big.txt.index.sqlite.part"
    corpus.write_text("Tapirs swim.")
    search(corpus).prepare()
    old = index_of(corpus).read_bytes()
    corpus.write_text("\n\n".join(f"Tapir {n} swims in lake {n * n}." for n in range(400_000)))
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(corpus)], stderr=subprocess.PIPE)
    while process.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert part.exists()
    assert index_of(corpus).read_bytes() == old
    corpus.write_text("Tapirs swim again.")
    assert found(corpus, "again") == "big: Tapirs swim again."
    assert not part.exists()


def test_several_processes_build_one_index(corpus: Path) -> None:
    (corpus / "more.txt").write_text("\n\n".join(f"Tapir {n} swims." for n in range(20_000)))
    processes = [
        subprocess.Popen([sys.executable, "-c", BUILD, str(corpus)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=120)[1] for process in processes] == ["", "", ""]
    assert found(corpus, "tapir 777").startswith("more: Tapir 777 swims.")
    assert sorted(path.name for path in corpus.parent.iterdir()) == ["texts", "texts.index.sqlite"]


# -- finding -------------------------------------------------------------------------------------------------------


def test_the_corpus_alone_is_searched_unless_other_sources_are_named(corpus: Path) -> None:
    assert found(corpus, "Peru").startswith("error: nothing found for 'Peru'")
    both = search(corpus, sources=("corpus", "articles"))
    assert call(both, {"query": "capital of Peru"}).startswith("Peru is a country")
    assert "Tapirs swim." in call(both, {"query": "tapir"})


def test_a_weak_match_gives_way_to_a_good_one_of_a_later_source(corpus: Path) -> None:
    (corpus / "capital.txt").write_text("Capital letters stand at the beginning.")
    both = search(corpus, sources=("corpus", "articles"))
    assert call(both, {"query": "capital of Peru"}).startswith("Peru is a country")
    assert "Capital letters" in call(both, {"query": "capital xyzzy"})


def test_common_words_do_not_hide_rare_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a corpus with more passages of `battle` than BM25 may rank."""
    monkeypatch.setattr(text_index, "RANKED", 50)
    rows = [{"title": f"Battle {n}", "text": f"The battle {n} of the war was a battle of a war."} for n in range(300)]
    rows.insert(170, {"title": "Lepanto", "text": "The naval battle of 1571 in the war."})
    rows.insert(250, {"title": "Lepanto", "text": "A town on a gulf."})
    texts = write_rows(tmp_path / "many.jsonl", *rows)
    assert found(texts, "battle of Lepanto", k=1) == "Lepanto: The naval battle of 1571 in the war."
    assert found(texts, "battle 299 war", k=1) == "The battle 299 of the war was a battle of a war."
    assert found(texts, "war battle", k=1).startswith("The battle ")
    assert found(texts, "battle", k=1).startswith("The battle ")
    assert found(texts, "gulf war", k=1) == "Lepanto: A town on a gulf."


def test_eight_threads_get_the_answers_of_one(corpus: Path) -> None:
    tool = search(corpus)
    queries = ["penguins", "tapir", "okapi", "word", "ants", "nothing at all"]
    alone = [call(search(corpus), {"query": query}) for query in queries]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda query: call(tool, {"query": query}), queries * 50))
    assert together == alone * 50
    tool.close()
    assert call(tool, {"query": "tapir"}) == alone[1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_reads_too(corpus: Path) -> None:
    tool = search(corpus)
    assert "Tapirs swim." in call(tool, {"query": "tapir"})
    child = os.fork()
    if child == 0:
        os._exit(0 if "Tapirs swim." in call(tool, {"query": "tapir"}) else 1)
    assert os.waitpid(child, 0)[1] == 0
