"""Invented episodes in StepTool's formats, and a tokenizer that needs no files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from spark_framework.training.data.ppo_csv import PpoExample

EXAMPLES = [
    PpoExample(
        prompts=("System: weather_now, Finish\nUser: Is it raining in Oslo?\n", "Function: {\"error\": \"\"}\n"),
        responses=('Action: weather_now\nAction Input: {"city": "Oslo"}\n', "Action: Finish\nIt rains — go home.\n"),
        rewards=(0.8, 1.0),
    ),
    PpoExample(
        prompts=("User: Which is the\ttallest peak?\n", "Function: 'none'\n", "Function: \"K2\"\n"),
        responses=("Action: peaks\n", "Action: peaks\n", "Action: Finish\n"),
        rewards=(0.1, 0.9666666666666668, 0.5),
    ),
]  # fmt: skip


def byte_ids(text: str, special: bool) -> Sequence[int]:
    """UTF-8 bytes; 256 is the special token that begins a text."""
    return [*([256] if special else ()), *text.encode()]


def plain_byte_ids(text: str, special: bool) -> Sequence[int]:
    """UTF-8 bytes, from a tokenizer that adds nothing."""
    return list(text.encode())


def function(name: str, description: str = "", **properties: str) -> dict[str, Any]:
    """An OpenAI function schema as ToolBench writes it: with an empty name among the required ones."""
    fields = {key: {"type": kind, "description": "", "example_value": "x"} for key, kind in properties.items()}
    parameters = {"type": "object", "properties": fields, "required": ["", *fields], "optional": [""]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def call(name: str, arguments: Any, response: str, *following: dict[str, Any]) -> dict[str, Any]:
    message = {"name": name, "arguments": json.dumps(arguments), "response": response}
    return {"role": "tool", "message": message, "next": list(following)}


def reply(value: Any, error: str = "") -> str:
    return json.dumps({"error": error, "response": value})


def prediction(*roots: dict[str, Any], query: str = "Is it raining in Oslo?") -> dict[str, Any]:
    """A converted prediction with the given first calls."""
    finish = function("Finish", return_type="string", final_answer="string")
    tools = [function("weather_now", "Weather of a city.", city="string"), function("clock"), finish]
    user = {"role": "user", "message": "", "next": list(roots)}
    system = {"role": "system", "message": "", "next": [user]}
    answer = {"method": "CoT@1", "total_steps": 4, "final_answer": "{}", "answer_details": [system]}
    return {"query": query, "available_tools": tools, "answer": answer}


def finish(text: str = "It rains.") -> dict[str, Any]:
    return call("Finish", {"return_type": "give_answer", "final_answer": text}, "")


def annotated(steps: int, repeats: Sequence[tuple[Sequence[int], Sequence[int], str]]) -> dict[str, Any]:
    """An annotated answer; each repeat is (succeeded, contributions, status)."""
    return {
        "query": "Is it raining in Oslo?", "tool_names": ["weather_now", "Finish"],
        "answer_steps": [f"Step {n + 1}: {{'name': 'weather_now'}}" for n in range(steps)],
        "process_reward": {
            str(k): {"succeed_tool_calling": list(ok), "contributions": list(gave)}
            for k, (ok, gave, _) in enumerate(repeats)
        },
        "final_step": "Final step: {'name': 'Finish'}",
        "is_solved": {str(k): f"AnswerStatus.{status}" for k, (_, _, status) in enumerate(repeats)},
    }  # fmt: skip
