"""A policy acts alone: in the loop of the rollouts, without judge and selector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spark_framework.api import ANSWER, Candidate
from spark_framework.evaluation.runner import act
from spark_framework.policy import Sampling
from spark_framework.records import Trajectory
from tests.rollout.puppet import TOOLS, Puppet, PuppetEpisodeBatch, questions, rollout_context

GREEDY = Sampling(0.0, 8)


def acted(count: int, policy: Any, *, first: int = 0, use_tools: bool = True, steps: int = 4) -> list[Trajectory]:
    alone = rollout_context(steps=steps, judge=None, judging=None, selector=None)
    return act(questions(count), first, policy, alone, GREEDY, "tools", use_tools=use_tools)


def test_each_question_ends_with_an_answer() -> None:
    """A policy may answer at once, and has to after the last step; questions stay in order whatever ends first."""
    done = acted(4, Puppet({"q0": 3, "q1": 0, "q2": 1, "q3": 99}), first=8)
    assert [one.id for one in done] == ["tools/8/0", "tools/9/0", "tools/10/0", "tools/11/0"]
    assert [len(one.steps) - 1 for one in done] == [3, 0, 1, 4]
    for one in done:
        assert one.steps[-1].is_answer
        assert one.correct
        assert all(step.verdict is None and len(step.candidates) == 1 for step in one.steps)
        for step in one.steps[:-1]:
            assert (step.candidate.observation, step.candidate.ok) == (f"{TOOLS[0]} heard {one.question.id}", True)


def test_without_tools_the_answer_is_asked_for_at_once() -> None:
    assert [len(one.steps) for one in acted(2, Puppet(), use_tools=False)] == [1, 1]


def test_an_unknown_action_is_an_observation() -> None:
    class Unknown(PuppetEpisodeBatch):
        def act(self, allowed: Sequence[str], sampling: Sampling, seeds: Sequence[int]) -> list[Candidate]:
            unknown = Candidate(action="yew", arguments={"text": "x"}, error="error: name one action of ash")
            return [unknown if a.action != ANSWER else a for a in super().act(allowed, sampling, seeds)]

    class Wanderer(Puppet):
        def start(self, questions: Any) -> PuppetEpisodeBatch:
            return Unknown(self, [(question, 0) for question in questions])

    (done,) = acted(1, Wanderer({"q0": 1}))
    assert (done.steps[0].candidate.observation, done.steps[0].candidate.ok) == ("error: name one action of ash", False)
    assert done.steps[1].is_answer


def test_observers_of_judged_steps_hear_nothing() -> None:
    from spark_framework.api import hookimpl
    from spark_framework.host.manager import Host

    heard: list[str] = []

    class Ear:
        @hookimpl
        def spark_step_finished(self, question_id: str, step: Any) -> None:
            heard.append(question_id)

    host = Host()
    host.register(Ear())
    act(questions(2), 0, Puppet(), rollout_context(calls=host.calls), GREEDY, "tools")
    assert heard == []
