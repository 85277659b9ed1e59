"""Everything that a plugin may import from the framework.

Contracts, records and errors are loaded with this module, the rest on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .contracts.calibrated_judge import CalibratedJudge, Calibration, fit_calibration
from .contracts.components import (
    Component,
    ComponentConfig,
    Judge,
    JudgeRequest,
    RewardTerm,
    Selector,
    Tool,
    ToolArgs,
    ToolContext,
    Toolset,
)
from .contracts.hookspecs import hookimpl
from .contracts.remote_judge import Batches, Price, Usage, WireJudge, WireReply, WireRequest
from .contracts.tool_arguments import arguments_from_schema
from .errors import ConfigError, JudgeError, ToolError, UserError
from .records import ANSWER, LETTERS, THINK, Call, Candidate, Question, Step, Trajectory, Verdict

if TYPE_CHECKING:
    from .host.component_spec import JudgeChoice
    from .models.loading import model_folder
    from .questions.grading import match_option, resolve_answer
    from .runs.verdicts import recorded_verdicts, step_digest
    from .util.cache_dir import cache_folder

API_VERSION = (1, 0)

_ON_FIRST_USE = {
    "JudgeChoice": "host.component_spec",
    "cache_folder": "util.cache_dir",
    "match_option": "questions.grading",
    "model_folder": "models.loading",
    "recorded_verdicts": "runs.verdicts",
    "resolve_answer": "questions.grading",
    "step_digest": "runs.verdicts",
}

__all__ = [
    "ANSWER",
    "API_VERSION",
    "LETTERS",
    "THINK",
    "Batches",
    "CalibratedJudge",
    "Calibration",
    "Call",
    "Candidate",
    "Component",
    "ComponentConfig",
    "ConfigError",
    "Judge",
    "JudgeChoice",
    "JudgeError",
    "JudgeRequest",
    "Price",
    "Question",
    "RewardTerm",
    "Selector",
    "Step",
    "Tool",
    "ToolArgs",
    "ToolContext",
    "ToolError",
    "Toolset",
    "Trajectory",
    "Usage",
    "UserError",
    "Verdict",
    "WireJudge",
    "WireReply",
    "WireRequest",
    "arguments_from_schema",
    "cache_folder",
    "fit_calibration",
    "hookimpl",
    "match_option",
    "model_folder",
    "recorded_verdicts",
    "resolve_answer",
    "step_digest",
]

if not TYPE_CHECKING:  # type checkers know the names above, and report any other

    def __getattr__(name: str) -> Any:
        if name not in _ON_FIRST_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_ON_FIRST_USE[name]}", __package__), name)
