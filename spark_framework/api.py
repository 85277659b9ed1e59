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
)
from .errors import JudgeError, ToolError
from .evaluation.answers import match_option
from .hookspecs import hookimpl
from .records import ANSWER, LETTERS, THINK, Call, Candidate, Question, Step, Trajectory, Verdict

API_VERSION = (1, 0)

__all__ = [
    "ANSWER",
    "API_VERSION",
    "LETTERS",
    "THINK",
    "Call",
    "Candidate",
    "Component",
    "ComponentConfig",
    "Judge",
    "JudgeError",
    "JudgeRequest",
    "Question",
    "RewardTerm",
    "Selector",
    "Step",
    "Tool",
    "ToolArgs",
    "ToolContext",
    "ToolError",
    "Trajectory",
    "Verdict",
    "hookimpl",
    "match_option",
]
