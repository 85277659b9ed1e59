"""AlgorithmContract: a good algorithm passes; every bad one is found by the check that is there for it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from pydantic import ConfigDict

from spark_framework.api import (
    Algorithm,
    FilteredStageConfig,
    JudgeSpec,
    TreeAlgorithm,
    Work,
)
from spark_framework.testing import AlgorithmContract, ComponentContract
from tests.testing.failing import Faults, assert_found, checks_of, failures

FAULTS = Faults()


class Sound(TreeAlgorithm):
    """REINFORCE with a baseline."""

    name = "sound"
    Config = FilteredStageConfig

    def advantages(self, rewards, values):
        import torch  # inside, as in a plugin

        mean = torch.cat(rewards).mean()
        return [reward_D - mean for reward_D in rewards]

    def loss(self, row, metrics):
        metrics.advantages(row.tree, row.advantage_D)
        gain_T = row.advantage_D[row.tensors.owner_T] * row.logp.token_T
        return -row.tensors.weighted(row.advantage_D * row.logp.action_D, gain_T)


# -- rows ----------------------------------------------------------------------------------------------------------


@FAULTS.found_by("rows_are_token_trees_with_finite_rewards", says="decision 0: the reward is nan")
class NotANumber(Sound):
    """A reward that is 0 / 0, which its advantages hide."""

    def rows(self, data):
        rows = super().rows(data)
        for row in rows:
            row.decisions[0].reward = float("nan")
        return rows

    def advantages(self, rewards, values):
        return super().advantages([reward_D.nan_to_num(0.5) for reward_D in rewards], values)

    def examples(self, data):
        return None


class KnowsItself(Sound):
    """Every instance has a number of its own."""

    made = itertools.count()

    def __init__(self, config=None):
        super().__init__(config)
        self.number = next(self.made)


@FAULTS.found_by("rows_are_the_same_every_time", says="a new instance gives other rows")
class Names(KnowsItself):
    """Names its rows after the instance, and leaves their content alone."""

    def rows(self, data):
        rows = super().rows(data)
        rows[-1].ids[0] = self.number
        return rows


@FAULTS.found_by("making_rows_changes_no_data", says="copy before you change anything")
class Spends(Sound):
    """Takes the context out of what it has read."""

    def rows(self, data):
        for question in data.questions:
            for trajectory in question:
                for step in trajectory.steps:
                    step.action_probs.clear()
        return super().rows(data)


@FAULTS.found_by("making_rows_touches_nothing", says="open ")
class Looks(Sound):
    """Reads a file of the machine."""

    def rows(self, data):
        Path(__file__).read_text(encoding="utf-8")
        return super().rows(data)


@FAULTS.found_by("nothing_to_learn_from_is_a_data_error", says="no questions: rows() raised IndexError")
class Counts(Sound):
    """Takes the first question for granted."""

    def rows(self, data):
        assert data.questions[0]
        return super().rows(data)


@FAULTS.found_by("nothing_to_learn_from_is_a_data_error", says="nothing but failures: rows() returned no rows")
class Shrugs(Sound):
    """Gives no rows where nothing succeeded."""

    def rows(self, data):
        return [row for row in super().rows(data) if any(d.success for d in row.decisions)]


@FAULTS.found_by("examples_have_a_reward_for_each_step", says="the closing answer included")
class ForgetsTheAnswer(Sound):
    """Exports no reward for the closing answer."""

    def examples(self, data):
        return [(trajectory, rewards[:-1]) for trajectory, rewards in super().examples(data)]


# -- what a stage is told ------------------------------------------------------------------------------------------


@FAULTS.found_by("its_work_can_be_estimated", says="at least one update")
class CostsNothing(Sound):
    """Says that it trains on nothing."""

    work = Work(updates=0)


@FAULTS.found_by("it_names_its_trainer_and_its_parts", says="derives from StageTrainer")
class TrainsElsewhere(Sound):
    """Names a trainer of another library."""

    trainer = dict


@FAULTS.found_by("it_names_its_trainer_and_its_parts", says="so that run.json records it")
class HidesItsJudge(Sound):
    """Asks a judge that it does not name."""

    class Config(FilteredStageConfig):
        by: JudgeSpec = "scripted"
        """Who annotates."""

        model_config = ConfigDict(validate_default=True)

    @property
    def annotator(self):
        return self.config.by, 1


# -- losses --------------------------------------------------------------------------------------------------------


@FAULTS.found_by("advantages_are_finite", says="also where all rewards are equal")
class Divides(Sound):
    """Divides by a spread that may be 0."""

    def advantages(self, rewards, values):
        import torch

        spread = torch.cat(rewards).std(unbiased=False)
        return [one / spread for one in super().advantages(rewards, values)]


@FAULTS.found_by("refreshed_rewards_are_one_for_each_decision", says="for 9 decisions")
class RefreshesTheFirst(Sound):
    """Gives a reward for the first decision alone."""

    def refreshed_rewards(self, row, probs, data):
        return [1.0]


@FAULTS.found_by("the_loss_is_a_finite_number_with_a_gradient", says="a tensor with one finite number")
class Scattered(Sound):
    """Gives a loss for each decision."""

    def loss(self, row, metrics):
        return -row.advantage_D * row.logp.action_D


@FAULTS.found_by("the_loss_is_a_finite_number_with_a_gradient", says="no gradient of the loss reaches")
class Detached(Sound):
    """Cuts the gradient off."""

    def loss(self, row, metrics):
        return super().loss(row, metrics).detach()


@FAULTS.found_by("the_loss_is_a_finite_number_with_a_gradient", says="the gradient is not finite though the loss is")
class Rooted(Sound):
    """Takes a square root at 0."""

    def loss(self, row, metrics):
        return super().loss(row, metrics) + (row.logp.action_D.sum() * 0).sqrt()


@FAULTS.found_by("the_loss_is_a_finite_number_with_a_gradient", says="the gradient is 0 for every row")
class Indifferent(Sound):
    """Weighs everything with 0."""

    def loss(self, row, metrics):
        return 0 * super().loss(row, metrics)


@FAULTS.found_by("the_loss_is_the_same_every_time", says="loss() gives another number for the same row")
class Draws(Sound):
    """Leaves a random token out."""

    def loss(self, row, metrics):
        import torch

        return super().loss(row, metrics) + torch.rand(()) * row.logp.token_T[0]


@FAULTS.found_by("the_loss_is_the_same_every_time", says="change nothing that the row holds")
class Overwrites(Sound):
    """Scales the row's advantages where they are."""

    def loss(self, row, metrics):
        row.advantage_D.mul_(0.5)
        return super().loss(row, metrics)


