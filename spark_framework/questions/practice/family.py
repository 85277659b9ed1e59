"""Question families: phrasings, and a function that draws parameters, answer and plan."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spark_framework.records import Question

from .calls import Plan
from .options import Amount, build_options

TEST_SHARE = 0.25
"""Share of a family's parameter space that belongs to the test split."""


@dataclass(frozen=True)
class Draft:
    """One draw of a family, not yet phrased."""

    slots: Mapping[str, object]
    """What the phrasings show. It is also the draw's identity: it alone decides between train and test."""
    answer: Amount | str
    plan: Plan
    wrong: Sequence[Amount | str] = ()
    """Likely mistakes of a numeric answer; the pool of wrong options of a textual one."""

    @property
    def is_for_test(self) -> bool:
        """Whether these parameters belong to the test split: always, whatever the seed, start or count."""
        return _share(repr(sorted(self.slots.items()))) < TEST_SHARE


@dataclass(frozen=True)
class Family:
    """A kind of question. `seen` phrasings are trained on; `new` ones are for testing only."""

    name: str
    category: str
    seen: tuple[str, ...]
    new: tuple[str, ...]
    draw: Callable[[random.Random], Draft]

    def question(self, draft: Draft, text: str, group: str) -> Question:
        """The finished question. Its options depend on its text alone, so that one id is always the same question."""
        options, answer = build_options(draft.answer, draft.wrong, random.Random(text))
        return Question(
            id=f"practice-{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}",
            text=text,
            options=options,
            answer=answer,
            category=self.category,
            source=f"practice/{self.name}",
            group=group,
            plan=draft.plan,
        )


def family(
    category: str, *, seen: Sequence[str], new: Sequence[str]
) -> Callable[[Callable[[random.Random], Draft]], Family]:
    """Make a family, named after it, of a function that draws its drafts."""

    def wrap(draw: Callable[[random.Random], Draft]) -> Family:
        return Family(draw.__name__, category, tuple(seen), tuple(new), draw)

    return wrap


def _share(text: str) -> float:
    """A number in [0, 1) that depends only on the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
