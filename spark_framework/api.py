"""Everything a plugin may import, and nothing else of the framework."""

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
from .host.component_spec import JudgeChoice
from .models.loading import model_folder
from .questions.grading import match_option, resolve_answer
from .records import ANSWER, LETTERS, THINK, Call, Candidate, Question, Step, Trajectory, Verdict
from .runs.verdicts import recorded_verdicts, step_digest
from .steptool.recorded_apis import RecordedApis
from .util.backoff import exponential_delay, parse_retry_after
from .util.cache_dir import cache_folder

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
    "exponential_delay",
    "fit_calibration",
    "hookimpl",
    "match_option",
    "model_folder",
    "parse_retry_after",
    "recorded_verdicts",
    "resolve_answer",
    "step_digest",
]
