"""The judge-sensitivity study: several judges score one run's states; what would another judge change?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict

from ...config.files import read_mapping
from ...config.load import check_config
from ...config.run import RunConfig
from ...contracts.components import Judge, Selector
from ...errors import ConfigError
from ...host.component_spec import ComponentSpec, JudgeSpec
from ...host.lifecycle import open_component
from ...judging.cost import Forecast
from ...pipeline.context import JudgeLike, reward_terms
from ...records import Trajectory, Verdict
from ...runs.decisions import JudgedDecision, judged_decisions, stratified
from ...runs.run_dir import RunFolder, existing_run
from ...runs.session import observed
from ...runs.verdicts import VerdictFile
from ...stats.arrays import Floats
from ...stats.tables import Table
from ...training.data.rewards import step_rewards
from ...util.files import write_atomic
from ...util.seeding import child_rng
from ..rejudge import as_judge, forecast_states, rejudge_states, request_keys, verdict_path
from ..replayed_selection import SelectionRule, flipped, with_frozen_counters, with_own_counters
from .comparison import JudgeRecord, JudgingPass
from .data import StudyData, rho_of
from .plots import draw
from .summary import summary
from .tables import study_tables

Judges: TypeAlias = Iterable[str | Judge | type[Judge]] | Mapping[str, JudgeLike] | Path
"""Judges by their own names, by labels, or in a YAML file with labels."""
STORED = "stored"
"""Label of the run's own verdicts, where none of the judges is the run's own."""

ORDERS = 10
"""Orders of the questions in which a selection is replayed, to tell what a judge changes from what chance does."""


@dataclass(frozen=True)
class JudgeStudy:
    """What a study found."""

    folder: Path
    """`RUN/studies/judges`: every table as CSV and Markdown, the plots, and `summary.md`."""
    tables: dict[str, Table]
    summary: str
    """Markdown."""
    plots: tuple[Path, ...]


def study_judges(
    run: str | Path, judges: Judges, *, repeats: int = 2, questions: int | None = None, resamples: int = 2000,
    report: Callable[[str], None] = print,
) -> JudgeStudy:  # fmt: skip
    """Let several judges score the states of a run, and compare them with each other and with the run's verdicts.

    Verdicts are stored in `RUN/rejudged`: repeating the study makes no new requests, and an interrupted study resumes.

    Args:
        judges: names, classes or instances; or a mapping of labels to judges (one of these, or `use` with settings); or
            a YAML file that holds such a mapping.
        repeats: how often each judge is asked, each time in another order. With one repeat, its noise is unknown.
        questions: how many, drawn evenly from all categories; None takes all.
        resamples: of the bootstrap over questions.
        report: gets a line for each judge that was asked, and finally the summary.

    Raises:
        UserError: a judge is unknown or cannot judge these states; the run has none.
    """
    folder = existing_run(Path(run))
    chosen = _chosen(judges)
    _check(repeats, questions)
    with folder.locked(), observed(folder):
        data = _study_data(folder, chosen, repeats, questions, resamples, report)
    tables = study_tables(data)
    text = summary(data, tables)
    target = folder.study("judges")
    for name, table in tables.items():
        write_atomic(target / f"{name}.csv", table.csv())
        write_atomic(target / f"{name}.md", table.markdown() + "\n")
    plots = draw(tables, target)
    write_atomic(target / "summary.md", text + "\n")
    report(text)
    if not plots:
        report("no plots: they need matplotlib; get it with `pip install spark-framework[plots]`")
    return JudgeStudy(target, tables, text, plots)


@dataclass(frozen=True)
class StudyForecast:
    """The cost of each judge, and the total."""

    parts: dict[str, Forecast]
    """By label and repeat."""

    @property
    def usd(self) -> float | None:
        """US dollars, at most: replies that two judges share count for both. None where a price is not known."""
        costs = [estimate.usd for forecast in self.parts.values() for estimate in forecast.estimates]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def __str__(self) -> str:
        lines = [f"{label}: {line}" for label, forecast in self.parts.items() for line in forecast.lines]
        calls = sum(estimate.calls for forecast in self.parts.values() for estimate in forecast.estimates)
        price = "price not known" if self.usd is None else f"${self.usd:,.2f}"
        notes = dict.fromkeys(forecast.assumed for forecast in self.parts.values())
        return "\n".join([*lines, f"at most: {calls:,} calls, {price}", *notes])


def estimate_study(run: str | Path, judges: Judges, *, repeats: int = 2, questions: int | None = None) -> StudyForecast:
    """What the same call of `study_judges` would cost. Sends no request and writes nothing."""
    folder = existing_run(Path(run))
    _check(repeats, questions)
    states = stratified(judged_decisions(folder), questions, folder.config.seed)
    return StudyForecast(
        {
            label if repeat == 0 else f"{label}, repeat {repeat}": forecast_states(
                folder, states, choice, folder.config.judging, name=label, repeat=repeat
            )
            for label, choice in _chosen(judges).items()
            for repeat in range(_is_own(choice, folder.config), repeats)
        }
    )


class _Labelled(BaseModel):
    """Labels and judges."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)
    __pydantic_extra__: dict[str, JudgeSpec]


