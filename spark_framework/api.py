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
from .evaluation.answers import match_option
from .hookspecs import hookimpl
from .paths import cache_folder
from .records import ANSWER, LETTERS, THINK, Call, Candidate, Question, Step, Trajectory, Verdict
from .schemas import arguments_from_schema
from .wire import Batches, Price, Usage, WireJudge, WireReply, WireRequest

API_VERSION = (1, 0)

__all__ = [
    "ANSWER",
    "API_VERSION",
    "LETTERS",
    "THINK",
    "Batches",
    "Call",
    "Candidate",
    "Component",
    "ComponentConfig",
    "ConfigError",
    "Judge",
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
    "hookimpl",
    "match_option",
]
