"""StepTool's JSON files, one object a query, and the converted predictions in them: ToolBench's answer trees."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError, model_validator

from ..errors import DataError
from ..records import ANSWER, THINK, Candidate, Question, Record, Step, Trajectory
from ..util.files import write_atomic

Model = TypeVar("Model", bound=BaseModel)
FINISH = "Finish"
"""The function that ends an answer."""
SOURCE = "toolbench"


def json_of(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: the file cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise DataError(f"{path} cannot be read: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise DataError(f"{path} is not JSON: {exc}") from exc


def read_queries(path: Path, model: type[Model]) -> dict[str, Model]:
    """A file's objects by the query's id, read as `Prediction` or `AnnotatedAnswer`.

    Raises:
        DataError: the file cannot be read, or a query has the wrong form; the message names the query.
    """
    queries = json_of(path)
    if not isinstance(queries, dict) or not queries:
        raise DataError(f"{path} is not a JSON object with an entry for each query")
    found = {}
    for query_id, value in queries.items():
        try:
            found[query_id] = model.model_validate_json(json.dumps(value))
        except ValidationError as exc:
            first = exc.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"{path}, query {query_id}: {where + ': ' if where else ''}{first['msg']}") from None
    return found


def write_queries(path: Path, queries: Mapping[str, BaseModel]) -> None:
    """Write what `read_queries` reads."""
    plain = {query_id: one.model_dump(mode="json") for query_id, one in queries.items()}
    write_atomic(path, json.dumps(plain, indent=4, ensure_ascii=False) + "\n")


class ToolMessage(Record):
    """One call with its response. Arguments and response are text, as sent."""

    name: str
    arguments: str
    response: str


class Node(Record):
    """A turn, and the turns that follow it. Several of them are branches of the search."""

    role: Literal["system", "user", "assistant", "tool"]
    message: str | ToolMessage
    next: tuple[Node, ...]

    @model_validator(mode="after")
    def _fits(self) -> Node:
        if (self.role == "tool") != isinstance(self.message, ToolMessage):
            raise ValueError(f"the message of a node with role {self.role} has the wrong form")
        return self


class Answer(Record):
    """How a query was answered."""

    method: str
    total_steps: int
    final_answer: str
    answer_details: tuple[Node, ...]


class Prediction(Record):
    """One query with the functions that were offered, and the tree of turns that a model wrote."""

    query: str
    available_tools: tuple[dict[str, Any], ...]
    """OpenAI function schemas, unchanged."""
    answer: Answer


def trajectories_of(
    query_id: str, prediction: Prediction, *, round_name: str = SOURCE, index: int = 0
) -> list[Trajectory]:
    """One trajectory for each path through the tree, as branches of one question; `tree_of` gives the tree back.

    `Finish` becomes the closing answer, an assistant's text a thought. The question is open: it has no options.

    Raises:
        DataError: the tree holds what a trajectory does not: words of the system or the user, a tool named like an
            action of the framework.
    """
    question = open_question(query_id, prediction.query)
    paths = [path for root in prediction.answer.answer_details for path in _paths(root)]
    if not paths or min(map(len, paths)) < 3:
        raise DataError(f"query {query_id}: a path through its tree has neither call nor answer; remove the query")
    trajectories = [
        Trajectory(
            id=f"{round_name}/{index}/{branch}", round=round_name, index=index, branch=branch, question=question,
            steps=_steps(query_id, path), answer=None, correct=False,
        )
        for branch, path in enumerate(paths)
    ]  # fmt: skip
    if tree_of(trajectories) != prediction.answer.answer_details:
        raise DataError(f"query {query_id}: two branches of its tree begin with the same turn; merge them first")
    return trajectories


def open_question(query_id: str, query: str) -> Question:
    """A query as a question: it has no options and no stored answer."""
    return Question(id=query_id, text=query, options=(), answer=None, category=SOURCE, source=SOURCE)


def tree_of(trajectories: Sequence[Trajectory]) -> tuple[Node, ...]:
    """The tree of turns of one query's trajectories: common beginnings are shared."""
    return _merged([[_silent_turn("system"), _silent_turn("user"), *map(_turn, one.steps)] for one in trajectories])


def call_succeeded(response: str) -> bool:
    """Reads ToolBench's own form, `{"error": "", "response": …}`. Text in another form is a success."""
    try:
        value = json.loads(response)
    except (ValueError, RecursionError):  # responses may be cut in the middle of JSON
        return not response.startswith('{"error": "') or response.startswith('{"error": ""')
    return not (isinstance(value, dict) and value.get("error"))


_Turn = tuple[str, str | ToolMessage]


def _paths(node: Node) -> Iterator[list[Node]]:
    if not node.next:
        yield [node]
    for follower in node.next:
        for rest in _paths(follower):
            yield [node, *rest]


def _steps(query_id: str, path: Sequence[Node]) -> tuple[Step, ...]:
    if [node.role for node in path[:2]] != ["system", "user"] or any(node.message for node in path[:2]):
        raise DataError(f"query {query_id}: its tree does not begin with an empty system and an empty user message")
    return tuple(Step(candidates=(_candidate(query_id, node),)) for node in path[2:])


def _candidate(query_id: str, node: Node) -> Candidate:
    message = node.message
    if isinstance(message, ToolMessage):
        return called(query_id, message)
    if node.role != "assistant":
        raise DataError(f"query {query_id}: {node.role} has a message in the middle of the tree")
    return Candidate(action=THINK, arguments={"thought": message}, text=message, ok=True)


def called(query_id: str, message: ToolMessage) -> Candidate:
    """A call with its response; `Finish` is the closing answer. `message_of` gives the message back.

    Raises:
        DataError: the function has the name of an action of the framework.
    """
    if message.name in (THINK, ANSWER):
        raise DataError(f"query {query_id}: the name {message.name} is reserved by the framework; rename the tool")
    arguments, error = read_arguments(message.arguments)
    finish = message.name == FINISH
    return Candidate(
        action=ANSWER if finish else message.name, arguments=arguments, error=error, text=message.arguments,
        observation=message.response, ok=None if finish else call_succeeded(message.response),
    )  # fmt: skip


def read_arguments(text: str) -> tuple[dict[str, Any] | None, str | None]:
    """A call's arguments, or None and the reason."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return (value, None) if isinstance(value, dict) else (None, "error: the arguments are not a JSON object")


def message_of(step: Step) -> ToolMessage:
    """The call of a step in ToolBench's form."""
    candidate = step.candidate
    name = FINISH if step.is_answer else candidate.action
    return ToolMessage(name=name, arguments=candidate.text, response=candidate.observation or "")


def _turn(step: Step) -> _Turn:
    return ("assistant", step.candidate.text) if step.candidate.action == THINK else ("tool", message_of(step))


def _silent_turn(role: str) -> _Turn:
    return role, ""


def _merged(paths: Sequence[Sequence[_Turn]]) -> tuple[Node, ...]:
    """The nodes that begin the paths. Neighbours with the same beginning share it."""
    groups: list[tuple[_Turn, list[Sequence[_Turn]]]] = []
    for path in paths:
        if path:
            if not groups or groups[-1][0] != path[0]:
                groups.append((path[0], []))
            groups[-1][1].append(path[1:])
    return tuple(
        Node.model_validate({"role": turn[0], "message": turn[1], "next": _merged(rest)}) for turn, rest in groups
    )
