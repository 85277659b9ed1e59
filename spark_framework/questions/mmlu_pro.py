"""MMLU-Pro, from the hub or from a local file in its schema (Wang et al. 2024, arXiv 2406.01574)."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from spark_framework.errors import ConfigError, DataError
from spark_framework.records import LETTERS, Question

from .slices import take

CATEGORIES = (
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health",
    "history", "law", "math", "other", "philosophy", "physics", "psychology",
)  # fmt: skip
COLUMNS = ("question_id", "question", "options", "answer", "answer_index", "category")
"""The columns that are read. `cot_content` and `src` are ignored."""
FILLER = "N/A"
"""What published files write where a question has fewer than ten options."""

Row = Mapping[str, Any]


class MmluProConfig(BaseModel):
    """Settings of the MMLU-Pro question set."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    use: Literal["mmlu_pro"] = "mmlu_pro"
    hub: str = "TIGER-Lab/MMLU-Pro"
    """Dataset on the hub, used where `path` is not set."""
    path: Path | None = None
    """A local parquet or JSONL file in MMLU-Pro's schema."""
    categories: tuple[str, ...] = ()
    """Only these categories; empty: all."""
    held_out_categories: tuple[str, ...] = ()
    """Categories that are never trained on: all their questions are in the test split, as group `held_out`."""
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of every other category that is held out for testing."""


class MmluProQuestions:
    """MMLU-Pro, split by seed into training and test questions, both stratified by category and shuffled."""

    name = "mmlu_pro"

    def __init__(self, config: MmluProConfig, seed: int) -> None:
        """Read and split the questions. ConfigError for an unknown category, DataError for a bad row or file."""
        self.revision: str | None = None
        if config.path:
            rows = read_file(config.path)
        else:
            rows, self.revision = read_hub(config.hub)
        questions = _selected(read_questions(rows), config)
        self._train, self._test = _split(questions, config, seed)

    def train(self, start: int, count: int) -> list[Question]:
        """A slice of the training split; DataError where the split is too small."""
        return take(self._train, start, count, "training split of mmlu_pro")

    def test(self, count: int | None) -> list[Question]:
        """The first `count` questions of the test split, or all of them; DataError where the split is too small."""
        return take(self._test, 0, len(self._test) if count is None else count, "test split of mmlu_pro")

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any question, with the split and with the order."""
        digest = hashlib.sha256()
        for questions in (self._train, self._test):
            digest.update(f"{len(questions)}\n".encode())
            for question in questions:
                digest.update(question.model_dump_json().encode())
        return digest.hexdigest()[:16]


def read_hub(hub: str) -> tuple[Iterator[tuple[int, Row]], str | None]:
    """The rows of the `test` split of a hub dataset, numbered from 1, and the commit that was loaded: None for a local
    folder. DataError where it cannot be loaded."""
    import datasets  # one second: only when the hub is used

    try:
        rows = datasets.load_dataset(hub, split="test")
    except Exception as exc:  # offline, unknown name, no such split: the library raises dozens of types
        reason = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        raise DataError(
            f"cannot load {hub!r} from the hub ({reason}); set `path` to a local parquet or JSONL file"
        ) from exc
    return enumerate(rows, start=1), _loaded_revision(rows.info.download_checksums)


def _loaded_revision(urls: Iterable[str] | None) -> str | None:
    """The commit in the addresses of downloaded files: `hf://datasets/OWNER/NAME@COMMIT/FILE`."""
    commits = (re.match(r"hf://datasets/[^@]+@([0-9a-f]{40})/", url) for url in urls or ())
    return next((commit[1] for commit in commits if commit), None)


def read_file(path: Path) -> Iterator[tuple[int, Row]]:
    """The rows of a parquet or JSONL file, numbered from 1 (in JSONL: by line). DataError where it is neither."""
    try:
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
    except OSError as exc:
        raise DataError(f"cannot read {path}: {exc.strerror}; `path` has to name a parquet or JSONL file") from exc
    yield from enumerate(_parquet_rows(path), start=1) if is_parquet else _jsonl_rows(path)


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as exc:
        raise DataError(f"{path} is a damaged parquet file ({str(exc).splitlines()[0]}); fetch it again") from exc
    return rows


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # splitlines() also cuts at U+2028 inside a text
    except UnicodeDecodeError as exc:
        raise DataError(f"{path} is neither parquet nor JSONL; convert it to one of them") from exc
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as exc:
            raise DataError(
                f"{path}, row {number}: neither parquet nor JSONL: {exc.msg}; one JSON object a line"
            ) from exc
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: a JSON object is needed, not {type(row).__name__}")
        yield number, row


