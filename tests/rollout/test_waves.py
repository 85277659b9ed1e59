"""The loop: propose, execute, judge, select, go on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from spark_framework.api import ANSWER, THINK, Judge, JudgeError, Verdict
from spark_framework.errors import ConfigError, UserError
from spark_framework.models.loading import load_model, load_tokenizer
from spark_framework.policy import Sampling
from spark_framework.policy.action_space import ActionSpace
from spark_framework.policy.formats import ReAct
from spark_framework.policy.local import LocalPolicy
from spark_framework.policy.renderer import Renderer
from spark_framework.records import Trajectory
from spark_framework.rollout.engine import run_batch, run_batch_with_fallback
from spark_framework.rollout.environment import count_actions
from spark_framework.rollout.types import RolloutResult, RoundPlan
from spark_plugin_judges.scripted import Scripted
from tests.rollout.puppet import TOOLS, Puppet, questions, rollout_context

NINE = (*TOOLS, THINK)
GREEDY = Sampling(0.0, 8)


def rolled(count: int, context: Any = None, policy: Any = None, first: int = 0, **plan: Any) -> list[Trajectory]:
    return result(count, context, policy, first, **plan).trajectories


def result(count: int, context: Any = None, policy: Any = None, first: int = 0, **plan: Any) -> RolloutResult:
    settings = RoundPlan(**{"round_name": "r", "sampling": GREEDY, **plan})
    return run_batch(
        dict(enumerate(questions(count), first)), policy or Puppet(), context or rollout_context(), settings, Counter()
    )


# -- candidates ----------------------------------------------------------------------------------------------------


def test_every_candidate_score_and_observation_is_kept_in_order() -> None:
    scores = {name: k + 0.5 for k, name in enumerate(NINE)}
    for trajectory in rolled(2, rollout_context(scores)):
        assert len(trajectory.steps) == 3
        for step in trajectory.steps[:-1]:
            assert tuple(candidate.action for candidate in step.candidates) == NINE
            assert step.verdict is not None
            assert step.verdict.scores == tuple(scores.values())
            for name, candidate in zip(TOOLS, step.candidates, strict=False):
                assert (candidate.observation, candidate.ok) == (f"{name} heard {trajectory.question.id}", True)
        last = trajectory.steps[-1]
        assert [candidate.action for candidate in last.candidates] == [ANSWER]
        assert last.verdict is None


def test_thinking_needs_no_tool() -> None:
    (trajectory,) = rolled(1, rollout_context({THINK: 9.0}))
    assert trajectory.steps[0].candidate.action == THINK
    assert (trajectory.steps[0].candidate.observation, trajectory.steps[0].candidate.ok) == ("go on", True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (None, "error: no JSON"),
        ({"text": "x", "loud": True}, "error: there is no argument 'loud'"),
        ({}, "error: argument 'text' is missing"),
        ({"text": "fail"}, "error: asked to fail"),
    ],
)
def test_a_call_that_cannot_be_carried_out_is_an_observation(arguments: Any, told: str) -> None:
    (trajectory,) = rolled(1, rollout_context({"elm": 7.0}), Puppet(arguments={"elm": arguments}))
    step = trajectory.steps[0]
    assert step.candidate.action == "elm"
    assert (step.candidate.observation, step.candidate.ok) == (told, False)
    assert all(candidate.ok for candidate in step.candidates if candidate.action != "elm")


def test_only_the_chosen_candidate_is_executed_if_the_plan_requires_it() -> None:
    (trajectory,) = rolled(1, rollout_context({"fir": 8.0}), execute_all=False)
    for step in trajectory.steps[:-1]:
        assert step.candidate.observation == "fir heard q0"
        assert [c.action for c in step.candidates if c.observation is not None] == ["fir"]


# -- selection -----------------------------------------------------------------------------------------------------


def test_rarity_first_and_its_counters_move_in_question_order() -> None:
    """ash and birch tie at 7, cedar has 9: the less used of the tied pair is taken, question by question."""
    context = rollout_context({"ash": 7.0, "birch": 7.0, "cedar": 9.0})
    trajectories = rolled(4, context, Puppet({f"q{i}": 1 for i in range(4)}))
    taken = [t.steps[0].candidate.action for t in trajectories]
    assert {taken[0], taken[1]} == {"ash", "birch"}  # the second question finds the first one's choice counted
    assert {taken[2], taken[3]} == {"ash", "birch"}
    before = Counter[str]()
    for trajectory in trajectories:
        assert trajectory.steps[0].usage == {name: before[name] for name in NINE}
        before[trajectory.steps[0].candidate.action] += 1


def test_counters_go_on_over_steps_and_rounds() -> None:
    context = rollout_context({"ash": 7.0, "birch": 7.0})
    start = {"ash": 3}
    plan = RoundPlan("r", GREEDY)
    done = run_batch(dict(enumerate(questions(3))), Puppet(), context, plan, start).trajectories
    assert [t.steps[0].candidate.action for t in done] == ["birch"] * 3
    assert done[0].steps[1].usage["birch"] == 3
    assert count_actions(done) == Counter(ash=1, birch=5) or count_actions(done) == Counter(ash=2, birch=4)
    assert start == {"ash": 3}


def test_none_viable_takes_the_best_and_reports_it() -> None:
    (poor,) = rolled(1, rollout_context({"gum": 5.5}))
    assert poor.steps[0].candidate.action == "gum"
    assert poor.steps[0].none_viable
    (good,) = rolled(1, rollout_context({"gum": 6.5}))
    assert not good.steps[0].none_viable
    (edge,) = rolled(1, rollout_context({"gum": 6.0}))  # viable is above the threshold, not at it
    assert edge.steps[0].none_viable


def test_a_selector_out_of_range_is_named() -> None:
    class Wild:
        name = "wild"

        def select(self, candidates: Any, scores: Any, **_: Any) -> int:
            return 9

    with pytest.raises(ConfigError, match="wild chose 9 of 9"):
        rolled(1, rollout_context(selector=Wild()))


# -- branches ------------------------------------------------------------------------------------------------------


def test_branches_begin_with_the_selectors_choice_and_stay_among_the_viable() -> None:
    context = rollout_context({"ash": 7.0, "birch": 8.0, "cedar": 9.0})
    trajectories = rolled(3, context, branches=5)
    assert [t.id for t in trajectories] == [f"r/{i}/{b}" for i in range(3) for b in range(3)]  # three are viable
    for i in range(3):
        own = [t for t in trajectories if t.index == i]
        assert own[0].steps[0].candidate.action == "ash"
        assert {t.steps[0].candidate.action for t in own} == {"ash", "birch", "cedar"}
        assert len({t.steps[0].usage["ash"] for t in own}) == 1
    assert {t.steps[1].candidate.action for t in trajectories} == {"ash"}


def test_branches_drawn_by_the_policy_may_fail() -> None:
    probs = {**dict.fromkeys(NINE, 0.0), "hazel": 0.5, "gum": 0.4, ANSWER: 0.1}
    context = rollout_context({"ash": 7.0})
    for trajectory in rolled(4, context, Puppet(probs=probs), branches=3, branch_among_viable=False):
        action = trajectory.steps[0].candidate.action
        assert action == "ash" if trajectory.branch == 0 else action in ("gum", "hazel")


# -- the end of an episode -----------------------------------------------------------------------------------------


def test_an_episode_ends_with_an_answer_or_after_the_last_step() -> None:
    acts = {"q0": 0, "q1": 1, "q2": 3, "q3": 99}
    trajectories = rolled(4, rollout_context(steps=4), Puppet(acts))
    assert [len(t.steps) - 1 for t in trajectories] == [1, 1, 3, 4]
    for trajectory in trajectories:
        assert trajectory.steps[-1].is_answer
        assert (trajectory.answer, trajectory.correct) == (1, True)


def test_a_head_that_prefers_to_answer_still_acts_once() -> None:
    probs = {**dict.fromkeys(NINE, 0.02), ANSWER: 0.82}
    for sampling in (GREEDY, Sampling(1.0, 8)):
        trajectories = rolled(8, None, Puppet(probs=probs), sampling=sampling)
        lengths = {len(t.steps) - 1 for t in trajectories}
        assert 1 in lengths
        assert 0 not in lengths
        assert sampling is not GREEDY or lengths == {1}


# -- judges that fail ----------------------------------------------------------------------------------------------


class Failing(Judge):
    """Has no verdict on question q1; gives 7 to everything else."""

    name = "failing"
    kind = "invalid"

    def score(self, request: Any) -> Verdict:
        if request.question.id == "q1":
            raise JudgeError("no score for c3", self.kind)
        n = len(request.candidates)
        return Verdict(scores=(7.0,) * n, process_ok=(True,) * n, judge="failing", fingerprint="f")


def test_a_judge_that_fails_costs_its_trajectory_and_no_other() -> None:
    done = result(3, rollout_context(judge=Failing()))
    assert [t.question.id for t in done.trajectories] == ["q0", "q2"]
    assert [(one.index, one.reason) for one in done.dropped] == [(1, "trajectory 1/0, step 0: no score for c3")]


def test_a_fallback_judges_complete_questions_again() -> None:
    """The judge fails on the second step of one branch; both branches of that question are rolled out anew."""

    class Late(Failing):
        def score(self, request: Any) -> Verdict:
            if request.question.id == "q1" and len(request.steps) == 1:
                raise JudgeError("no score for c3")
            return Verdict(scores=(9.0,) * 9, process_ok=(True,) * 9, judge="failing", fingerprint="f")

    plan = RoundPlan("r", GREEDY, branches=2)
    asked = dict(enumerate(questions(3)))
    context = rollout_context(judge=Late(), fallback=Scripted(Scripted.Config(default_score=9)))
    done = run_batch_with_fallback(asked, Puppet(), context, plan, Counter())
    assert [t.id for t in done.trajectories] == [f"r/{index}/{branch}" for index in range(3) for branch in range(2)]
    assert done.dropped == []
    judges = [{step.verdict.judge for step in t.steps if step.verdict} for t in done.trajectories]
    assert judges == [{"failing"}, {"failing"}, {"scripted"}, {"scripted"}, {"failing"}, {"failing"}]


@pytest.mark.parametrize("kind", ["config", "budget"])
def test_what_only_the_user_can_mend_stops_the_run(kind: str) -> None:
    judge = Failing()
    judge.kind = kind  # type: ignore[misc]
    with pytest.raises(UserError, match=r"no score for c3$"):
        result(3, rollout_context(judge=judge))


# -- what must not matter ------------------------------------------------------------------------------------------


def local(tiny: Path, batch_size: int, dtype: str = "float32") -> LocalPolicy:
    context = rollout_context()
    renderer = Renderer(load_tokenizer(str(tiny)), ActionSpace.of(list(context.tools.values())), ReAct())
    return LocalPolicy(load_model(str(tiny), dtype=dtype, device="cpu"), renderer, batch_size=batch_size)


def drawn(policy: LocalPolicy, workers: int = 8) -> list[dict[str, Any]]:
    """Five questions with two branches each, sampled, as stored records."""
    context = rollout_context({"ash": 7.0, "birch": 7.0, "cedar": 7.0, "fir": 6.5}, workers=workers, steps=2)
    done = rolled(5, context, policy, sampling=Sampling(0.9, 6), branches=2)
    assert len(done) == 10
    return [trajectory.model_dump() for trajectory in done]


def test_neither_workers_nor_a_repetition_change_a_bit(tiny: Path) -> None:
    first = drawn(local(tiny, 3), workers=1)
    assert drawn(local(tiny, 3), workers=8) == first
    assert drawn(local(tiny, 3), workers=3) == first


def parted(value: Any) -> tuple[Any, list[float]]:
    """A record without its probabilities, and those alone."""
    found: list[float] = []

    def rest(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: rest(item, name if key != "action_probs" else key) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [rest(item, key) for item in value]
        if key not in ("token_logprobs", "action_probs"):
            return value
        found.append(value)
        return None

    return rest(value), found


def test_another_batch_size_changes_probabilities_by_rounding_only(tiny: Path) -> None:
    """In double precision, where rounding is too small to flip a draw. In single precision it can flip one."""
    kept, probabilities = parted(drawn(local(tiny, 1, "float64")))
    assert len(probabilities) > 1000
    for batch_size in (3, 8):
        others, found = parted(drawn(local(tiny, batch_size, "float64")))
        assert others == kept
        assert found == pytest.approx(probabilities, abs=1e-6)


def test_another_seed_or_round_draws_anew(tiny: Path) -> None:
    policy = local(tiny, 4)
    one, seed, name = (
        [t.steps[0].candidates[0].token_ids for t in rolled(3, context, policy, sampling=Sampling(1.0, 8), **plan)]
        for context, plan in (
            (rollout_context(steps=1), {}),
            (rollout_context(steps=1, seed=1), {}),
            (None, {"round_name": "other"}),
        )
    )
    assert one != seed
    assert one != name


def test_stored_tokens_are_the_conversation(tiny: Path) -> None:
    """Prompt, candidate and context, token by token, read as the chat template writes the whole conversation."""
    policy = local(tiny, 2)
    tokenizer = policy.renderer.tokenizer
    for trajectory in rolled(2, rollout_context(steps=2), policy, sampling=Sampling(0.8, 8)):
        ids = list(trajectory.prompt_ids)
        assert ids == policy.renderer.prompt_ids(trajectory.question)
        for step in trajectory.steps:
            before = tokenizer.decode(ids)
            ids += [*step.candidate.token_ids, *step.context_ids]
            turn = tokenizer.decode(ids).removeprefix(before)
            opening = tokenizer.decode(policy.renderer.prefixes[step.candidate.action].ids)
            assert turn.startswith(f"{opening}{step.candidate.text}")
            if not step.is_answer:
                assert f"<|im_start|>user\nObservation: {step.candidate.observation}<|im_end|>\n" in turn
                assert turn.endswith("<|im_start|>assistant\nAction:")
        assert trajectory.steps[-1].context_ids == ()


def test_the_judge_never_sees_the_answer_of_a_question() -> None:
    seen = []

    class Curious(Scripted):
        def score(self, request: Any) -> Verdict:
            seen.append(request)
            return super().score(request)

    rolled(2, rollout_context(judge=Curious()))
    assert {request.question.answer for request in seen} == {None}
    assert [len(request.steps) for request in seen] == [0, 0, 1, 1]


def test_observers_hear_of_steps_in_question_order() -> None:
    from spark_framework.api import hookimpl
    from spark_framework.host.manager import Host

    heard: list[str] = []

    class Ear:
        @hookimpl
        def spark_step_finished(self, question_id: str, step: Any) -> None:
            heard.append(f"{question_id} {step.candidate.action}")

    host = Host()
    host.register(Ear())
    rolled(2, rollout_context({"ash": 7.0}, calls=host.calls))
    assert heard == ["q0 ash", "q1 ash", "q0 ash", "q1 ash"]
