"""A text-only policy whose every move is known beforehand, and eight tools that echo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spark_framework.api import ANSWER, THINK, Candidate, Question, Tool, ToolArgs, ToolError
from spark_framework.config.judging import JudgingSection
from spark_framework.host.manager import Host
from spark_framework.judging.cache import JudgeStore
from spark_framework.judging.client import JudgeClient
from spark_framework.judging.runner import JudgeRunner
from spark_framework.policy import Continuation, Sampling
from spark_framework.policy.action_space import ActionSpace
from spark_framework.rollout.environment import RolloutContext
from spark_plugin_judges.scripted import Scripted
from spark_plugin_selectors.rarity_first import RarityFirst

TOOLS = ("ash", "birch", "cedar", "date", "elm", "fir", "gum", "hazel")


class EchoArgs(ToolArgs):
    text: str


def echo_tool(tool_name: str) -> Tool:
    class Echo(Tool):
        name = tool_name
        description = f"Says {tool_name}."
        Args = EchoArgs

        def call(self, args: Any, context: Any) -> str:
            if args.text == "fail":
                raise ToolError("asked to fail")
            return f"{tool_name} heard {args.text}"

    return Echo()


def questions(count: int) -> list[Question]:
    return [
        Question(id=f"q{i}", text=f"Question {i}?", options=("no", "yes"), answer=1, category="c", source="s")
        for i in range(count)
    ]


def rollout_context(scores: Mapping[str, float] | None = None, /, **changes: Any) -> RolloutContext:
    """Eight echoing tools, the scripted judge and the rarity-first selector."""
    tools, calls = {name: echo_tool(name) for name in TOOLS}, Host().calls
    client = JudgeClient(calls, JudgeStore(Path(":memory:")), JudgingSection(), "test")
    settings = {
        "tools": tools, "space": ActionSpace.of([*tools.values()]), "calls": calls,
        "seed": 0, "steps": 5, "judge": Scripted(Scripted.Config(scores=dict(scores or {}))),
        "judging": JudgeRunner(client), "selector": RarityFirst(),
    }  # fmt: skip
    return RolloutContext(**{**settings, **changes})


class Puppet:
    """Answers a question after `acts[id]` actions (2 where not named) and writes its id as every tool's text.

    Args:
        probs: what the head says in every state; {} is a policy without a head.
        arguments: what is written for an action instead.
    """

    def __init__(
        self, acts: Mapping[str, int] | None = None, probs: Mapping[str, float] | None = None,
        arguments: Mapping[str, dict[str, Any] | None] | None = None,
    ) -> None:  # fmt: skip
        self.acts, self.probs, self.arguments = dict(acts or {}), dict(probs or {}), dict(arguments or {})

    def fingerprint(self) -> str:
        return "puppet"

    def prompt_ids(self, question: Question) -> tuple[int, ...]:
        return ()

    def start(self, questions: Sequence[Question]) -> PuppetEpisodeBatch:
        return PuppetEpisodeBatch(self, [(question, 0) for question in questions])


class PuppetEpisodeBatch:
    def __init__(self, policy: Puppet, rows: list[tuple[Question, int]]) -> None:
        self.policy, self.rows = policy, rows

    def action_probs(self) -> list[dict[str, float]]:
        return [self.policy.probs for _ in self.rows]

    def propose(
        self, actions: Sequence[Sequence[str]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[list[Candidate]]:
        rows = zip(self.rows, actions, strict=True)
        return [[self._candidate(name, question) for name in names] for (question, _), names in rows]

    def act(self, allowed: Sequence[str], sampling: Sampling, seeds: Sequence[int]) -> list[Candidate]:
        names = [ANSWER if step >= self.policy.acts.get(q.id, 2) else allowed[0] for q, step in self.rows]
        return [row[0] for row in self.propose([[name] for name in names], sampling, seeds)]

    def step(self, continuations: Sequence[Continuation]) -> list[tuple[int, ...]]:
        self.rows = [
            (self.rows[continuation.row][0], self.rows[continuation.row][1] + 1) for continuation in continuations
        ]
        return [() for _ in continuations]

    def _candidate(self, action: str, question: Question) -> Candidate:
        if action == ANSWER:
            return Candidate(action=ANSWER, arguments={"text": "yes"})
        arguments = {"thought": "hm"} if action == THINK else {"text": question.id}
        arguments = self.policy.arguments.get(action, arguments)
        return Candidate(
            action=action,
            arguments=arguments,
            text=str(arguments),
            error="error: no JSON" if arguments is None else None,
        )
