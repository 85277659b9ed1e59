"""ToolContract: a good tool passes; every bad one is found by the check that is there for it."""

from __future__ import annotations

import itertools
import sys
import time
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolContext, ToolError
from spark_framework.testing import ComponentContract, ToolContract
from tests.testing.failing import Faults, assert_found, checks_of, failures

FAULTS = Faults()
calls = itertools.count()


class Repeat(Tool):
    """Repeats a word."""

    name = "repeat"
    description = "Repeats a word."

    class Config(ComponentConfig):
        times: int = Field(default=2, ge=1)
        """How often."""

    class Args(ToolArgs):
        word: str = Field(max_length=1_000, description="for example hello")
        marks: list[Literal["!", "?"]] = Field(default_factory=list, max_length=3, description="what comes after it")
        case: Literal["lower", "upper"] = "lower"

    def call(self, args: Args, context: ToolContext) -> str:
        if not args.word.strip() or not args.word.isprintable():
            raise ToolError("there is no word to repeat; give one")
        return " ".join([args.word.lower()] * self.config.times)[:2_000]


class RepeatContract(ToolContract):
    arguments = {"word": "hello", "marks": ["!"]}  # noqa: RUF012 (as authors write it)
    time_limit = 0.5


# -- what the model reads ------------------------------------------------------------------------------------------


@FAULTS.found_by("the_description_is_one_short_text", says="write 1 to 500 characters")
class Mute(Repeat):
    """Repeats a word."""

    description = " "


@FAULTS.found_by("the_description_is_one_short_text", says="write 1 to 500 characters")
class Chatty(Repeat):
    """Repeats a word."""

    description = "Repeats a word. " * 50


@FAULTS.found_by("the_description_is_one_short_text", says="one line")
class Lined(Repeat):
    """Repeats a word."""

    description = "Repeats\na word."


@FAULTS.found_by("the_description_is_one_short_text", says="the name think belongs to the framework")
class Think(Repeat):
    """Repeats a word."""

    name = "think"


@FAULTS.found_by("the_schema_says_what_a_call_may_hold", says="Args.word: say with Field(description=…)")
class Undescribed(Repeat):
    """Repeats a word."""

    class Args(Repeat.Args):
        word: str = Field(max_length=1_000)


@FAULTS.found_by("the_schema_says_what_a_call_may_hold", says="Args.word: bound it, and what is in it, with")
class Unbounded(Repeat):
    """Repeats a word."""

    class Args(Repeat.Args):
        word: str = Field(description="for example hello")


@FAULTS.found_by("the_schema_says_what_a_call_may_hold", says="Args.more: bound it, and what is in it, with")
class UnboundedInside(Repeat):
    """Repeats a word."""

    class Args(Repeat.Args):
        more: list[str | None] | None = Field(default=None, description="more words")


@FAULTS.found_by("the_schema_says_what_a_call_may_hold", says="at most 20000 are read")
class Endless(Repeat):
    """Repeats a word."""

    class Args(Repeat.Args):
        word: str = Field(max_length=1_000, description="for example hello" * 2_000)


@FAULTS.found_by("it_needs_known_permissions_only", says="there is no permission internet")
class NeedsTheInternet(Repeat):
    """Repeats a word."""

    needs = frozenset({"internet"})


# -- a good call ---------------------------------------------------------------------------------------------------


