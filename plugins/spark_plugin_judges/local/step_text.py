"""A step as plain text, for models on this machine."""

from __future__ import annotations

import json

from spark_framework.api import LETTERS, Candidate, Question, Step

from ..llm.prompt import _shown, _visible

LABELS = {"action": "Action", "thought": "Thought", "arguments": "Input", "unreadable_text": "Input",
          "observation": "Observation"}  # fmt: skip


def question_text(question: Question) -> str:
    """The question with its options."""
    options = "; ".join(f"{LETTERS[k]}. {_visible(option)}" for k, option in enumerate(question.options))
    return f"Question: {_visible(question.text)}\nOptions: {options}\n"


def steps_text(steps: tuple[Step, ...]) -> str:
    """What was done so far."""
    return "".join(f"\n{candidate_text(step.candidate)}\n" for step in steps)


def candidate_text(candidate: Candidate) -> str:
    """A call and, if it was executed, its observation. Long parts are clipped as for LLM judges."""
    fields = _shown(candidate)
    lines = [(LABELS[name], value) for name, value in fields.items() if name in LABELS]
    return "\n".join(
        f"{label}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for label, value in lines
    )