def read_questions(rows: Iterable[tuple[int, Row]]) -> list[Question]:
    """Questions of numbered rows, by id. DataError with the row's number where a row is bad or an id comes twice."""
    questions: dict[str, Question] = {}
    first_row: dict[str, int] = {}
    for number, row in rows:
        question = _question(number, row)
        if question.id in questions:
            raise DataError(
                f"row {number}: question_id {row['question_id']} was already used in row {first_row[question.id]}; "
                "ids have to be unique"
            )
        questions[question.id], first_row[question.id] = question, number
    return [questions[key] for key in sorted(questions)]


def _question(number: int, row: Row) -> Question:
    missing = [column for column in COLUMNS if row.get(column) is None]
    if missing:
        raise DataError(f"row {number}: missing column {missing[0]!r}; MMLU-Pro's columns are {', '.join(COLUMNS)}")
    options = _options(number, row["options"])
    right = _right_index(number, row, options)
    kept = [index for index, option in enumerate(options) if option != FILLER]
    if not 2 <= len(kept) <= len(LETTERS):
        raise DataError(f"row {number}: {len(kept)} options; 2 to {len(LETTERS)} are needed")
    return Question(
        id=f"mmlu_pro-{row['question_id']}",
        text=str(row["question"]),
        options=tuple(options[index] for index in kept),
        answer=kept.index(right),
        category=str(row["category"]),
        source="mmlu_pro",
    )


def _options(number: int, value: object) -> list[str]:
    if isinstance(value, str):  # some published files hold the list as its Python text
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError) as exc:
            raise DataError(f"row {number}: options are a text that is not a list: {str(value)[:40]!r}") from exc
    if not isinstance(value, list):
        raise DataError(f"row {number}: options have to be a list, not {type(value).__name__}")
    return [str(option) for option in value]


def _right_index(number: int, row: Row, options: list[str]) -> int:
    """The index of the right option. Where letter and index disagree the letter counts: MMLU-Pro's own scorer."""
    index = row["answer_index"]
    letter = LETTERS.find(str(row["answer"]).strip() or "?")
    for name, right in (("answer_index", index), ("answer", letter)):
        if not isinstance(right, int) or not 0 <= right < len(options):
            raise DataError(f"row {number}: no right option: {name} {row[name]!r} with {len(options)} options")
        if options[right] == FILLER:
            raise DataError(f"row {number}: no right option: {name} {row[name]!r} is the filler {FILLER!r}")
    return letter


def _selected(questions: list[Question], config: MmluProConfig) -> list[Question]:
    wanted = {*config.categories, *config.held_out_categories}
    known = {*CATEGORIES, *(question.category for question in questions)}
    for key in ("categories", "held_out_categories"):
        for name in getattr(config, key):
            if name not in known:
                raise ConfigError(f"questions.{key}: unknown category {name!r}; there are {', '.join(CATEGORIES)}")
    return [question for question in questions if not config.categories or question.category in wanted]


def _split(questions: list[Question], config: MmluProConfig, seed: int) -> tuple[list[Question], list[Question]]:
    by_category: dict[str, list[Question]] = {}
    for question in questions:
        by_category.setdefault(question.category, []).append(question)
    train: list[Question] = []
    test: list[Question] = []
    for category, members in by_category.items():
        if category in config.held_out_categories:
            test += [question.model_copy(update={"group": "held_out"}) for question in members]
            continue
        random.Random(f"{seed}/mmlu_pro/split/{category}").shuffle(members)
        border = round(len(members) * config.test_fraction)
        test += members[:border]
        train += members[border:]
    for name, part in (("train", train), ("test", test)):
        random.Random(f"{seed}/mmlu_pro/order/{name}").shuffle(part)
    return train, test