@FAULTS.found_by("the_loss_is_the_same_every_time", says="when rows are read in another order")
class Remembers(Sound):
    """Takes the first row that it sees twice as seriously."""

    first = ""

    def loss(self, row, metrics):
        self.first = self.first or row.tree.name
        return super().loss(row, metrics) * (2 if row.tree.name == self.first else 1)


@FAULTS.found_by("the_loss_is_the_same_every_time", says="a new instance gives other losses")
class Weighs(KnowsItself):
    """Every instance weighs losses its own way."""

    def loss(self, row, metrics):
        return super().loss(row, metrics) * (1 + self.number)


@FAULTS.found_by("logged_figures_are_finite", says="'odds': inf")
class LogsInfinity(Sound):
    """Logs a figure that is infinite."""

    def loss(self, row, metrics):
        metrics.mean("odds", (row.tensors.success_D + 1) / 0.0)
        return super().loss(row, metrics)


@FAULTS.found_by("the_weight_of_the_penalty_stays_finite", says="next_beta(1, 0) returned inf")
class Explodes(Sound):
    """Divides the weight by the KL."""

    beta = 1.0

    def next_beta(self, beta, mean_kl):
        return beta * 0.2 / mean_kl if mean_kl else float("inf")


class TestSound(AlgorithmContract):
    has_entry_point = False

    @pytest.fixture
    def algorithm(self) -> Algorithm:
        return Sound()


@FAULTS.each()
def test_a_bad_algorithm_is_found(fault):
    assert_found(fault, AlgorithmContract)


def test_every_check_of_algorithms_has_found_one():
    assert FAULTS.checks() == set(checks_of(AlgorithmContract)) - set(checks_of(ComponentContract))


def test_a_loss_that_wants_a_reference_it_did_not_ask_for_is_told_so():
    class Compares(Sound):
        work = Work(reference=False)

        def loss(self, row, metrics):
            return (row.logp.token_T - row.reference.token_T).sum()

    found = failures(AlgorithmContract, Compares())["the_loss_is_a_finite_number_with_a_gradient"]
    assert "AttributeError" in found
    assert "row.reference and row.old are None where `work` has reference=False" in found


def test_an_algorithm_that_reads_a_file_of_its_own_needs_no_round():
    class Reads(Sound):
        reads_round = False

        def rows(self, data):
            Path(__file__).read_text(encoding="utf-8")
            return super().rows(data)

    assert (
        not {"making_rows_touches_nothing", "nothing_to_learn_from_is_a_data_error"}
        & failures(AlgorithmContract, Reads()).keys()
    )
