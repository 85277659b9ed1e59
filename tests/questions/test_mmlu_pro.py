"""MMLU-Pro: reading, filtering, splitting, and the errors for bad files."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spark_framework.errors import ConfigError, DataError
from spark_framework.questions import MmluProConfig, open_questions
from spark_framework.questions.mmlu_pro import CATEGORIES

REAL = Path(__file__).parents[3] / "shared/data/mmlu_pro/test.parquet"


def row(number: int, **changes: Any) -> dict[str, Any]:
    options = [f"option {number}.{k}" for k in range(5)]
    answer = number % 5
    return {
        "question_id": number,
        "question": f"Question {number}?",
        "options": options,
        "answer": "ABCDE"[answer],
        "answer_index": answer,
        "cot_content": "",
        "category": CATEGORIES[number % 3],
        "src": "made",
    } | changes


class Hub(list[dict[str, Any]]):
    """What `datasets.load_dataset` returns, as far as it is read."""

    def __init__(self, rows: Iterable[dict[str, Any]], commit: str = "a" * 40) -> None:
        super().__init__(rows)
        file = f"hf://datasets/TIGER-Lab/MMLU-Pro@{commit}/data/test.parquet"
        self.info = SimpleNamespace(download_checksums={file: {}})


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in rows))
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def opened(path: Path, seed: int = 0, **settings: Any) -> Any:
    return open_questions(MmluProConfig(path=path, **settings), seed)


def only_question(path: Path, **changes: Any) -> Any:
    """The single question of a one-row file."""
    questions = opened(write_jsonl(path / "one.jsonl", [row(0, **changes)]), held_out_categories=("biology",))
    (question,) = questions.test(None)
    return question


def fails(path: Path, rows: list[dict[str, Any]], **settings: Any) -> str:
    with pytest.raises((DataError, ConfigError)) as caught:
        opened(write_jsonl(path / "bad.jsonl", rows), **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_both_formats_give_the_same_questions(tmp_path: Path, write: Any) -> None:
    questions = opened(write(tmp_path / "data", [row(n) for n in range(30)]))
    expected = opened(write_jsonl(tmp_path / "again.jsonl", [row(n) for n in reversed(range(30))]))
    assert questions.train(0, 24) == expected.train(0, 24)
    assert questions.test(None) == expected.test(None)
    assert questions.fingerprint() == expected.fingerprint()


def test_split_is_disjoint_complete_and_stratified(tmp_path: Path) -> None:
    questions = opened(write_jsonl(tmp_path / "data", [row(n) for n in range(60)]), test_fraction=0.25)
    train, test = questions.train(0, 45), questions.test(None)
    assert {question.id for question in train + test} == {f"mmlu_pro-{n}" for n in range(60)}
    assert len(train) + len(test) == 60
    assert Counter(question.category for question in test) == dict.fromkeys(CATEGORIES[:3], 5)
    assert questions.train(10, 5) == train[10:15]
    assert questions.test(4) == test[:4]


def test_seed_changes_split_order_and_fingerprint(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "data", [row(n) for n in range(60)])
    one, again, other = opened(path, seed=1), opened(path, seed=1), opened(path, seed=2)
    assert one.train(0, 40) == again.train(0, 40)
    assert one.fingerprint() == again.fingerprint() != other.fingerprint()
    assert {question.id for question in one.test(None)} != {question.id for question in other.test(None)}


def test_fingerprint_changes_with_one_option(tmp_path: Path) -> None:
    rows = [row(n) for n in range(10)]
    before = opened(write_jsonl(tmp_path / "a", rows)).fingerprint()
    rows[3]["options"][4] = "another text"
    assert opened(write_jsonl(tmp_path / "b", rows)).fingerprint() != before


def test_filler_options_are_dropped_and_the_answer_follows(tmp_path: Path) -> None:
    question = only_question(tmp_path, options=["N/A", "red", "N/A", "blue", "N/A"], answer="D", answer_index=3)
    assert question.options == ("red", "blue")
    assert question.answer == 1


def test_options_as_python_text_are_read(tmp_path: Path) -> None:
    question = only_question(tmp_path, options="['it\\'s red', \"blue\"]", answer="B", answer_index=1)
    assert question.options == ("it's red", "blue")
    assert question.answer == 1


def test_jsonl_as_other_programs_write_it(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    lines = [json.dumps(row(n, question=f"Two\u2028lines {n}?"), ensure_ascii=False) for n in range(10)]
    path.write_bytes("\ufeff".encode() + "\r\n\r\n".join(lines).encode())
    assert all(question.text.startswith("Two\u2028lines") for question in opened(path).train(0, 5))


def test_the_letter_counts_where_letter_and_index_disagree(tmp_path: Path) -> None:
    assert only_question(tmp_path, answer="C", answer_index=1).answer == 2


def test_categories_filter_and_held_out_categories(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "data", [row(n) for n in range(60)])
    questions = opened(path, categories=("biology",), held_out_categories=("business",), test_fraction=0.2)
    assert {question.category for question in questions.train(0, 16)} == {"biology"}
    groups = Counter((question.category, question.group) for question in questions.test(None))
    assert groups == {("biology", ""): 4, ("business", "held_out"): 20}


def test_unknown_category_lists_all_fourteen(tmp_path: Path) -> None:
    for key in ("categories", "held_out_categories"):
        message = fails(tmp_path, [row(0)], **{key: ("maths",)})
        assert message.startswith(f"questions.{key}: unknown category 'maths'")
        assert all(category in message for category in CATEGORIES)
    assert len(CATEGORIES) == 14


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"answer_index": 5}, "no right option"),
        ({"answer_index": -1}, "no right option"),
        ({"answer_index": "2"}, "no right option"),
        ({"answer": "J"}, "no right option"),
        ({"answer": ""}, "no right option"),
        ({"options": ["a", "N/A", "b"], "answer": "B", "answer_index": 1}, "filler"),
        ({"options": ["a", "N/A"], "answer": "A", "answer_index": 0}, "1 options"),
        ({"options": "just words"}, "not a list"),
        ({"options": {"A": "a"}}, "list"),
        ({"options": None}, "missing column 'options'"),
        ({"category": None}, "missing column 'category'"),
    ],
)
def test_a_bad_row_is_named_by_its_number(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    message = fails(tmp_path, [row(0), row(1), row(2, **changes)])
    assert "row 3" in message
    assert words in message


def test_missing_parquet_column(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "data.parquet", [{"question_id": 1, "question": "?"}])
    with pytest.raises(DataError, match="row 1: missing column 'options'"):
        opened(path)


def test_repeated_question_id_names_both_rows(tmp_path: Path) -> None:
    message = fails(tmp_path, [row(0), row(7), row(2), row(7)])
    assert "row 4" in message
    assert "row 2" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\xff\xfe\x00", "neither parquet nor JSONL"),
        (b"question,answer\n1,2\n", "row 1: neither parquet nor JSONL"),
        (b"[1, 2]\n", "row 1: a JSON object is needed"),
        (b"PAR1 and then nothing", "damaged parquet"),
    ],
)
def test_a_file_of_another_kind(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        opened(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.parquet", tmp_path):
        with pytest.raises(DataError, match="cannot read"):
            opened(path)


def test_too_few_questions(tmp_path: Path) -> None:
    questions = opened(write_jsonl(tmp_path / "data", [row(n) for n in range(10)]))
    for ask in (lambda: questions.train(5, 4), lambda: questions.test(4), lambda: questions.train(-1, 1)):
        with pytest.raises(DataError, match="split of mmlu_pro"):
            ask()


def test_hub_rows_are_read_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def load_dataset(name: str, split: str) -> Hub:
        asked.append((name, split))
        return Hub(row(n) for n in range(20))

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    questions = open_questions(MmluProConfig(), seed=0)
    assert asked == [("TIGER-Lab/MMLU-Pro", "test")]
    assert questions.revision == "a" * 40
    assert questions.test(None) == opened(write_jsonl(tmp_path / "data", [row(n) for n in range(20)])).test(None)


def test_unreachable_hub_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, split: str) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(DataError, match=r"TIGER-Lab/MMLU-Pro.*no route.*`path`"):
        open_questions(MmluProConfig(), seed=0)


@pytest.mark.skipif(not REAL.exists(), reason="no ../shared folder with the test split of MMLU-Pro")
def test_the_real_file() -> None:
    questions = opened(REAL, held_out_categories=("law",))
    test = questions.test(None)
    train = questions.train(0, 10_025 - len(test))
    assert len(train) + len(test) == 10_025
    assert {question.category for question in test} == set(CATEGORIES)
    assert "law" not in {question.category for question in train}
    assert not {question.id for question in train} & {question.id for question in test}
    assert all(question.answer is not None and "N/A" not in question.options for question in train + test)
