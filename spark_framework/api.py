"""Everything a plugin may import, and nothing else of the framework."""

from .contracts import (
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
from .errors import ConfigError, JudgeError, ToolError, UserError
from .evaluation.answers import match_option, resolve_answer
from .hookspecs import hookimpl
from .host.choices import JudgeChoice
from .judging.calibration import CalibratedJudge, Calibration, fit_calibration
from .judging.verdict_file import recorded_verdicts, step_digest
from .paths import cache_folder
from .policy.models import model_folder
from .records import ANSWER, LETTERS, THINK, Call, Candidate, Question, Step, Trajectory, Verdict
from .schemas import arguments_from_schema
from .steptool.api_server import RecordedApis
from .wire import Batches, Price, Usage, WireJudge, WireReply, WireRequest

API_VERSION = (1, 0)

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
    "RecordedApis",
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
