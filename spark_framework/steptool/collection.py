"""Imports StepTool's files as the framework's own records, and exports them again.

FOLDER/trajectories.jsonl, .commits     as in a run; each imported file is a round, named after the file
FOLDER/NAME.queries.json                data of a file's queries that a trajectory cannot hold
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ..errors import DataError, RunError
from ..records import Record, Trajectory
from ..runs.run_dir import TRAJECTORIES, is_run
from ..runs.trajectories import TrajectoryStore
from ..training.data.ppo_csv import PpoExample, read_ppo_csv, write_ppo_csv
from .annotations import AnnotatedAnswer, annotated_answer, annotated_trajectory, trajectory_of
from .chat_styles import STYLES, VERBATIM, verbatim_example, verbatim_trajectory, written
from .predictions import Answer, Prediction, read_queries, trajectories_of, tree_of, write_queries


class QueryNotes(Record):
    """Data of a query in StepTool's files, apart from its trajectories."""

    tool_names: tuple[str, ...]
    """All functions that were offered, `Finish` included."""
    prediction: Prediction | None = None
    """The converted prediction without its tree; None where only annotations are known."""


class Collection:
    """Rounds of imported trajectories in a folder.

    Args:
        folder: need not exist. A run's folder is refused: its config defines its rounds.
    """

    def __init__(self, folder: Path) -> None:
        if is_run(folder):
            raise RunError(f"{folder} is the folder of a run; import into one of its own")
        self.folder = folder
        self.store = TrajectoryStore(folder / TRAJECTORIES)

    def rounds(self) -> list[str]:
        """In the order in which they were imported."""
        return list(dict.fromkeys(one.round for one in self.store.read()))

    def read(self, round_name: str | None = None) -> list[Trajectory]:
        """A round's trajectories; None takes the only round.

        Raises:
            DataError: there is no such round, or there are several and `round_name` is None.
        """
        known = self.rounds()
        if round_name is None and len(known) != 1:
            raise DataError(f"{self.folder} has the rounds {', '.join(known) or '(none)'}: name one with --round")
        if round_name not in (None, *known):
            raise DataError(f"{self.folder} has no round {round_name}; rounds: {', '.join(known) or 'none'}")
        return list(self.store.read(round_name))

    def notes(self, round_name: str) -> dict[str, QueryNotes]:
        """By the query's id; empty for a CSV."""
        path = self._notes_path(round_name)
        return read_queries(path, QueryNotes) if path.exists() else {}

    def add(self, round_name: str, trajectories: Sequence[Trajectory], notes: Mapping[str, QueryNotes]) -> None:
        """Store a round atomically.

        Raises:
            DataError: a round of that name exists.
        """
        if round_name in self.rounds():
            raise DataError(f"{self.folder} has a round {round_name} already; import into another folder")
        if notes:
            write_queries(self._notes_path(round_name), notes)
        self.store.append(round_name, trajectories, next_index=trajectories[-1].index + 1)

    def _notes_path(self, round_name: str) -> Path:
        return self.folder / f"{round_name}.queries.json"


# -- import --------------------------------------------------------------------------------------------------------


def import_files(files: Iterable[Path], folder: Path) -> dict[str, int]:
    """Read StepTool's files into a folder: its CSV, converted predictions, and annotations of the same queries.

    Annotations are joined with the predictions among the files; without any they are rounds of their own. All files are
    read before anything is written.

    Returns:
        The number of trajectories of each new round.

    Raises:
        DataError: a file is damaged, of an unknown kind, or annotations do not fit the predictions.
    """
    collection = Collection(folder)
    sorts = [(path, _sort_of(path)) for path in files]
    predictions = {path: read_queries(path, Prediction) for path, sort in sorts if sort == "predictions"}
    annotations = {path: read_queries(path, AnnotatedAnswer) for path, sort in sorts if sort == "annotations"}
    rounds: dict[str, tuple[list[Trajectory], dict[str, QueryNotes]]] = {}

    def add(path: Path, trajectories: list[Trajectory], notes: dict[str, QueryNotes]) -> None:
        if path.stem in rounds:
            raise DataError(f"two files are called {path.stem}; import them into folders of their own")
        rounds[path.stem] = trajectories, notes

    for path, sort in sorts:
        if sort == "csv":
            rows = enumerate(read_ppo_csv(path))
            add(path, [verbatim_trajectory(row, path.stem, index) for index, row in rows], {})
    for path, found in predictions.items():
        annotated = {query: answer for one in annotations.values() for query, answer in one.items() if query in found}
        add(path, *_predicted(path.stem, found, annotated))
    for path, answers in annotations.items():
        alone = {query: one for query, one in answers.items() if not any(query in p for p in predictions.values())}
        if alone and predictions:
            raise DataError(f"{path} annotates query {next(iter(alone))}, which is not among the predictions")
        if alone:
            made = [
                trajectory_of(query, one, round_name=path.stem, index=i) for i, (query, one) in enumerate(alone.items())
            ]
            add(path, made, {query: QueryNotes(tool_names=one.tool_names) for query, one in alone.items()})
    for name, (trajectories, notes) in rounds.items():
        collection.add(name, trajectories, notes)
    return {name: len(trajectories) for name, (trajectories, _) in rounds.items()}


