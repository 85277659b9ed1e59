"""The value of each reward term."""

from __future__ import annotations

import pytest

from spark_framework.api import Candidate, Question, RewardTerm, Step, Trajectory, Verdict
from spark_plugin_rewards.diversity_gap import DiversityGap
from spark_plugin_rewards.outcome import Outcome
from spark_plugin_rewards.process_penalty import ProcessPenalty
from spark_plugin_rewards.usage_rarity import UsageRarity

ACTIONS = ("calculator", "python", "search", "think")


def step(chosen: int = 1, *, ok: bool = True, usage: dict[str, int] | None = None, **more: dict[str, float]) -> Step:
    verdict = Verdict(scores=(9, 7, 2, 1), process_ok=(ok,) * 4, judge="test", fingerprint="f")
    candidates = tuple(Candidate(action=action, arguments={}) for action in ACTIONS)
    return Step(candidates=candidates, verdict=verdict, chosen=chosen, usage=usage or {}, **more)


def trajectory(*steps: Step, correct: bool = True) -> Trajectory:
    closing = Step(candidates=(Candidate(action="answer", arguments={"text": "1"}),))
    question = Question(id="q", text="?", options=("1", "2"), answer=0, category="math", source="test")
    return Trajectory(
        id="r/0/0",
        round="r",
        index=0,
        question=question,
        steps=(*steps, closing),
        answer=0 if correct else 1,
        correct=correct,
    )


def values(term: RewardTerm, episode: Trajectory) -> list[float]:
    return [term.value(one, episode) for one in episode.steps]


def test_diversity_gap() -> None:
    episode = trajectory(step(1), step(0), step(2, ok=False))
    assert values(DiversityGap(), episode) == pytest.approx([0.2, 0.0, 0.7, 0.0])
    assert values(DiversityGap(DiversityGap.Config(scale="paper")), episode) == [2.0, 0.0, 7.0, 0.0]
    assert values(DiversityGap(DiversityGap.Config(only_when_ok=True)), episode) == pytest.approx([0.2, 0, 0, 0])


def test_process_penalty() -> None:
    steps = step(ok=True), step(ok=False)
    assert values(ProcessPenalty(), trajectory(*steps)) == [0.0, -1.0, -1.0]  # right by luck
    assert values(ProcessPenalty(), trajectory(*steps, correct=False)) == [0.0, -1.0, -1.0]
    strict = ProcessPenalty(ProcessPenalty.Config(needs_correct_answer=True))
    assert values(strict, trajectory(*steps)) == [0.0, -1.0, -1.0]
    assert values(strict, trajectory(*steps, correct=False)) == [-1.0, -1.0, -1.0]


def test_outcome() -> None:
    every = Outcome(Outcome.Config(at="every"))
    assert values(Outcome(), trajectory(step(), step())) == [0.0, 0.0, 1.0]
    assert values(every, trajectory(step())) == [1.0, 1.0]
    assert values(every, trajectory(step(), correct=False)) == [0.0, 0.0]


def test_usage_rarity_of_counts() -> None:
    def rarity(usage: dict[str, int]) -> float:
        return values(UsageRarity(), trajectory(step(1, usage=usage)))[0]

    assert rarity({}) == 0.0  # nothing was used: every action is as common as any other
    assert rarity({"calculator": 7, "python": 1, "answer": 99}) == 0.75  # 2 against 8; the answer does not count
    assert rarity({"calculator": 999}) == 0.999
    assert rarity({"python": 10_000}) == 0.0


def test_usage_rarity_of_the_policy() -> None:
    term = UsageRarity(UsageRarity.Config(of="policy"))
    probs = {"calculator": 0.2, "python": 0.1, "answer": 0.7}
    episode = trajectory(step(1, action_probs=probs), step(2, action_probs=probs))
    assert values(term, episode) == pytest.approx([0.5, 1.0, 0.0])
    with pytest.raises(ValueError, match="of=counts"):
        values(term, trajectory(step()))


def test_usage_rarity_pays_for_sound_steps_only() -> None:
    episode = trajectory(step(ok=False, usage={"calculator": 9}))
    assert values(UsageRarity(), episode) == [0.0, 0.0]
    assert values(UsageRarity(UsageRarity.Config(only_when_ok=False)), episode) == [0.9, 0.0]


@pytest.mark.parametrize("kind", [DiversityGap, ProcessPenalty, Outcome, UsageRarity])
def test_each_module_offers_its_class(kind: type[RewardTerm]) -> None:
    module = __import__(kind.__module__, fromlist=["spark_reward_terms"])
    assert module.spark_reward_terms() == [kind]
    assert kind.__module__ == f"spark_plugin_rewards.{kind.name}"