@FAULTS.found_by("the_example_succeeds", says="answers with nothing")
class Silent(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        return " "


@FAULTS.found_by("the_example_succeeds", says="answers with 3000 characters")
class Wordy(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        return "x" * 3_000


@FAULTS.found_by("the_example_succeeds", says="half a surrogate pair")
class Halved(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        return "\ud800"


@FAULTS.found_by("an_answer_is_the_same_every_time", says="a new instance answers differently")
class KnowsItself(Repeat):
    """Repeats a word."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self.number = next(calls)

    def call(self, args: Any, context: ToolContext) -> str:
        return f"{self.number} {super().call(args, context)}"


@FAULTS.found_by("the_question_at_hand_does_not_matter", says="depends on the question's id or the step")
class KnowsTheQuestion(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        return super().call(args, context) + context.question_id


@FAULTS.found_by("a_call_changes_no_arguments", says="changes its arguments")
class Empties(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        args.marks.clear()
        return super().call(args, context)


@FAULTS.found_by("eight_threads_get_the_answers_of_one", says="keep no state, or guard it with a lock")
class Shared(Repeat):
    """Repeats a word."""

    busy = 0

    def call(self, args: Any, context: ToolContext) -> str:
        self.busy += 1
        time.sleep(0.002)
        together, self.busy = self.busy, 0
        return f"{together} {super().call(args, context)}"


# -- a bad one -----------------------------------------------------------------------------------------------------


@FAULTS.found_by("wrong_arguments_are_refused", says="derive it from ToolArgs")
class Lenient(Repeat):
    """Repeats a word."""

    class Args(Repeat.Args):
        word: str = Field(default="hello", max_length=1_000, description="for example hello")

        @classmethod
        def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
            return {**Repeat.Args.model_json_schema(), "required": ["word"]}


@FAULTS.found_by("the_schema_says_what_a_call_may_hold", "wrong_arguments_are_refused", says="leave `extra` alone")
class TakesAnything(Repeat):
    """Repeats a word."""

    class Args(BaseModel):
        word: str = Field(max_length=1_000, description="for example hello")


@FAULTS.found_by("hostile_arguments_get_text_or_a_tool_error", says="raised IndexError")
class Fragile(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        if not args.word.strip():
            raise IndexError("there is no list to take")
        return super().call(args, context)


@FAULTS.found_by("hostile_arguments_get_text_or_a_tool_error", says="SystemExit")
class Quits(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        if not args.word.isascii():
            sys.exit("only ASCII")
        return super().call(args, context)


@FAULTS.found_by("hostile_arguments_get_text_or_a_tool_error", says="returned NoneType: return text")
class Shrugs(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        return super().call(args, context) if args.word.strip() else None


@FAULTS.found_by("hostile_arguments_get_text_or_a_tool_error", says="the ToolError has no text")
class Sulks(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        if not args.word.strip():
            raise ToolError("")
        return super().call(args, context)


@FAULTS.found_by("hostile_arguments_get_text_or_a_tool_error", says="took more than 0.5 s")
class Hangs(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        if not args.word.isprintable():
            time.sleep(3)
        return super().call(args, context)


@FAULTS.found_by("hostile_arguments_get_text_or_a_tool_error", says="the answer has 500000 characters; stop early")
class Floods(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        return super().call(args, context) if args.word.isascii() else "x" * 500_000


@FAULTS.found_by("hostile_arguments_get_text_or_a_tool_error", says="after hostile calls the example answers differen")
class Remembers(Repeat):
    """Repeats a word."""

    def call(self, args: Any, context: ToolContext) -> str:
        answer = super().call(args, context)
        self.__dict__.setdefault("first", args.word)
        if not args.word.isascii():
            self.__dict__["seen"] = True
        return answer + " again" * self.__dict__.get("seen", 0)


# -- tests ---------------------------------------------------------------------------------------------------------


class TestRepeat(RepeatContract):
    has_entry_point = False

    @pytest.fixture
    def tool(self) -> Tool:
        return Repeat()


@FAULTS.each()
def test_a_bad_tool_is_found(fault):
    assert_found(fault, RepeatContract)


def test_every_check_of_tools_has_found_a_fault():
    assert FAULTS.checks() == set(checks_of(ToolContract)) - set(checks_of(ComponentContract))


def test_a_tool_that_draws_without_a_seed_is_found():
    class Draws(Repeat):
        def call(self, args: Any, context: ToolContext) -> str:
            return f"{super().call(args, context)} {next(calls)}"

    Draws.__qualname__, Draws.__doc__ = "Repeat", "Repeats."
    assert "the same call answers differently" in failures(RepeatContract, Draws())["an_answer_is_the_same_every_time"]


def test_an_example_that_fails_is_reported_to_the_author():
    found = failures(RepeatContract, Repeat(), arguments={"word": " "})
    assert "is not a call that succeeds (there is no word to repeat; give one): set" in found["the_example_succeeds"]
