"""The map from a local judge's raw values to scores, fitted on a run's states and another judge's stored verdicts.

Shapes (docs/explanation/notation.md): S states, C candidates, U scored candidates.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..contracts.calibrated_judge import CalibratedJudge, Calibration, fit_calibration
from ..contracts.components import Judge
from ..errors import ConfigError, DataError, JudgeError, RunError
from ..host.hooks import PluginHooks
from ..judging.client import JudgeClient
from ..pipeline.context import JudgeLike, resolve_judge
from ..runs.decisions import JudgedDecision, judged_decisions, stratified
from ..runs.run_dir import RunFolder, existing_run
from ..runs.session import observed
from ..stats.agreement import over_states, spearman
from ..stats.arrays import Floats
from .rejudge import as_judge, open_runner
from .reselect import stored_scores

FOLDS = 5
"""Folds of the questions: each is scored with a map that was fitted on the others."""


@dataclass(frozen=True)
class Calibrated:
    """A fitted map, and how well such maps generalise to other questions."""

    file: Path
    calibration: Calibration
    states: int
    spearman: float
    """Between raw values and target scores, mean over states; no map can change it. nan where all states are tied."""
    error: float
    """Mean absolute error in points, cross-validated over questions; nan where there is only one."""
    error_of_mean: float
    """The same error with the mean target score in place of the map."""
    viable: float
    """Share of candidates above the run's threshold by the cross-validated maps."""
    viable_target: float
    """Share of candidates above it by the target scores."""
    threshold: float

    def __str__(self) -> str:
        fit = self.calibration
        lines = [
            f"{self.file}: {len(fit.raw)} knots from {fit.n} candidates of {self.states} states ({fit.fitted_on})",
            f"rank agreement within a state (Spearman): {self.spearman:.2f}",
            f"mean error on questions left out: {self.error:.2f} points; of the mean score: {self.error_of_mean:.2f}",
            f"viable above {self.threshold:g}: {self.viable:.0%} of candidates by the map, {self.viable_target:.0%} by "
            "the scores that it was fitted on",
        ]
        if fit.scores[-1] <= self.threshold:
            lines.append(f"no candidate can be viable: the map's highest score is {fit.scores[-1]:.2f}")
        return "\n".join(lines)


def calibrate(
    run: str | Path, judge: JudgeLike, *, against: str | None = None, output: str | Path | None = None,
    questions: int | None = None, overrides: Iterable[str] = (),
) -> Calibrated:  # fmt: skip
    """Fit the map that a judge with raw values (`contrast`, `reward_model`) needs before it can score.

    The raw values are stored with the run, so that `rejudge` with the map does not compute them again.

    Args:
        judge: its name, a mapping with `use` and its settings, a class or an instance.
        against: the judge to fit on, by the file's name in `RUN/rejudged`; None takes the run's own scores.
        output: the file to write; None is `RUN/calibration/JUDGE.json`. Set `judge.calibration` to it.
        questions: how many, drawn evenly from all categories; None takes all.
        overrides: `judge.KEY=VALUE` and `judging.KEY=VALUE` each.

    Raises:
        UserError: the judge needs no map, or cannot be loaded; there are no scores to fit on; the map would be flat.
    """
    folder = existing_run(Path(run))
    choice, judging = resolve_judge(judge, folder.config.judging, overrides, "calibrate")
    path = Path(output) if output is not None else folder.calibration(choice.name)
    with folder.locked(), observed(folder):
        states = stratified(judged_decisions(folder), questions, folder.config.seed)
        scored = zip(states, stored_scores(folder, states, against), strict=True)
        known = [(state, scores) for state, scores in scored if scores is not None]
        fitted_on = f"{folder.path.name}, {against or ', '.join(sorted({s.verdict.judge for s in states}))}"
        with closing(_calibrated(as_judge(choice.build()))) as judge_:  # not prepared: it has no map yet
            with open_runner(folder, judge_, judging) as runner:
                raw = list(_raw_values(runner.client, judge_, [state for state, _ in known], folder.config.seed))
            target = [scores for _, scores in known]
            fit = _fitted(raw, target, judge=judge_.name, scale=judge_.scale(), fitted_on=fitted_on)
    fit.save(path)
    return _tested(path, fit, [state for state, _ in known], raw, target, folder)


