"""Rollouts in waves: one step of every open trajectory at once. Propose for all, execute, judge all, select, go on.

Waves make batched generation, bounded judge concurrency and resume simple. Usage counters move in question order after
all verdicts of a step are in, and every draw has its own seed: neither concurrency nor batch size changes a result.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from ..contracts.components import Judge, JudgeRequest, Selector, Tool, ToolContext
from ..errors import ConfigError, JudgeError
from ..host.hooks import Calls
from ..judging.runner import JudgeRunner
from ..policy import Move, Policy, Sampling, Wave
from ..policy.formats import ActionSpace
from ..questions.grading import resolve_answer
from ..records import ANSWER, THINK, Candidate, Question, Step, Trajectory, Verdict
from ..util.seeding import child_rng, child_seed

log = logging.getLogger(__name__)
THOUGHT_NOTED = "go on"
"""What the environment says to a thought: nothing new."""


@dataclass(frozen=True)
class Workshop:
    """Everything that acts in a rollout beside the policy, resolved once before the loop."""

    tools: dict[str, Tool]
    space: ActionSpace
    calls: Calls
    seed: int
    steps: int
    workers: int = 8
    judge: Judge | None = None
    judging: JudgeRunner | None = None
    fallback: Judge | None = None
    selector: Selector | None = None
    threshold: float = 6.0

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the proposed actions, in order: the tools, then `think`."""
        return self.space.candidates


@dataclass(frozen=True)
class Plan:
    """How one round of rollouts goes."""

    round: str
    sampling: Sampling
    execute_all: bool = True
    branches: int = 1
    branch_among_viable: bool = True


@dataclass
class _Open:
    """A trajectory that has not ended."""

    index: int
    question: Question
    branch: int = 0
    steps: list[Step] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"{self.index}/{self.branch}"


@dataclass(frozen=True)
class Lost:
    """A trajectory that was given up because the judge failed."""

    index: int
    """Of the question, in its round."""
    reason: str
    """Where, and why."""


@dataclass
class WaveResult:
    trajectories: list[Trajectory]
    lost: list[Lost]


def roll_out(
    questions: Mapping[int, Question], policy: Policy, shop: Workshop, plan: Plan, usage: Mapping[str, int]
) -> WaveResult:
    """Roll out some questions together, from the first step to their answers.

    Args:
        questions: by their index in the round.
        usage: how often each action was chosen in the round's stored trajectories (`count_actions`).
    """
    names, counts = shop.candidates, Counter(usage)
    rows = [_Open(index, question) for index, question in questions.items()]
    wave = policy.begin(list(questions.values()))
    finished: list[_Open] = []
    lost: list[Lost] = []
    for number in range(shop.steps + 1):
        if not rows:
            break
        probs = wave.action_probs()
        ends = _who_ends(wave, rows, probs, number, shop, plan)
        seeds = [child_seed(shop.seed, plan.round, row.id, number) % 2**40 for row in rows]
        written = wave.write([(ANSWER,) if end else names for end in ends], plan.sampling, seeds)
        live = [i for i, end in enumerate(ends) if not end]
        for i in set(range(len(rows))) - set(live):
            rows[i].steps.append(Step(candidates=tuple(written[i]), action_probs=probs[i]))
            finished.append(rows[i])
        if plan.execute_all:
            executed = execute(shop, [(rows[i].question, number, candidate) for i in live for candidate in written[i]])
            parts = iter(executed)
            for i in live:
                written[i] = [next(parts) for _ in written[i]]
        verdicts = _judge(shop, [(rows[i], number, written[i]) for i in live])
        moves: list[Move] = []
        following: list[_Open] = []
        for i, verdict in zip(live, verdicts, strict=True):
            if isinstance(verdict, JudgeError):
                lost.append(Lost(rows[i].index, f"trajectory {rows[i].id}, step {number}: {verdict}"))
                log.warning("%s; the trajectory is lost", lost[-1].reason)
                continue
            for branch, step in enumerate(_select(shop, plan, rows[i], number, written[i], verdict, counts, probs[i])):
                if not plan.execute_all:
                    step = _with_observation(step, execute(shop, [(rows[i].question, number, step.candidate)])[0])
                counts[step.candidate.action] += 1
                moves.append(Move(i, step.candidate, step.candidate.observation or ""))
                copy = _Open(rows[i].index, rows[i].question, rows[i].branch + branch, list(rows[i].steps))
                copy.steps.append(step)
                following.append(copy)
        if moves:
            for row, context in zip(following, wave.advance(moves), strict=True):
                row.steps[-1] = row.steps[-1].model_copy(update={"context_ids": context})
                shop.calls.step_finished(row.question.id, row.steps[-1])
        rows = following
    finished.sort(key=lambda row: (row.index, row.branch))
    return WaveResult(
        [close(row.index, row.branch, row.question, row.steps, policy, plan.round) for row in finished], lost
    )


def roll_out_all(
    questions: Mapping[int, Question], policy: Policy, shop: Workshop, plan: Plan, usage: Mapping[str, int],
    fallback: Judge | None,
) -> WaveResult:  # fmt: skip
    """Roll out, and once more with the fallback judge whatever the judge failed on: whole questions, from the start,
    since two judges' scores must not meet in one trajectory."""
    result = roll_out(questions, policy, shop, plan, usage)
    if fallback is None or not result.lost:
        return result
    again = {index: questions[index] for index in sorted({lost.index for lost in result.lost})}
    kept = [trajectory for trajectory in result.trajectories if trajectory.index not in again]
    counts = Counter(usage) + count_actions(kept)
    second = roll_out(again, policy, replace(shop, judge=fallback), plan, counts)
    both = sorted([*kept, *second.trajectories], key=lambda trajectory: (trajectory.index, trajectory.branch))
    return WaveResult(both, second.lost)


