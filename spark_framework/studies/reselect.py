"""Selects again from stored scores: nothing is generated and no judge is called."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..config.load import build_config
from ..config.run import RunConfig
from ..contracts.components import Selector
from ..errors import RunError
from ..host.lifecycle import open_component
from ..runs.decisions import JudgedDecision, judged_decisions
from ..runs.run_dir import RunFolder, existing_run
from ..runs.verdicts import VerdictFile
from ..stats.bootstrap import bootstrap_mean, bootstrap_sums
from ..stats.entropy import entropy
from ..stats.intervals import EstimateWithInterval
from ..stats.tables import Cell, Table
from ..util.files import write_atomic
from .replayed_selection import Choices, Scores, SelectionRule, flipped, with_frozen_counters, with_own_counters

SelectorLike: TypeAlias = str | Mapping[str, Any] | Selector | type[Selector]
"""A selector's name, a mapping with `use` and its settings, an instance, or a class."""
NOTE = (
    "frozen: each state by itself, with the usage counters that the run had there. replayed: with counters of its own, "
    "in the order of the rollouts. The states are those of the run; what would follow another choice is not known. In "
    "brackets: 95 % intervals over questions."
)


@dataclass(frozen=True)
class Reselected:
    """The choices of another selection."""

    file: Path
    """One line a state: what was chosen before and now, and which candidates were viable."""
    flips: dict[str, EstimateWithInterval]
    """Share of states with another choice, for `frozen` and `replayed` counters."""
    tables: tuple[Table, ...]

    def __str__(self) -> str:
        return "\n\n".join([table.markdown() for table in self.tables] + [f"choices: {self.file}"])


def reselect(
    run: str | Path, selector: SelectorLike | None = None, threshold: float | None = None, *, judge: str | None = None,
    name: str | None = None, overrides: Iterable[str] = (),
) -> Reselected:  # fmt: skip
    """Let another selector choose from a run's stored scores. The run's own selector gives the run's choices.

    Args:
        selector: its name, a mapping with `use` and its settings, a class or an instance; None is the run's.
        threshold: in [0, 10]; None is the run's.
        judge: whose scores, by the file's name in `RUN/rejudged`; None takes the run's own.
        name: of the file `RUN/reselected/NAME.jsonl`, which is written anew; None: derived from the settings.
        overrides: `selector.KEY=VALUE` each.

    Raises:
        UserError: the selector is unknown, the threshold out of range, the judge's file is missing or empty.
    """
    folder = existing_run(Path(run))
    rule_config = _rule_config(folder, selector, threshold, overrides)
    states = judged_decisions(folder)
    scores = stored_scores(folder, states, judge)
    with open_component(rule_config.selector) as component:
        assert isinstance(component, Selector)  # the config has checked the kind
        rule = SelectionRule(component, rule_config.threshold, folder.config)
        frozen, replayed = (choose(rule, states, scores) for choose in (with_frozen_counters, with_own_counters))
    parts = (rule_config.selector.name, f"{rule_config.threshold:g}", judge)
    path = folder.reselected(name or "-".join(filter(None, parts)))
    write_atomic(path, "".join(_lines(states, scores, frozen, replayed, rule.threshold)))
    before = [state.chosen for state in states]
    choices = {"frozen": frozen, "replayed": replayed}
    flips = {counters: _flips(states, before, now) for counters, now in choices.items()}
    return Reselected(path, flips, (_table(states, scores, before, choices, rule), _mix(states, before, choices)))


def _rule_config(
    folder: RunFolder, selector: SelectorLike | None, threshold: float | None, overrides: Iterable[str]
) -> RunConfig:
    data = folder.config.model_dump(mode="json")
    changes = {"selector": selector, "threshold": threshold}
    data |= {key: value for key, value in changes.items() if value is not None}
    return build_config(data, RunConfig, overrides, "reselect")


