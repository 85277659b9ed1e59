"""StepTool's chat formats, in which it writes trajectories as text: the cells of its CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..judging.marks import compose_rewards, marks_of_steps
from ..records import ANSWER, THINK, Candidate, Step, Trajectory
from ..training.data.ppo_csv import PpoExample
from .predictions import call_succeeded, message_of, open_question, read_arguments

MAX_OBSERVATION = 1024
"""Characters of a response that are kept; `...` replaces the rest."""
VERBATIM = "step_grained_for_ppo"
"""Source of questions whose trajectories hold the unchanged cells of a CSV."""
_CALL = re.compile(r"Action:[ ]*(?P<name>\S+)\s+Action Input:\s*(?P<arguments>\{.*\})", re.DOTALL)
_THOUGHT = re.compile(r"\s*Thought:[ ]?(?P<thought>.*?)\n?Action:", re.DOTALL)
_ENVELOPE = '{"error"'


@dataclass(frozen=True)
class Style:
    """The template texts of a chat. `@` marks the place of the content."""

    system: str
    user: str
    function: str
    thought: str
    end: str
    """Text after every response."""

    def opening(self, tool_names: Sequence[str], query: str) -> str:
        tools = f"Specifically, you have access to the following APIs: {list(tool_names)}"
        return self.system.replace("@", tools, 1) + self.user.replace("@", query, 1)

    def observation(self, response: str) -> str:
        cut = response if len(response) <= MAX_OBSERVATION else f"{response[:MAX_OBSERVATION]}..."
        return self.function.replace("@", cut, 1)

    def response(self, thought: str, name: str, arguments: str) -> str:
        return f"{self.thought.replace('@', thought, 1)}Action: {name}\nAction Input: {arguments}{self.end}"


STYLES = {
    "qwen2": Style(
        system="<|im_start|>system\n@<|im_end|>\n",
        user="<|im_start|>user\n\n@\nBegin!\n<|im_end|>\n<|im_start|>assistant\n",
        function="<|im_start|>function\n@<|im_end|>\n<|im_start|>assistant\n",
        thought="Thought: @\n",
        end="<|im_end|>\n",
    ),
    "llama3-1": Style(
        system="<|start_header_id|>system<|end_header_id|>\n\n@<|eot_id|>",
        user=(
            "<|start_header_id|>user<|end_header_id|>\n\n@\nBegin!\n<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        ),
        function=(
            "<|start_header_id|>function<|end_header_id|>\n\n@<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        ),
        thought="Thought: @\n",
        end="<|eot_id|>",
    ),
    "toolllama": Style(
        system="System:\n@\n",
        user="User:\n@\nBegin!\n\nAssistant:\n",
        function="Function:\n@\nAssistant:\n",
        thought="",
        end="\n",
    ),
}
"""Chat styles by the names of StepTool's folders."""


def written(trajectory: Trajectory, tool_names: Sequence[str], style: Style, alpha: float = 1.0) -> PpoExample:
    """An annotated trajectory as a row of the CSV. A thought is part of the response of the call after it.

    Raises:
        DataError: it has no annotations.
    """
    rewards = compose_rewards(marks_of_steps(trajectory), alpha)
    prompts, responses = [style.opening(tool_names, trajectory.question.text)], []
    thoughts: list[str] = []
    for step in trajectory.steps:
        if step.candidate.action == THINK:
            thoughts.append(step.candidate.text)
            continue
        message = message_of(step)
        responses.append(style.response("\n".join(thoughts), message.name, message.arguments))
        prompts.append(style.observation(message.response))
        thoughts = []
    return PpoExample(prompts=tuple(prompts[:-1]), responses=tuple(responses), rewards=tuple(rewards))


def verbatim_trajectory(example: PpoExample, round_name: str, index: int) -> Trajectory:
    """A row of the CSV as a trajectory that `verbatim_example` gives back, character by character.

    Its question is the first prompt, a step's observation the next prompt, its `marks` the reward: `reward`, and
    `is_solved` for the last step. Actions, arguments and success of calls are read from the texts where possible.
    """
    observations = [*example.prompts[1:], None]
    last = len(example.responses) - 1
    steps = tuple(
        Step(
            candidates=(_read(response, observation, closing=number == last),),
            marks={"is_solved" if number == last else "reward": reward},
        )
        for number, (response, observation, reward) in enumerate(
            zip(example.responses, observations, example.rewards, strict=True)
        )
    )
    question = open_question(f"{round_name}-{index + 1}", example.prompts[0])
    question = question.model_copy(update={"category": VERBATIM, "source": VERBATIM})
    return Trajectory(
        id=f"{round_name}/{index}/0", round=round_name, index=index, question=question, steps=steps, answer=None,
        correct=False,
    )  # fmt: skip


def verbatim_example(trajectory: Trajectory) -> PpoExample:
    """The row that `verbatim_trajectory` read."""
    *earlier, closing = trajectory.steps
    return PpoExample(
        prompts=(trajectory.question.text, *(step.candidate.observation or "" for step in earlier)),
        responses=tuple(step.candidate.text for step in trajectory.steps),
        rewards=(*(step.marks["reward"] for step in earlier), closing.marks["is_solved"]),
    )


def _read(response: str, observation: str | None, *, closing: bool) -> Candidate:
    call = _CALL.search(response)
    arguments, error = read_arguments(call["arguments"]) if call else (None, "error: no action could be read")
    name = call["name"] if call else "?"
    thought = _THOUGHT.match(response)
    envelope = (observation or "").find(_ENVELOPE)
    return Candidate(
        action=ANSWER if closing else name, arguments=arguments, error=error, text=response,
        thought=thought["thought"].strip() if thought else "", observation=observation,
        ok=None if envelope < 0 or observation is None else call_succeeded(observation[envelope:]),
    )  # fmt: skip
