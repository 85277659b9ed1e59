"""Evaluation: the policy acts alone, without judge or selector."""

from __future__ import annotations

from collections.abc import Sequence

from ..policy import Move, Policy, Sampling
from ..records import ANSWER, Question, Step, Trajectory
from ..rollout.engine import Workshop, close, execute
from ..util.seeding import child_seed


def act(
    questions: Sequence[Question], first: int, policy: Policy, shop: Workshop, sampling: Sampling, name: str,
    *, use_tools: bool = True,
) -> list[Trajectory]:  # fmt: skip
    """Let the policy answer some questions together.

    Args:
        questions: with indices `first`, `first + 1`, … in the test split.
        use_tools: False asks for the answer at once (the rung without tools).
    """
    wave = policy.begin(questions)
    rows = list(range(len(questions)))
    steps: list[list[Step]] = [[] for _ in questions]
    for number in range(shop.steps + 1):
        last = number == shop.steps or not use_tools
        allowed = (ANSWER,) if last else (*shop.candidates, ANSWER)
        seeds = [child_seed(shop.seed, "evaluation", name, first + row, number) % 2**40 for row in rows]
        probs = wave.action_probs()
        decided = wave.decide(allowed, sampling, seeds)
        known = [i for i, candidate in enumerate(decided) if candidate.action in shop.candidates and not last]
        executed = execute(shop, [(questions[rows[i]], number, decided[i]) for i in known])
        for i, candidate in zip(known, executed, strict=True):
            decided[i] = candidate
        moves = []
        for at, (row, candidate, p) in enumerate(zip(rows, decided, probs, strict=True)):
            ends = last or candidate.action == ANSWER
            if not ends and candidate.observation is None:  # a name that is no action
                candidate = candidate.model_copy(update={"observation": candidate.error, "ok": False})
            steps[row].append(Step(candidates=(candidate,), action_probs=p))
            if not ends:
                moves.append(Move(at, candidate, candidate.observation or ""))
        if not moves:
            break
        rows = [rows[move.row] for move in moves]
        for row, context in zip(rows, wave.advance(moves), strict=True):
            steps[row][-1] = steps[row][-1].model_copy(update={"context_ids": context})
    return [close(first + i, 0, question, steps[i], policy, name) for i, question in enumerate(questions)]
