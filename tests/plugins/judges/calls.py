"""Steps to be judged, replies that cannot be used, and the two judges that ask a server."""

from __future__ import annotations

import json
import re
from typing import Any

from spark_framework.api import Candidate, JudgeRequest, Question
from spark_plugin_judges.llm.claude import Claude
from spark_plugin_judges.llm.gpt4o import GPT4o
from spark_plugin_judges.llm.prompted_judge import PromptedJudge
from tests.plugins.judges.server import JudgeServer

N = 9
NAMES = tuple(f"c{k + 1}" for k in range(N))
KEY = "sk-test-very-secret"
JUDGES = {"gpt4o": (GPT4o, "/v1"), "claude": (Claude, "")}


def new_judge(name: str, server: JudgeServer, **settings: Any) -> PromptedJudge:
    kind, path = JUDGES[name]
    return kind(kind.Config(base_url=server.url + path, **settings))


def a_request(seed: int = 7, **question: Any) -> JudgeRequest:
    asked = Question(
        id="q", text="What is 6 x 7?", options=("42", "48"), answer=None, category="math", source="test"
    ).model_copy(update=question)
    candidates = tuple(
        Candidate(action=f"tool{k}", arguments={"n": k}, observation=f"observation {k}", ok=True) for k in range(N)
    )
    return JudgeRequest(question=asked, steps=(), candidates=candidates, seed=seed)


def shown_block(text: str) -> dict[str, Any]:
    """The data in a user message, out of its one block."""
    found = re.fullmatch(r'<material id="(\w+)">\n(.*)\n</material id="\1">\n[^<>]*', text, re.DOTALL)
    assert found is not None
    block: dict[str, Any] = json.loads(found[2])
    return block


def reply_of(scores: dict[str, Any], process_ok: dict[str, Any] | None = None) -> str:
    return json.dumps({"scores": scores, "process_ok": process_ok or dict.fromkeys(scores, True)})


FIVES = dict.fromkeys(NAMES, 5)


def bad(name: str = "c3", value: object = 5) -> str:
    return reply_of(FIVES | {name: value})


GOOD = reply_of({name: k for k, name in enumerate(NAMES)}, {name: k % 2 == 0 for k, name in enumerate(NAMES)})
"""Scores that tell at which place a candidate was shown."""
UNUSABLE = {
    "truncated": bad()[:40],
    "empty": "",
    "a list": "[1, 2]",
    "no JSON": "Candidate c1 gets 7 of 10",
    "fenced": f"```json\n{bad()}\n```",
    "two objects": bad() + bad(),
    "too deep": "[" * 100_000,
    "a number without end": bad().replace("5", "5" * 5000, 1),
    "wrong ids": reply_of({f"tool{k}": 5 for k in range(N)}),
    "8 of 9": reply_of(dict.fromkeys(NAMES[:8], 5)),
    "one too many": bad("c10"),
    "NaN": bad(value=float("nan")),
    "Infinity": bad(value=float("inf")),
    "true": bad(value=True),
    "11": bad(value=11),
    "-1": bad(value=-1),
    "7.5": bad(value=7.5),
    "7.0": bad(value=7.0),
    "text": bad(value="7"),
    "null": bad(value=None),
    "c1 twice": bad().replace('"c2": 5', '"c1": 6', 1),
    "scores twice": bad()[:-1] + ', "scores": {}}',
    "no process_ok": json.dumps({"scores": FIVES}),
    "process_ok 1": reply_of(FIVES, dict.fromkeys(NAMES, 1)),
    "one process_ok": reply_of(FIVES, {"c1": True}),
    "an extra part": bad()[:-1] + ', "note": "all fine"}',
}
