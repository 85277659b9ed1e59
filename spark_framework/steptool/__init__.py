"""StepTool (arXiv 2410.07745): step-grained rewards, step-grained optimisation, evaluation, and its own file formats.

    from spark_framework.steptool import padded_advantages, read_ppo_csv

Names are loaded on first use; the maths needs torch, the files do not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .annotations import AnnotatedAnswer
    from .answers import Prediction, read_queries, trajectories_of, tree_of, write_queries
    from .api_server import RecordedApis
    from .checking import compare_with
    from .collection import Collection, import_files
    from .evaluating import figures, read_needed, tool_recall
    from .files import PpoExample, read_ppo_csv, write_ppo_csv
    from .losses import Places, adapted_kl_coef, advantages, step_loss, token_rewards, whiten
    from .padded import padded_advantages, padded_loss
    from .shaping import Annotation, composed, marked, marks
    from .work import Judging, evaluate_trajectories, export_trajectories

_PUBLIC = {
    "AnnotatedAnswer": "annotations",
    "Annotation": "shaping",
    "Collection": "collection",
    "Judging": "work",
    "Places": "losses",
    "PpoExample": "files",
    "Prediction": "answers",
    "RecordedApis": "api_server",
    "adapted_kl_coef": "losses",
    "advantages": "losses",
    "compare_with": "checking",
    "composed": "shaping",
    "evaluate_trajectories": "work",
    "export_trajectories": "work",
    "figures": "evaluating",
    "import_files": "collection",
    "marked": "shaping",
    "marks": "shaping",
    "padded_advantages": "padded",
    "padded_loss": "padded",
    "read_needed": "evaluating",
    "read_ppo_csv": "files",
    "read_queries": "answers",
    "step_loss": "losses",
    "token_rewards": "losses",
    "tool_recall": "evaluating",
    "trajectories_of": "answers",
    "tree_of": "answers",
    "whiten": "losses",
    "write_ppo_csv": "files",
    "write_queries": "answers",
}

__all__ = [
    "AnnotatedAnswer",
    "Annotation",
    "Collection",
    "Judging",
    "Places",
    "PpoExample",
    "Prediction",
    "RecordedApis",
    "adapted_kl_coef",
    "advantages",
    "compare_with",
    "composed",
    "evaluate_trajectories",
    "export_trajectories",
    "figures",
    "import_files",
    "marked",
    "marks",
    "padded_advantages",
    "padded_loss",
    "read_needed",
    "read_ppo_csv",
    "read_queries",
    "step_loss",
    "token_rewards",
    "tool_recall",
    "trajectories_of",
    "tree_of",
    "whiten",
    "write_ppo_csv",
    "write_queries",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