def _calibrated(judge: Judge) -> CalibratedJudge:
    if not isinstance(judge, CalibratedJudge):
        raise ConfigError(f"judge: {judge.name} already gives scores from 0 to 10 and takes no calibration map")
    return judge


# -- raw values -----------------------------------------------------------------------------------------------------


def _raw_values(
    client: JudgeClient, judge: CalibratedJudge, states: Sequence[JudgedDecision], seed: int
) -> Iterator[tuple[float, ...]]:
    from tqdm import tqdm

    for state in tqdm(states, desc=f"calibrate {judge.name}", disable=not sys.stderr.isatty(), leave=False):
        step = PluginHooks.redact_gold(judge, state.request(seed))
        try:
            values = judge.raw(client.reply(judge, judge.request(step), f"raw values of judge {judge.name}"))
        except JudgeError as exc:
            where = f"trajectory {state.trajectories[0]}, step {state.number}"
            raise RunError(f"judge {judge.name} failed on {where}: {exc}; run the same command again") from exc
        if len(values) != len(step.candidates):
            raise RunError(f"judge {judge.name} gave {len(values)} raw values for {len(step.candidates)} candidates")
        yield values


# -- the map and its error -------------------------------------------------------------------------------------------

Rows = Sequence[Sequence[float]]
"""One number for each candidate of each state."""


def _fitted(raw: Rows, target: Rows, *, judge: str = "", scale: str = "", fitted_on: str = "") -> Calibration:
    return fit_calibration(_flat(raw), _flat(target), judge=judge, scale=scale, fitted_on=fitted_on)


def _tested(
    path: Path, fit: Calibration, states: Sequence[JudgedDecision], raw: Rows, target: Rows, folder: RunFolder
) -> Calibrated:
    threshold = folder.config.threshold
    wanted_U = np.array(_flat(target))
    found_U, mean_U = (_left_out(states, raw, target, fitted=fitted) for fitted in (True, False))
    width = max(map(len, raw))
    ranks_S = spearman(*(np.array([[*row, *[np.nan] * (width - len(row))] for row in rows]) for rows in (raw, target)))
    return Calibrated(
        file=path, calibration=fit, states=len(states), spearman=over_states(ranks_S).mean,
        error=float(np.abs(found_U - wanted_U).mean()), error_of_mean=float(np.abs(mean_U - wanted_U).mean()),
        viable=float((found_U > threshold).mean()), viable_target=float((wanted_U > threshold).mean()),
        threshold=threshold,
    )  # fmt: skip


def _left_out(states: Sequence[JudgedDecision], raw: Rows, target: Rows, *, fitted: bool) -> Floats:
    """For each candidate the score by a map, or the mean score, of other questions. nan where there are none."""
    place = {cluster: k % FOLDS for k, cluster in enumerate(dict.fromkeys(state.cluster for state in states))}
    scores: list[list[float]] = [[np.nan] * len(row) for row in raw]
    for fold in range(FOLDS):
        rest = [i for i, state in enumerate(states) if place[state.cluster] != fold]
        here = [i for i, state in enumerate(states) if place[state.cluster] == fold]
        if not rest:
            continue
        mean = float(np.mean(_flat([target[i] for i in rest])))
        try:
            fit = _fitted([raw[i] for i in rest], [target[i] for i in rest]) if fitted else None
        except DataError:  # on these questions alone the map would be flat
            fit = None
        for i in here:
            scores[i] = [mean if fit is None else fit.score(value) for value in raw[i]]
    return np.array(_flat(scores))


def _flat(rows: Rows) -> list[float]:
    return [value for row in rows for value in row]