def count_actions(trajectories: Iterable[Trajectory]) -> Counter[str]:
    """How often each action was taken, closing answers left out."""
    return Counter(step.candidate.action for t in trajectories for step in t.steps if not step.is_answer)


def close(
    index: int, branch: int, question: Question, steps: Sequence[Step], policy: Policy, round_name: str
) -> Trajectory:
    """The finished record: reads the answer from the last step."""
    last = steps[-1].candidate
    text = str(last.arguments.get("text", "")) if last.arguments else last.text
    answer = resolve_answer(text, question.options)
    return Trajectory(
        id=f"{round_name}/{index}/{branch}", round=round_name, index=index, branch=branch, question=question,
        steps=tuple(steps), answer=answer, correct=answer is not None and answer == question.answer,
        prompt_ids=policy.prompt_ids(question), policy=policy.fingerprint(),
    )  # fmt: skip


def execute(shop: Workshop, jobs: Sequence[tuple[Question, int, Candidate]]) -> list[Candidate]:
    """Carry out (question, step number, candidate) jobs in a few threads; failures become observations."""

    def one(job: tuple[Question, int, Candidate]) -> Candidate:
        question, number, candidate = job
        if candidate.arguments is None:
            return candidate.model_copy(update={"observation": candidate.error, "ok": False})
        if candidate.action == THINK:
            return candidate.model_copy(update={"observation": THOUGHT_NOTED, "ok": True})
        seed = child_seed(shop.seed, "tool", question.id, number)
        context = ToolContext(question_id=question.id, step=number, seed=seed)
        ok, text = shop.calls.call_tool(shop.tools[candidate.action], candidate.arguments, context)
        return candidate.model_copy(update={"observation": text, "ok": ok})

    with ThreadPoolExecutor(shop.workers) as pool:
        return list(pool.map(one, jobs))


def _who_ends(
    wave: Wave, rows: list[_Open], probs: list[dict[str, float]], number: int, shop: Workshop, plan: Plan
) -> list[bool]:
    """Rows that answer now. At least one action is tried first; after the last step everybody answers."""
    if number == 0:
        return [False] * len(rows)
    if number == shop.steps:
        return [True] * len(rows)
    if all(probs):
        ends = []
        for row, p in zip(rows, probs, strict=True):
            if plan.sampling.temperature == 0:
                ends.append(max(p, key=p.__getitem__) == ANSWER)
            else:
                ends.append(child_rng(shop.seed, plan.round, row.id, number, "end").random() < p[ANSWER])
        return ends
    seeds = [child_seed(shop.seed, plan.round, row.id, number, "end") for row in rows]
    own = wave.decide((*shop.candidates, ANSWER), plan.sampling, seeds)
    return [candidate.action == ANSWER for candidate in own]


def _judge(shop: Workshop, jobs: Sequence[tuple[_Open, int, list[Candidate]]]) -> list[Verdict | JudgeError]:
    """One verdict for each row, or why the judge has none. What only the user can mend stops the run."""
    assert shop.judge is not None
    assert shop.judging is not None
    requests = [
        JudgeRequest(
            question=row.question, steps=tuple(row.steps), candidates=tuple(candidates),
            seed=child_seed(shop.seed, "judge", row.id, number),
        )
        for row, number, candidates in jobs
    ]  # fmt: skip
    return shop.judging.judge_all(shop.judge, requests)


def _select(
    shop: Workshop, plan: Plan, row: _Open, number: int, candidates: list[Candidate], verdict: Verdict,
    usage: Counter[str], probs: dict[str, float],
) -> list[Step]:  # fmt: skip
    """The selector's choice and, at the first step, the further branches."""
    assert shop.selector is not None
    counts = {name: usage[name] for name in shop.candidates}
    rng = child_rng(shop.seed, plan.round, row.id, number, "select")
    scores = verdict.scores
    first = shop.selector.select(candidates, scores, threshold=shop.threshold, usage=counts, rng=rng)
    if not 0 <= first < len(candidates):
        raise ConfigError(f"selector: {shop.selector.name} chose {first} of {len(candidates)} candidates at {row.id}")
    viable = [i for i, score in enumerate(scores) if score > shop.threshold]
    chosen = [first]
    if number == 0 and plan.branches > 1:
        pool = [i for i in (viable if plan.branch_among_viable else range(len(candidates))) if i != first]
        while pool and len(chosen) < plan.branches:
            weights = [probs.get(candidates[i].action, 1.0) ** 0.5 for i in pool]  # temperature 2
            chosen.append(pool.pop(rng.choices(range(len(pool)), weights)[0]))
    return [
        Step(
            candidates=tuple(candidates),
            verdict=verdict,
            chosen=i,
            none_viable=not viable,
            usage=counts,
            action_probs=probs,
        )
        for i in chosen
    ]


def _with_observation(step: Step, candidate: Candidate) -> Step:
    candidates = [candidate if i == step.chosen else other for i, other in enumerate(step.candidates)]
    return step.model_copy(update={"candidates": tuple(candidates)})