def _sort_of(path: Path) -> str:
    """The kind of a StepTool file."""
    if path.suffix in (".csv", ".tsv"):
        return "csv"
    first = next(iter(read_queries(path, _AnyQuery).values()))
    if "available_tools" in (first.model_extra or {}):
        return "predictions"
    if "process_reward" in (first.model_extra or {}):
        return "annotations"
    raise DataError(f"{path} holds neither converted predictions (available_tools) nor annotations (process_reward)")


class _AnyQuery(Record, extra="allow"):
    """A query, to look at its keys only."""


def _predicted(
    round_name: str, predictions: Mapping[str, Prediction], annotations: Mapping[str, AnnotatedAnswer]
) -> tuple[list[Trajectory], dict[str, QueryNotes]]:
    trajectories, notes = [], {}
    for index, (query_id, one) in enumerate(predictions.items()):
        branches = trajectories_of(query_id, one, round_name=round_name, index=index)
        names = tuple(str(tool.get("function", {}).get("name")) for tool in one.available_tools)
        if query_id in annotations:
            branches = annotated_trajectory(query_id, branches, annotations[query_id])
            if annotations[query_id].tool_names != names:
                raise DataError(f"query {query_id}: the annotations name other tools than the prediction")
        trajectories += branches
        notes[query_id] = QueryNotes(tool_names=names, prediction=_with_tree(one, ()))
    return trajectories, notes


def _with_tree(prediction: Prediction, tree: tuple[Any, ...]) -> Prediction:
    answer: Answer = prediction.answer.model_copy(update={"answer_details": tree})
    return prediction.model_copy(update={"answer": answer})


# -- export --------------------------------------------------------------------------------------------------------


def export_csv(
    path: Path, trajectories: Sequence[Trajectory], notes: Mapping[str, QueryNotes], style: str, alpha: float = 1.0
) -> int:
    """Write trajectories as StepTool's CSV; returns the number of rows.

    Those that came from a CSV are written unchanged; of a query's branches only the annotated ones are written.

    Raises:
        DataError: trajectories have no annotations, or their tools are not known.
    """
    rows = [
        verbatim_example(one) if one.question.source == VERBATIM else _styled(one, notes, style, alpha)
        for one in annotated_only(trajectories)
    ]
    write_ppo_csv(path, rows)
    return len(rows)


def export_predictions(path: Path, trajectories: Sequence[Trajectory], notes: Mapping[str, QueryNotes]) -> int:
    """Write imported trajectories as converted predictions; returns the number of queries.

    Raises:
        DataError: they were not imported from predictions.
    """

    def tree(query_id: str, branches: list[Trajectory]) -> Prediction:
        found = notes.get(query_id)
        if found is None or found.prediction is None:
            raise DataError(
                f"query {query_id} was not imported from converted predictions: its functions are not known"
            )
        return _with_tree(found.prediction, tree_of(branches))

    return _export(path, trajectories, tree)


def export_annotations(path: Path, trajectories: Sequence[Trajectory], notes: Mapping[str, QueryNotes]) -> int:
    """Write annotations as StepTool does; returns the number of queries.

    Raises:
        DataError: there are none, or they are not integers from 0 to 5.
    """

    def answer(query_id: str, branches: list[Trajectory]) -> AnnotatedAnswer:
        if query_id not in notes:
            raise DataError(f"query {query_id} came from a CSV, which holds rewards but no annotations")
        return annotated_answer(branches[0], notes[query_id].tool_names)

    return _export(path, annotated_only(trajectories), answer)


def annotated_only(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """The annotated branches of each query; all branches of a query without annotations."""
    marked = {one.question.id for one in trajectories if one.steps[-1].marks}
    return [one for one in trajectories if one.steps[-1].marks or one.question.id not in marked]


def _export(path: Path, trajectories: Sequence[Trajectory], convert: Callable[[str, list[Trajectory]], Record]) -> int:
    by_query = {
        query_id: convert(query_id, list(branches))
        for query_id, branches in groupby(trajectories, key=lambda one: one.question.id)
    }
    write_queries(path, by_query)
    return len(by_query)


def _styled(trajectory: Trajectory, notes: Mapping[str, QueryNotes], style: str, alpha: float) -> PpoExample:
    if trajectory.question.id not in notes:
        raise DataError(f"query {trajectory.question.id}: the names of its tools are not known")
    return written(trajectory, notes[trajectory.question.id].tool_names, STYLES[style], alpha)
