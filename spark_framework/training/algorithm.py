"""The usual base of an algorithm: a loss for each row. Plugins derive from it; the framework's trainer calls it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..contracts.algorithm import Algorithm
from ..records import Trajectory
from .data.dataset import StageData, filtered_questions, question_trees
from .data.rewards import step_rewards
from .data.token_tree import TokenTree
from .trainers.alarms import Limits

if TYPE_CHECKING:  # a config is read without torch
    from torch import Tensor

    from .data.tensors import TreeReading
    from .trainers.metrics import UpdateMetrics
    from .trainers.tree_trainer import TreeTrainer


class TreeAlgorithm(Algorithm):
    """Turns a round's trajectories into token trees, and each tree into a loss.

    A row is a token tree: the data that a stage learns from one question. The framework computes the log-probabilities
    of the policy, of the reference and of the old policy, and passes them to `loss` with the row's advantages.

    Example:
        class Reinforce(TreeAlgorithm):
            \"\"\"REINFORCE with the mean reward as its baseline.\"\"\"

            name = "reinforce"
            Config = FilteredStageConfig

            def advantages(self, rewards, values):
                import torch  # inside: a config is read without it

                mean = torch.cat(rewards).mean()
                return [reward_D - mean for reward_D in rewards]

            def loss(self, row, metrics):
                gain_T = row.advantage_D[row.tensors.owner_T] * row.logp.token_T
                return -row.tensors.weighted(row.advantage_D * row.logp.action_D, gain_T)
    """

    def rewards(self, trajectory: Trajectory, data: StageData) -> list[float]:
        """The reward of each step of a trajectory. By default the sum of the process terms of the run's `reward`
        section.

        Raises:
            DataError: a reward term failed, or its value is not finite.
        """
        return step_rewards(trajectory, data.process)

    def examples(self, data: StageData) -> list[tuple[Trajectory, list[float]]] | None:
        return [(one, self.rewards(one, data)) for kept in filtered_questions(data, self.config) for one in kept]

    def rows(self, data: StageData) -> Sequence[TokenTree]:
        """The rows of a stage. By default one row per question, from all of its trajectories that pass the stage's
        `require_*` filters.

        Raises:
            DataError: no trajectory passes the filters.
        """
        return question_trees(data, filtered_questions(data, self.config), lambda one: self.rewards(one, data))

    @property
    def refreshes(self) -> bool:
        """Whether the old policy is the policy at the start of each epoch. False: it is the stored behaviour policy."""
        return False

    def refreshed_rewards(self, row: TokenTree, probs: list[dict[str, float]], data: StageData) -> list[float] | None:
        """The rewards of a row's decisions under the refreshed old policy; None keeps the stored ones.

        Args:
            probs: for each decision, the old policy's distribution over actions in its state.
        """
        return None

    def advantages(self, rewards: Sequence[Tensor], values: Sequence[Tensor]) -> Sequence[Tensor] | None:
        """The advantages of all rows at the start of an epoch; None if the loss needs none.

        Args:
            rewards: [D] of each row: the reward of each of its decisions.
            values: [D] of each row: V_old; zeros without a critic.
        """
        return None

    @abstractmethod
    def loss(self, row: TreeReading, metrics: UpdateMetrics) -> Tensor:
        """**REQUIRED.** The loss of one row, a scalar with a gradient. The loss of an update is the mean over its rows.

        Args:
            row: the row with the log-probabilities of the policy, the reference and the old policy.
            metrics: collects figures for the log; `next_beta` and the alarms use the figure `kl`.
        """

    @property
    def beta(self) -> float | None:
        """The initial weight of a KL penalty, which `loss` gets as `row.beta`; None without a penalty."""
        return None

    def next_beta(self, beta: float, mean_kl: float) -> float:
        """The weight after an epoch.

        Args:
            mean_kl: mean of the figure `kl` over the updates of the epoch.
        """
        return beta

    @property
    def limits(self) -> Limits | None:
        """Bounds on the figures `kl` and `tool_entropy` that raise alarms; None for no alarms."""
        return None

    @property
    def trainer(self) -> type[TreeTrainer]:
        from .trainers.tree_trainer import TreeTrainer

        return TreeTrainer
