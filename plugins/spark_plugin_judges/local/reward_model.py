"""A judge from any sequence-classification model of Hugging Face: reward models, preference models, verifiers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from spark_framework.api import ConfigError, Judge, JudgeRequest, hookimpl

from .likelihood import without_middle
from .local_model import LocalConfig, LocalJudge
from .step_text import candidate_text, question_text, steps_text

ROWS = 4
"""Candidates in one forward pass, if the model has a padding token."""
MOST_TOKENS = 8192
"""Used if neither model nor tokenizer names a limit."""


class RewardModel(LocalJudge):
    """Raw value of a candidate: the model's logit, or the log-odds of one of its labels.

    The model reads question, options and steps so far as the user's turn and the candidate (action, arguments,
    observation) as the assistant's, by the tokenizer's chat template; without one it reads them as a pair of texts.

    Needs a calibration map: logits have no scale. A candidate is process_ok when its score is above `process_threshold`
    and its call was readable and did not fail; earlier steps do not count, as each had a verdict of its own.
    """

    name = "reward_model"
    auto_class = "AutoModelForSequenceClassification"

    class Config(LocalConfig):
        model: str = Field(min_length=1)
        """A sequence-classification model: a folder or a hub id."""
        label: str | None = None
        """The label whose log-odds count, where the model has several."""

    def texts(self, request: JudgeRequest) -> dict[str, Any]:
        return {
            "label": self.config.label,
            "context": question_text(request.question) + steps_text(request.steps),
            "candidates": [candidate_text(candidate) for candidate in request.candidates],
        }

    def values(self, model: Any, tokenizer: Any, texts: dict[str, Any]) -> list[float]:
        column = _column(model, texts["label"])
        rows = [_encoded(model, tokenizer, texts["context"], text) for text in texts["candidates"]]
        size = ROWS if model.config.pad_token_id is not None else 1
        logits = [row for at in range(0, len(rows), size) for row in _logits(model, tokenizer, rows[at : at + size])]
        return [_log_odds(row, column) for row in logits]


def _column(model: Any, label: str | None) -> int:
    """The logit that counts. Raises `ConfigError` where the setting does not fit the model."""
    labels = [model.config.id2label[k] for k in range(model.config.num_labels)]
    if label is None and len(labels) == 1:
        return 0
    if len(labels) > 1 and label in labels:
        return labels.index(label)
    if len(labels) == 1:
        raise ConfigError("judge.label: the model has one output and no labels; leave the setting out")
    raise ConfigError(f"judge.label: set it to one of the model's labels: {', '.join(labels)}")


def _log_odds(logits: Any, column: int) -> float:
    """log p/(1-p) of a label; with two labels that is the difference of the logits. A single logit stays as it is."""
    if len(logits) == 1:
        return float(logits[0])
    others = [k for k in range(len(logits)) if k != column]
    return float(logits[column] - logits[others].logsumexp(0))


def _logits(model: Any, tokenizer: Any, rows: list[dict[str, list[int]]]) -> Any:
    """[rows, labels]. Padded on the right, with the id by which the model finds a row's last token."""
    import torch

    width = max(len(row["input_ids"]) for row in rows)
    fill = {"input_ids": model.config.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    batch = {
        name: torch.tensor(
            [row[name] + [fill.get(name, 0)] * (width - len(row[name])) for row in rows], device=model.device
        )
        for name in rows[0]
    }
    return model(**batch).logits.float()


def _encoded(model: Any, tokenizer: Any, context: str, candidate: str) -> dict[str, list[int]]:
    """One row of the model's input. Where it is too long, the middle is left out."""
    room = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", MOST_TOKENS))
    context, candidate = (_without_control_tokens(tokenizer, text) for text in (context, candidate))
    if tokenizer.chat_template is None:
        pair = tokenizer(context, candidate, truncation="longest_first", max_length=room, return_attention_mask=True)
        return dict(pair)
    turns = [{"role": "user", "content": context}, {"role": "assistant", "content": candidate}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    ids = without_middle(tokenizer(text, add_special_tokens=False, verbose=False).input_ids, room)
    return {"input_ids": ids, "attention_mask": [1] * len(ids)}


def _without_control_tokens(tokenizer: Any, text: str) -> str:
    """Text from tools and policies is plain text: control tokens in it are broken in two."""
    control = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    for token in sorted(control, key=len, reverse=True):
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [RewardModel]
