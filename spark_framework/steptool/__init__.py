"""StepTool (arXiv 2410.07745): step-grained rewards, step-grained optimisation, evaluation, and its own file formats.

    from spark_framework.steptool import read_ppo_csv, token_rewards

Names are loaded on first use; the maths needs torch, the files do not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..judging.marks import Annotation, average_annotations, compose_rewards, with_annotations
    from ..training.algorithms.steptool import (
        adapted_kl_coef,
        advantages,
        step_loss,
        token_rewards,
        whiten,
    )
    from ..training.data.ppo_csv import PpoExample, read_ppo_csv, write_ppo_csv
    from ..training.data.response_spans import ResponseSpans
    from .annotations import AnnotatedAnswer
    from .collection import Collection, import_files
    from .commands import Judging, evaluate_trajectories, export_trajectories
    from .metrics import figures, read_needed, tool_recall
    from .predictions import Prediction, read_queries, trajectories_of, tree_of, write_queries

_PUBLIC = {
    "AnnotatedAnswer": "annotations",
    "Annotation": ".judging.marks",
    "Collection": "collection",
    "Judging": "commands",
    "ResponseSpans": ".training.data.response_spans",
    "PpoExample": ".training.data.ppo_csv",
    "Prediction": "predictions",
    "adapted_kl_coef": ".training.algorithms.steptool",
    "advantages": ".training.algorithms.steptool",
    "compose_rewards": ".judging.marks",
    "evaluate_trajectories": "commands",
    "export_trajectories": "commands",
    "figures": "metrics",
    "import_files": "collection",
    "with_annotations": ".judging.marks",
    "average_annotations": ".judging.marks",
    "read_needed": "metrics",
    "read_ppo_csv": ".training.data.ppo_csv",
    "read_queries": "predictions",
    "step_loss": ".training.algorithms.steptool",
    "token_rewards": ".training.algorithms.steptool",
    "tool_recall": "metrics",
    "trajectories_of": "predictions",
    "tree_of": "predictions",
    "whiten": ".training.algorithms.steptool",
    "write_ppo_csv": ".training.data.ppo_csv",
    "write_queries": "predictions",
}

__all__ = [
    "AnnotatedAnswer",
    "Annotation",
    "Collection",
    "Judging",
    "PpoExample",
    "Prediction",
    "ResponseSpans",
    "adapted_kl_coef",
    "advantages",
    "average_annotations",
    "compose_rewards",
    "evaluate_trajectories",
    "export_trajectories",
    "figures",
    "import_files",
    "read_needed",
    "read_ppo_csv",
    "read_queries",
    "step_loss",
    "token_rewards",
    "tool_recall",
    "trajectories_of",
    "tree_of",
    "whiten",
    "with_annotations",
    "write_ppo_csv",
    "write_queries",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
