"""What has to hold for an algorithm."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..contracts.algorithm import Algorithm, Work
from ..contracts.components import ComponentConfig
from ..contracts.stage import CriticConfig
from ..errors import DataError, UserError
from ..training.algorithm import TreeAlgorithm
from ..training.data.dataset import StageData
from ..training.data.token_tree import TokenTree
from ..training.trainers.alarms import Limits
from .checks import require, short, static, within
from .component import ComponentContract
from .samples import sample_stage_data

if TYPE_CHECKING:
    from .readings import Learnt

Result = TypeVar("Result")
KLS = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)
"""Mean KLs of an epoch, from none to far too large."""


class AlgorithmContract(ComponentContract):
    """Inherit it and give the fixture `algorithm`:

    class TestReinforce(AlgorithmContract):
        @pytest.fixture
        def algorithm(self):
            return Reinforce()

    The checks of losses are for a `TreeAlgorithm`; an algorithm with a trainer of its own tests them itself.
    """

    kind = "algorithm"
    subject = "algorithm"

    def data(self) -> StageData:
        """What rows are made of. Override it where the algorithm needs what the sample trajectories do not hold, such
        as a tokenizer."""
        return sample_stage_data()

    # -- rows ----------------------------------------------------------------------------------------------------------

    @static
    def test_rows_are_token_trees_with_finite_rewards(self, spark_component: Algorithm) -> None:
        data = self.data()
        rows = self._rows(spark_component, data)
        require(
            isinstance(rows, Sequence) and rows and all(isinstance(row, TokenTree) for row in rows),
            f"rows() returned {short(rows)}; return a list of TokenTree, or raise DataError where there is nothing to "
            "learn from",
        )
        for row in rows:
            require(row.decisions, f"row {row.name} has no decisions: leave it out, there is nothing to learn from it")
            for number, decision in enumerate(row.decisions):
                require(
                    _is_finite(decision.reward),
                    f"row {row.name}, decision {number}: the reward is {short(decision.reward)}; give a finite float",
                )
            last = max(row.positions)
            require(
                last < data.max_tokens,
                f"row {row.name} reaches position {last}, and the model reads {data.max_tokens} tokens: raise "
                "DataError, or cut the row",
            )

    @static
    def test_rows_are_the_same_every_time(self, spark_component: Algorithm) -> None:
        first = self._printed_rows(spark_component)
        require(
            self._printed_rows(spark_component) == first,
            "rows() gives other rows when it is asked again: keep no state, draw no numbers without a fixed seed",
        )
        with self._fresh(spark_component) as other:
            require(self._printed_rows(other) == first, "a new instance gives other rows: keep no state")

    @static
    def test_making_rows_changes_no_data(self, spark_component: Algorithm) -> None:
        data = self.data()
        before = copy.deepcopy(data.questions)
        self._rows(spark_component, data)
        require(data.questions == before, "rows() changes the trajectories: copy before you change anything")

    @static
    def test_making_rows_touches_nothing(self, spark_component: Algorithm) -> None:
        if not spark_component.reads_round:
            return
        from .probe import touched_by

        data = self.data()
        self._rows(spark_component, data)  # what is imported is there now
        touched = touched_by(partial(spark_component.rows, data))
        require(
            not touched,
            f"rows() does {'; '.join(touched)}: make rows of the data alone, so that a stage can be trained again "
            "from what is stored",
        )

    @static
    def test_nothing_to_learn_from_is_a_data_error(self, spark_component: Algorithm) -> None:
        if not spark_component.reads_round:
            return
        data = self.data()
        failed = [[t for t in question if not t.success] for question in data.questions]
        for what, questions in (("no questions", []), ("nothing but failures", [one for one in failed if one])):
            try:
                rows = spark_component.rows(replace(data, questions=questions))
            except DataError as exc:
                require("\n" not in str(exc), "the DataError of rows() has several lines: one is printed")
            except Exception as exc:
                raise AssertionError(
                    f"{what}: rows() raised {type(exc).__name__}: {short(exc)}; raise DataError with one line that "
                    "says what is missing"
                ) from exc
            else:
                require(rows, f"{what}: rows() returned no rows; raise DataError (data.nothing_left says it in words)")

    @static
    def test_examples_have_a_reward_for_each_step(self, spark_component: Algorithm) -> None:
        if not spark_component.reads_round:
            return
        data = self.data()
        for trajectory, rewards in self._asked("examples", partial(spark_component.examples, data)) or ():
            require(
                len(rewards) == len(trajectory.steps) and all(map(_is_finite, rewards)),
                f"trajectory {trajectory.id} has {len(trajectory.steps)} steps, and examples() gives it the rewards "
                f"{short(rewards)}: give one finite float for each step, the closing answer included",
            )

    # -- what a stage is told ------------------------------------------------------------------------------------------

    @static
    def test_its_work_can_be_estimated(self, spark_component: Algorithm) -> None:
        work = self._asked("work", lambda: spark_component.work)
        require(isinstance(work, Work), f"work is {short(work)}; return a Work")
        require(
            work.updates >= 1 and work.reads >= 0 and (work.rows_at_once is None or work.rows_at_once >= 1),
            f"work is {work}: at least one update and no negative number of reads; rows_at_once is None or at least 1",
        )

    @static
    def test_it_names_its_trainer_and_its_parts(self, spark_component: Algorithm) -> None:
        from ..host.component_spec import ComponentSpec
        from ..training.trainers.base import StageTrainer

        trainer = self._asked("trainer", lambda: spark_component.trainer)
        require(
            isinstance(trainer, type) and issubclass(trainer, StageTrainer),
            f"trainer is {short(trainer)}; return a class that derives from StageTrainer",
        )
        critic = self._asked("critic", lambda: spark_component.critic)
        require(critic is None or isinstance(critic, CriticConfig), f"critic is {short(critic)}; return a CriticConfig")
        parts = list(self._asked("components", spark_component.components))
        annotator = self._asked("annotator", lambda: spark_component.annotator)
        require(
            annotator is None or (isinstance(annotator[0], ComponentSpec) and annotator[1] >= 1),
            f"annotator is {short(annotator)}; return a choice of a judge and how often it is asked",
        )
        missing = [one for one in parts if not isinstance(one, ComponentSpec)]
        missing += [one for one in (annotator or ())[:1] if one not in parts]
        require(
            not missing,
            f"components() does not give the choice {short(missing)}: return every component that the settings name, "
            "so that run.json records it",
        )

    # -- losses --------------------------------------------------------------------------------------------------------

    @static
    def test_advantages_are_finite(self, spark_component: Algorithm) -> None:
        import torch

        from .readings import tensors_of, values_of

        if not isinstance(spark_component, TreeAlgorithm):
            return
        algorithm, rows = spark_component, self._rows(spark_component, self.data())
        for what, some in (("all rows", rows), ("a single row", rows[:1])):
            tensors = tensors_of(some)
            rewards, values = [row.reward_D for row in tensors], values_of(algorithm, tensors)
            cases = {what: rewards, f"{what}, equal rewards": [torch.full_like(one, 0.5) for one in rewards]}
            for case, given in cases.items():
                found = self._asked("advantages", partial(algorithm.advantages, given, values))
                if found is None:
                    continue
                for index, (advantage_D, reward_D) in enumerate(zip(found, given, strict=False)):
                    require(
                        isinstance(advantage_D, torch.Tensor)
                        and advantage_D.shape == reward_D.shape
                        and bool(advantage_D.isfinite().all()),
                        f"{case}: advantages() gives row {index} {short(advantage_D)}; return a finite number for each "
                        "of its decisions, also where all rewards are equal",
                    )
                require(len(found) == len(given), f"{case}: advantages() gives {len(found)} of {len(given)} rows")

    @static
    def test_refreshed_rewards_are_one_for_each_decision(self, spark_component: Algorithm) -> None:
        if not isinstance(spark_component, TreeAlgorithm):
            return
        algorithm, data = spark_component, self.data()
        for row in self._rows(algorithm, data):
            actions = sorted({decision.action for decision in row.decisions})
            probs = [dict.fromkeys(actions, 1 / len(actions)) for _ in row.decisions]
            found = self._asked("refreshed_rewards", partial(algorithm.refreshed_rewards, row, probs, data))
            require(
                found is None or (len(found) == len(row.decisions) and all(map(_is_finite, found))),
                f"row {row.name}: refreshed_rewards() gives {short(found)} for {len(row.decisions)} decisions: one "
                "finite float for each, or None",
            )

    @static
    def test_the_loss_is_a_finite_number_with_a_gradient(self, spark_component: Algorithm) -> None:
        import torch

        learns = False
        for name, learnt in self._learnt(spark_component):
            loss, gradients = learnt.loss, [one for one in learnt.gradients if one is not None]
            require(
                isinstance(loss, torch.Tensor) and loss.ndim == 0 and bool(loss.isfinite()),
                f"row {name}: loss() returned {short(loss)}; return a tensor with one finite number: sum or average "
                "what belongs to decisions and tokens (row.tensors.weighted does)",
            )
            require(
                gradients,
                f"row {name}: no gradient of the loss reaches the log-probabilities: compute it from row.logp, without "
                "detach(), item() or torch.no_grad()",
            )
            require(
                all(bool(one.isfinite().all()) for one in gradients),
                f"row {name}: the gradient is not finite though the loss is: look for a square root, a logarithm or a "
                "division near 0",
            )
            learns = learns or any(bool(one.any()) for one in gradients)
        if isinstance(spark_component, TreeAlgorithm):
            require(learns, "the gradient is 0 for every row: nothing is learnt from the sample trajectories")

    @static
    def test_the_loss_is_the_same_every_time(self, spark_component: Algorithm) -> None:
        first = self._summary(spark_component)
        require(
            self._summary(spark_component, times=2) == first,
            "loss() gives another number for the same row when it is asked again: keep no state, draw no random "
            "numbers, and change nothing that the row holds",
        )
        with self._fresh(spark_component) as other:
            require(self._summary(other) == first, "a new instance gives other losses: keep no state of training")
        with self._fresh(spark_component) as other:
            require(
                self._summary(other, backward=True) == first,
                "losses change when rows are read in another order: let the loss depend on its row alone",
            )

    @static
    def test_logged_figures_are_finite(self, spark_component: Algorithm) -> None:
        for name, learnt in self._learnt(spark_component):
            bad = {key: value for key, value in learnt.figures.items() if not (key and math.isfinite(value))}
            require(not bad, f"row {name}: the figures {bad} cannot be logged: give each a name and a finite number")

    @static
    def test_the_weight_of_the_penalty_stays_finite(self, spark_component: Algorithm) -> None:
        if not isinstance(spark_component, TreeAlgorithm):
            return
        algorithm = spark_component
        limits = self._asked("limits", lambda: algorithm.limits)
        require(limits is None or isinstance(limits, Limits), f"limits is {short(limits)}; return Limits, or None")
        beta = self._asked("beta", lambda: algorithm.beta)
        if beta is None:
            return
        require(_is_finite(beta) and beta >= 0, f"beta is {short(beta)}; return a finite number, 0 or more")
        for kl in KLS:
            after = self._asked("next_beta", partial(algorithm.next_beta, beta, kl))
            require(
                _is_finite(after) and (after > 0 if beta > 0 else after >= 0),
                f"next_beta({beta:g}, {kl:g}) returned {short(after)}; return a finite number above 0",
            )

    # -- how it is asked -----------------------------------------------------------------------------------------------

    def _varied(self, config: ComponentConfig, name: str) -> ComponentConfig | None:
        if name == "training_args" and name not in self.variants:  # its keys are those of transformers
            return type(config).model_validate({**config.model_dump(mode="json"), name: {"weight_decay": 0.125}})
        return super()._varied(config, name)

    def _rows(self, algorithm: Algorithm, data: StageData) -> Any:
        return self._asked("rows", partial(algorithm.rows, data))

    def _printed_rows(self, algorithm: Algorithm) -> list[str]:
        """The rows as text, in which NaN equals itself."""
        return [repr(row) for row in self._rows(algorithm, self.data())]

    def _learnt(self, algorithm: Algorithm, *, backward: bool = False, times: int = 1) -> Iterator[tuple[str, Learnt]]:
        """What the algorithm makes of each row; nothing where it brings a trainer of its own.

        Args:
            backward: ask for the last row first.
            times: how often each row is asked for; what it gave last counts.
        """
        from .readings import learn, readings

        if not isinstance(algorithm, TreeAlgorithm):
            return
        seen = self._asked("advantages", lambda: readings(algorithm, self._rows(algorithm, self.data())))
        for reading in reversed(seen) if backward else seen:
            for _ in range(times):
                learnt = self._asked("loss", partial(learn, algorithm, reading))
            yield reading.tree.name, learnt

    def _summary(self, algorithm: Algorithm, *, backward: bool = False, times: int = 1) -> dict[str, Any]:
        """The loss and the gradients of each row as text, in which NaN equals itself."""
        return {
            name: (
                repr(learnt.loss.tolist() if hasattr(learnt.loss, "tolist") else learnt.loss),
                [repr(None if one is None else one.tolist()) for one in learnt.gradients],
            )
            for name, learnt in self._learnt(algorithm, backward=backward, times=times)
        }

    def _asked(self, what: str, ask: Callable[[], Result]) -> Result:
        try:
            return within(self.time_limit, what, ask)
        except (AssertionError, KeyboardInterrupt):
            raise
        except BaseException as exc:
            hint = {
                "rows": "learn from what the trajectories hold, or override `data` in the test",
                "loss": "row.reference and row.old are None where `work` has reference=False, and row.advantage_D is "
                "None where advantages() gives None",
            }
            advice = f"; {hint[what]}" if what in hint and not isinstance(exc, UserError) else ""
            raise AssertionError(f"{what} raised {type(exc).__name__}: {short(exc)}{advice}") from exc


def _is_finite(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)