def _chosen(judges: Judges) -> dict[str, ComponentSpec]:
    if isinstance(judges, Path):
        found = check_config(read_mapping(judges), _Labelled, str(judges))
    elif isinstance(judges, Mapping):
        found = check_config(judges, _Labelled, "judges")
    else:
        given = list(judges)
        labelled = {re.split("[/:]", one)[-1] if isinstance(one, str) else one.name: one for one in given}
        if len(labelled) < len(given):
            raise ConfigError("judges: two have one name; tell them apart by labels, in a mapping or a YAML file")
        found = check_config(labelled, _Labelled, "judges")
    chosen = found.__pydantic_extra__
    if not chosen:
        raise ConfigError("judges: name at least one")
    if STORED in chosen:
        raise ConfigError(f"judges: the label {STORED} is taken by the run's own verdicts; choose another")
    return chosen


def _check(repeats: int, questions: int | None) -> None:
    for name, number in (("repeats", repeats), ("questions", questions)):
        if number is not None and number < 1:
            raise ConfigError(f"{name}: {number} must be at least 1")


def _is_own(choice: ComponentSpec, config: RunConfig) -> bool:
    """Whether a judge is the run's own: its first verdicts are stored in the trajectories."""
    return choice == config.judge


# -- the judges' verdicts --------------------------------------------------------------------------------------------


def _study_data(
    folder: RunFolder,
    chosen: dict[str, ComponentSpec],
    repeats: int,
    questions: int | None,
    resamples: int,
    report: Callable[[str], None],
) -> StudyData:
    config = folder.config
    stored = list(folder.trajectories().read())
    states = stratified(judged_decisions(folder, stored), questions, config.seed)
    own = next((label for label, choice in chosen.items() if _is_own(choice, config)), STORED)
    verdicts: dict[str, list[list[Verdict | None]]] = {own: [[state.verdict for state in states]]}
    if len({own, *chosen}) * repeats == 1:
        raise ConfigError("judges: name another judge than the run's own, or ask this one again (--repeats 2)")
    for label, choice in chosen.items():
        passes = verdicts.setdefault(label, [])
        for repeat in range(len(passes), repeats):
            report(str(rejudge_states(folder, states, choice, config.judging, name=label, repeat=repeat)))
            known = VerdictFile(verdict_path(folder, label, repeat)).read()
            passes.append([known.get(state.digest) for state in states])
    kept = {name for state in states for name in state.trajectories}
    trajectories = [trajectory for trajectory in stored if trajectory.id in kept]
    with open_component(config.selector) as selector:
        assert isinstance(selector, Selector)  # the config has checked the kind
        builder = StudyBuilder(states, trajectories, SelectionRule(selector, config.threshold, config))
        records = tuple(
            builder.record(label, chosen.get(label, config.judge), passes) for label, passes in verdicts.items()
        )
    return StudyData(folder, states, trajectories, records, own, resamples)


class StudyBuilder:
    """Turns verdicts into what the study compares: choices, rewards, arrays."""

    def __init__(
        self, states: Sequence[JudgedDecision], trajectories: Sequence[Trajectory], rule: SelectionRule
    ) -> None:
        self.states, self.trajectories, self.rule = states, trajectories, rule
        self.width = max(len(state.step.candidates) for state in states)
        self.terms, self.rho = reward_terms(rule.config.reward), rho_of(rule.config)
        self.at = {(name, state.number): i for i, state in enumerate(states) for name in state.trajectories}

    def record(self, label: str, choice: ComponentSpec, repeats: Sequence[Sequence[Verdict | None]]) -> JudgeRecord:
        passes = tuple(self._pass(label, repeat, verdicts) for repeat, verdicts in enumerate(repeats))
        judge = as_judge(choice.build())
        keys = {
            verdict.request for verdicts in repeats for verdict in verdicts if verdict is not None and verdict.request
        }
        if label != STORED:
            for repeat in range(len(repeats)):
                keys |= request_keys(judge, self.states, self.rule.config.seed, repeat)
        name = ", ".join(dict.fromkeys(v.judge for v in repeats[0] if v)) if label == STORED else choice.name
        return JudgeRecord(label, name, judge.uses_gold, passes, self._order_null(passes[0]), frozenset(keys))

    def _pass(self, label: str, repeat: int, verdicts: Sequence[Verdict | None]) -> JudgingPass:
        scores = [None if verdict is None else verdict.scores for verdict in verdicts]
        return JudgingPass(
            label=label, repeat=repeat, verdicts=tuple(verdicts), width=self.width,
            frozen=with_frozen_counters(self.rule, self.states, scores),
            replayed=with_own_counters(self.rule, self.states, scores),
            returns_E=np.array([self._return(trajectory, verdicts) for trajectory in self.trajectories]),
        )  # fmt: skip

    def _return(self, trajectory: Trajectory, verdicts: Sequence[Verdict | None]) -> float:
        """What a trajectory earns under a judge; nan where the judge failed on one of its steps."""
        steps = []
        for number, step in enumerate(trajectory.steps):
            if step.verdict is not None:
                if (verdict := verdicts[self.at[trajectory.id, number]]) is None:
                    return float("nan")
                step = step.model_copy(update={"verdict": verdict})
            steps.append(step)
        judged = trajectory.model_copy(update={"steps": tuple(steps)})
        diversity, process = (sum(step_rewards(judged, terms)) for terms in self.terms)
        return self.rho * diversity + (1 - self.rho) * process

    def _order_null(self, judging_pass: JudgingPass) -> Floats:
        """In each state, how often the replayed choice changes when the questions come in another order."""
        scores = [None if verdict is None else verdict.scores for verdict in judging_pass.verdicts]
        changed = []
        for k in range(ORDERS):
            shuffle = child_rng(self.rule.config.seed, "order null", k)
            again = with_own_counters(self.rule, self.states, scores, shuffle)
            changed.append(flipped(judging_pass.replayed, again))
        return np.asarray(np.mean(changed, axis=0))
