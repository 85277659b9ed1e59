"""The practice question set: families in turn, without repetition, split by their parameters."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Literal

from pydantic import BaseModel, ConfigDict

from spark_framework.errors import ConfigError
from spark_framework.questions.slices import take
from spark_framework.records import Question

from .families import FAMILIES
from .family import Family

PATIENCE = 400
"""After this many draws without a new question, a family is exhausted."""
DEFAULT_TEST_COUNT = 400
SAMPLE = 1000
"""Training questions in the fingerprint: about twenty of every family."""


class PracticeConfig(BaseModel):
    """Settings of the practice question set."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    use: Literal["practice"] = "practice"
    families: tuple[str, ...] = ()
    """Only these families; empty: all."""


class PracticeQuestions:
    """Generated questions for tools. Seen phrasings in training; half seen, half new ones in testing."""

    name = "practice"
    revision: str | None = None

    def __init__(self, config: PracticeConfig, seed: int) -> None:
        """ConfigError for an unknown family."""
        by_name = {family.name: family for family in FAMILIES}
        unknown = [name for name in config.families if name not in by_name]
        if unknown:
            raise ConfigError(f"questions.families: unknown family {unknown[0]!r}; there are {', '.join(by_name)}")
        families = [by_name[name] for name in dict.fromkeys(config.families)] or list(FAMILIES)
        self._train = _Memo(stream(families, seed, for_test=False, group="seen"))
        groups = (stream(families, seed, for_test=True, group=group) for group in ("seen", "new"))
        self._test = _Memo(chain.from_iterable(zip(*groups, strict=False)))

    def train(self, start: int, count: int) -> list[Question]:
        """A slice of the endless training questions; DataError where the chosen families run out."""
        return take(self._train.first(start + count), start, count, "training split of practice")

    def test(self, count: int | None) -> list[Question]:
        """The first `count` (None: 400) test questions, groups `seen` and `new` in turn; DataError if they run out."""
        count = DEFAULT_TEST_COUNT if count is None else count
        return take(self._test.first(count), 0, count, "test split of practice")

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with the questions: of the first thousand for training and 400 for testing."""
        digest = hashlib.sha256()
        for question in self._train.first(SAMPLE) + self._test.first(DEFAULT_TEST_COUNT):
            digest.update(question.model_dump_json().encode())
        return digest.hexdigest()[:16]


class _Memo:
    """An iterator that keeps the questions it has produced."""

    def __init__(self, questions: Iterator[Question]) -> None:
        self._rest = questions
        self._done: list[Question] = []

    def first(self, count: int) -> list[Question]:
        """The first `count` questions, or all where there are fewer."""
        self._done += islice(self._rest, max(0, count - len(self._done)))
        return self._done[:count]


def stream(families: Sequence[Family], seed: int, *, for_test: bool, group: str) -> Iterator[Question]:
    """Questions of one split in one group of phrasings (`seen` or `new`), until every family has run out.

    In each cycle every family that has not run out comes once, in an order drawn by the seed. No text comes twice.
    """
    place = f"{seed}/practice/{'test' if for_test else 'train'}/{group}"
    order = random.Random(place)
    sources = [
        _family_questions(family, random.Random(f"{place}/{family.name}"), for_test, group) for family in families
    ]
    while sources:
        order.shuffle(sources)
        for source in list(sources):
            question = next(source, None)
            if question is None:
                sources.remove(source)
            else:
                yield question


def _family_questions(family: Family, rng: random.Random, for_test: bool, group: str) -> Iterator[Question]:
    phrasings = family.seen if group == "seen" else family.new
    texts: set[str] = set()
    misses = 0
    while misses < PATIENCE:
        draft = family.draw(rng)
        text = rng.choice(phrasings).format_map(draft.slots)
        if draft.is_for_test != for_test or text in texts:
            misses += 1
            continue
        misses = 0
        texts.add(text)
        yield family.question(draft, text, group)