def stored_scores(folder: RunFolder, states: Sequence[JudgedDecision], judge: str | None) -> Scores:
    """The run's own scores, or those of `RUN/rejudged/JUDGE.jsonl`. Raises `RunError` where there are none."""
    if judge is None:
        return [state.verdict.scores for state in states]
    path = folder.rejudged(judge)
    verdicts = VerdictFile(path).read()
    if not any(state.digest in verdicts for state in states):
        there = sorted(file.stem for file in path.parent.glob("*.jsonl"))
        raise RunError(
            f"{path} has no verdict on this run; make some with `spark-framework rejudge {folder.path} --judge JUDGE`, "
            f"or name one of these: {', '.join(there) or 'none'}"
        )
    return [verdicts[state.digest].scores if state.digest in verdicts else None for state in states]


def _lines(
    states: Sequence[JudgedDecision], scores: Scores, frozen: Choices, replayed: Choices, threshold: float
) -> Iterable[str]:
    for state, given, now, again in zip(states, scores, frozen, replayed, strict=True):
        actions = [candidate.action for candidate in state.step.candidates]
        chosen = {"before": state.chosen, "now": now, "replayed": again}
        viable = None if given is None else [k for k, score in enumerate(given) if score > threshold]
        line = {
            "trajectory": state.trajectories[0], "step": state.number, "question_id": state.question.id,
            **{f"chosen_{when}": k for when, k in chosen.items()},
            **{f"action_{when}": None if k is None else actions[k] for when, k in chosen.items()},
            "viable": viable, "none_viable": None if viable is None else not viable,
        }  # fmt: skip
        yield json.dumps(line, ensure_ascii=False) + "\n"


# -- tables ---------------------------------------------------------------------------------------------------------


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)  # one seed: all figures use the same resamples


def _flips(states: Sequence[JudgedDecision], before: Choices, now: Choices) -> EstimateWithInterval:
    return bootstrap_mean(flipped(before, now), [state.cluster for state in states], rng=_rng()).at()


def _table(
    states: Sequence[JudgedDecision], scores: Scores, before: Choices, choices: dict[str, Choices], rule: SelectionRule
) -> Table:
    clusters = [state.cluster for state in states]
    threshold = rule.config.threshold

    def none_viable(given: Scores, limit: float) -> EstimateWithInterval:
        empty = [float("nan") if row is None else float(max(row) <= limit) for row in given]
        return bootstrap_mean(empty, clusters, rng=_rng()).at()

    stored = none_viable([state.verdict.scores for state in states], threshold)
    rows: list[tuple[Cell, ...]] = [("before", len(states), None, stored, _mix_entropy(states, before))]
    for counters, now in choices.items():
        judged = sum(choice is not None for choice in now)
        new = none_viable(scores, rule.threshold)
        rows.append((counters, judged, _flips(states, before, now), new, _mix_entropy(states, now)))
    heads = ("counters", "states", "other choice", "none viable", "entropy of the mix (bits)")
    title = f"Selection by {rule.selector.name} above {rule.threshold:g}"
    return Table("selection", title, heads, tuple(rows), NOTE)


def _mix(states: Sequence[JudgedDecision], before: Choices, choices: dict[str, Choices]) -> Table:
    columns = {"before": before, **choices}
    actions = _actions(states)
    shares = {when: _counts(states, chosen, actions).sum(axis=0) for when, chosen in columns.items()}
    rows: list[tuple[Cell, ...]] = [
        (action, *(float(counts[a] / max(counts.sum(), 1)) for counts in shares.values()))
        for a, action in enumerate(actions)
    ]
    return Table("mix", "Share of each action among the choices", ("action", *columns), tuple(rows))


def _mix_entropy(states: Sequence[JudgedDecision], chosen: Choices) -> EstimateWithInterval:
    clusters = [state.cluster for state in states]
    return bootstrap_sums(_counts(states, chosen, _actions(states)), clusters, entropy, rng=_rng()).at()


def _actions(states: Sequence[JudgedDecision]) -> list[str]:
    return list(dict.fromkeys(candidate.action for state in states for candidate in state.step.candidates))


def _counts(
    states: Sequence[JudgedDecision], chosen: Choices, actions: Sequence[str]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One row a state, with a 1 under the chosen action; all 0 without a choice."""
    column = {action: a for a, action in enumerate(actions)}
    rows = np.zeros((len(states), len(actions)))
    for i, (state, k) in enumerate(zip(states, chosen, strict=True)):
        if k is not None:
            rows[i, column[state.step.candidates[k].action]] = 1
    return rows
