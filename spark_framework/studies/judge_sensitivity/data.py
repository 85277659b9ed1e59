"""What the tables of the judge-sensitivity study are computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...config.run import RunConfig
from ...records import Trajectory
from ...runs.decisions import JudgedDecision
from ...runs.run_dir import RunFolder
from ...stats.arrays import Floats
from ...stats.intervals import EstimateWithInterval
from ...stats.viability import top_shares
from ..replayed_selection import Choices
from .comparison import JudgeRecord, JudgingPass, Pair, pairs_of
from .figures import Bootstrap, pooled_figures


@dataclass(frozen=True, eq=False)
class StudyData:
    """The verdicts of all judges on the same states; what several tables need is computed once."""

    folder: RunFolder
    states: Sequence[JudgedDecision]
    trajectories: Sequence[Trajectory]
    """Those that the states come from."""
    records: tuple[JudgeRecord, ...]
    own: str
    """Label of the run's own verdicts."""
    resamples: int
    """Of the bootstrap over questions."""

    @property
    def config(self) -> RunConfig:
        """The run's config."""
        return self.folder.config

    @property
    def threshold(self) -> float:
        """Above this score a candidate is viable."""
        return self.config.threshold

    @cached_property
    def pairs(self) -> list[Pair]:
        """Each repeated judge with itself, then every two judges."""
        return pairs_of(self.records)

    @cached_property
    def by_state(self) -> Bootstrap:
        """Intervals for figures of states."""
        return Bootstrap([state.cluster for state in self.states], self.resamples)

    @cached_property
    def pooled(self) -> list[list[EstimateWithInterval]]:
        """The figures `POOLED` of each pair."""
        return pooled_figures(self.pairs, self.by_state)

    @cached_property
    def actions(self) -> list[str]:
        """The actions of all candidates, in order of appearance."""
        return list(dict.fromkeys(c.action for state in self.states for c in state.step.candidates))

    @cached_property
    def mixes(self) -> dict[str, Callable[[JudgingPass], Floats]]:
        """The mixes of actions that are compared: each gives weights of shape (S, A)."""
        return {
            "best": lambda judging_pass: self._by_action(top_shares(judging_pass.scores_SC)),
            "viable": lambda judging_pass: self._by_action((judging_pass.scores_SC > self.threshold) * 1.0),
            "picked": lambda judging_pass: self.picks(judging_pass.frozen),
        }

    def picks(self, chosen: Choices) -> Floats:
        """1 for the action chosen in each state, else 0, shape (S, A)."""
        width = self.records[0].passes[0].width
        rows = [np.eye(width)[k] if k is not None else np.zeros(width) for k in chosen]
        return self._by_action(np.stack(rows))

    def _by_action(self, weights_SC: Floats) -> Floats:
        """Sum the weights of candidates by action, shape (S, A); nan counts as 0."""
        column = {action: a for a, action in enumerate(self.actions)}
        rows_SA = np.zeros((len(self.states), len(self.actions)))
        for i, state in enumerate(self.states):
            for k, candidate in enumerate(state.step.candidates):
                rows_SA[i, column[candidate.action]] += np.nan_to_num(weights_SC[i, k])
        return rows_SA


def rho_of(config: RunConfig) -> float:
    """The weight of the diversity terms: that of the first stage that has one, else one half."""
    return next((float(s.config.rho) for s in config.stages.values() if hasattr(s.config, "rho")), 0.5)
