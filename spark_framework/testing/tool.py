"""What has to hold for a tool."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from pydantic import ValidationError

from ..contracts.components import Tool, ToolContext
from ..contracts.tool_arguments import MAX_SCHEMA
from ..errors import ToolError
from ..host.hooks import MAX_OUTPUT
from ..records import ANSWER, THINK
from .checks import require, short, static, within
from .component import ComponentContract
from .samples import hostile_values

MAX_DESCRIPTION = 500
"""Characters: a policy reads the descriptions of all its tools before every question."""
MAX_HOSTILE_OUTPUT = 100_000


class ToolContract(ComponentContract):
    """Inherit it, give the fixture `tool`, and the arguments of a call that succeeds:

    class TestPrimes(ToolContract):
        arguments = {"number": 360}

        @pytest.fixture
        def tool(self):
            return Primes()
    """

    kind = "tool"
    subject = "tool"
    arguments: ClassVar[Mapping[str, Any]] = {}
    """A call that succeeds. It may stay empty where no argument is required."""

    # -- name, description, schema -------------------------------------------------------------------------------------

    @static
    def test_the_description_is_one_short_text(self, spark_component: Tool) -> None:
        text = spark_component.description
        require(text.strip() and len(text) <= MAX_DESCRIPTION, f"description: write 1 to {MAX_DESCRIPTION} characters")
        require(text.isprintable(), "description: write one line without control characters")
        name = spark_component.name
        require(name not in (THINK, ANSWER), f"the name {name} belongs to the framework: choose another")

    @static
    def test_the_schema_says_what_a_call_may_hold(self, spark_component: Tool) -> None:
        schema = spark_component.Args.model_json_schema()
        text = json.dumps(schema, allow_nan=False)
        require(
            len(text) <= MAX_SCHEMA, f"the schema of Args has {len(text)} characters; at most {MAX_SCHEMA} are read"
        )
        require(
            schema.get("additionalProperties") is False,
            "Args takes unknown arguments: derive it from ToolArgs and leave `extra` alone",
        )
        for name, field in schema.get("properties", {}).items():
            kinds = list(_kinds(field))
            require(
                field.get("description") or all("enum" in kind or "const" in kind for kind in kinds),
                f"Args.{name}: say with Field(description=…) what it means, best with an example",
            )
            for kind in kinds:
                unbounded = {"string": "max_length", "array": "max_length"}.get(kind.get("type", ""))
                bounds = {"maxLength", "maxItems", "enum", "const", "format"}
                require(
                    unbounded is None or bounds & kind.keys(),
                    f"Args.{name}: bound it, and what is in it, with Field({unbounded}=…); a model may write 100,000 "
                    "characters",
                )

    @static
    def test_it_needs_known_permissions_only(self, spark_component: Tool) -> None:
        unknown = spark_component.needs - {"network", "filesystem"}
        require(not unknown, f"needs: there is no permission {', '.join(unknown)}; use network and filesystem")

    # -- valid calls ---------------------------------------------------------------------------------------------------

    def test_the_example_succeeds(self, tool: Tool) -> None:
        text = self._example(tool)
        require(text.strip(), "the example call answers with nothing: say what was found, or raise ToolError")
        require(
            len(text) <= MAX_OUTPUT,
            f"the example call answers with {len(text)} characters; a model reads {MAX_OUTPUT}: put what matters first "
            "and cut the rest",
        )
        require(_is_storable(text), "the answer holds half a surrogate pair, which cannot be stored")

    def test_an_answer_is_the_same_every_time(self, tool: Tool) -> None:
        first = self._example(tool)
        require(self._example(tool) == first, "the same call answers differently: draw from `context.seed` alone")
        with self._fresh(tool) as other:
            require(
                self._example(other) == first,
                "a new instance answers differently: let the answer depend on arguments, settings and `context` alone",
            )

    def test_the_question_at_hand_does_not_matter(self, tool: Tool) -> None:
        elsewhere = ToolContext(question_id="another", step=3)
        require(
            self._call(tool, self.arguments, elsewhere) == self._example(tool),
            "the answer depends on the question's id or the step: a stored reply would then be wrong elsewhere",
        )

    def test_a_call_changes_no_arguments(self, tool: Tool) -> None:
        args = tool.Args.model_validate(dict(self.arguments))
        before = copy.deepcopy(args)
        self._answer(tool, args, ToolContext())
        require(args == before, "call() changes its arguments: copy lists and mappings before you change them")

    def test_eight_threads_get_the_answers_of_one(self, tool: Tool) -> None:
        alone = self._example(tool)
        with ThreadPoolExecutor(8) as threads:
            together = set(threads.map(lambda _: self._example(tool), range(24)))
        others = sorted(together - {alone})
        require(not others, f"eight threads get other answers, {short(others)}: keep no state, or guard it with a lock")

    # -- invalid calls -------------------------------------------------------------------------------------------------

    def test_wrong_arguments_are_refused(self, tool: Tool) -> None:
        schema = tool.Args.model_json_schema()
        wrong = [{**self.arguments, "no_such_argument": 1}, *({} for _ in schema.get("required", ())[:1])]
        for arguments in wrong:
            try:
                tool.Args.model_validate(arguments)
            except ValidationError:
                continue
            raise AssertionError(f"Args takes {short(arguments)}: derive it from ToolArgs, without `extra`")

    def test_hostile_arguments_get_text_or_a_tool_error(self, tool: Tool) -> None:
        before = self._example(tool)
        for name in tool.Args.model_json_schema().get("properties", {}):
            for what, value in hostile_values():
                self._survives(tool, {**self.arguments, name: value}, f"{what} as {name}")
        for what, value in hostile_values():
            everywhere = dict.fromkeys(tool.Args.model_json_schema().get("properties", {}), value)
            self._survives(tool, everywhere, f"{what} in all arguments")
        require(self._example(tool) == before, "after hostile calls the example answers differently: keep no state")

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _example(self, tool: Tool) -> str:
        try:
            return self._call(tool, self.arguments, ToolContext())
        except (ValidationError, ToolError) as exc:
            raise AssertionError(
                f"`arguments` = {short(self.arguments)} is not a call that succeeds ({exc}): set "
                f"{type(self).__name__}.arguments to one that does"
            ) from exc

    def _call(self, tool: Tool, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return self._answer(tool, tool.Args.model_validate(dict(arguments)), context)

    def _answer(self, tool: Tool, args: Any, context: ToolContext) -> str:
        """The text of a call with checked arguments. Raises `ToolError`; anything else fails the test."""
        try:
            text: Any = within(self.time_limit, f"a call with {short(args)}", lambda: tool.call(args, context))
        except (ToolError, AssertionError, KeyboardInterrupt):
            raise
        except BaseException as exc:
            raise AssertionError(
                f"a call with {short(args)} raised {type(exc).__name__}: {short(exc)}; a call either answers or raises "
                "ToolError, whose text the model reads"
            ) from exc
        require(isinstance(text, str), f"a call with {short(args)} returned {type(text).__name__}: return text")
        return str(text)

    def _survives(self, tool: Tool, arguments: dict[str, Any], what: str) -> None:
        try:
            args = tool.Args.model_validate(arguments)
        except (ValidationError, RecursionError):  # refused: the model reads which argument is wrong
            return
        try:
            text = self._answer(tool, args, ToolContext())
        except ToolError as exc:
            text = str(exc)
            require(text.strip(), f"{what}: the ToolError has no text; say what to do instead")
        require(
            len(text) <= MAX_HOSTILE_OUTPUT,
            f"{what}: the answer has {len(text)} characters; stop early, a model reads {MAX_OUTPUT}",
        )


def _kinds(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The alternatives of a field, and what is inside of arrays."""
    for kind in field.get("anyOf", [field]):
        yield kind
        if isinstance(kind.get("items"), dict):
            yield from _kinds(kind["items"])


def _is_storable(text: str) -> bool:
    return text.encode("utf-8", "replace").decode() == text
