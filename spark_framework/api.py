"""Everything that a plugin may import from the framework.

Contracts, records and errors are loaded with this module, the rest on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .contracts.algorithm import Algorithm, Work
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
from .contracts.remote_judge import ApiReply, ApiRequest, Batches, Price, RemoteJudge, Usage
from .contracts.stage import AlarmConfig, CriticConfig, FilteredStageConfig, LoraConfig, StageConfig
from .contracts.tool_arguments import arguments_from_schema
from .errors import ConfigError, DataError, JudgeError, ToolError, UserError
from .records import ANSWER, LETTERS, THINK, Call, Candidate, Question, Step, Trajectory, Verdict

if TYPE_CHECKING:
    from .host.component_spec import JudgeSpec, RewardSpec
    from .models.loading import model_folder
    from .questions.grading import match_option, resolve_answer
    from .runs.decisions import recorded_verdicts
    from .runs.verdicts import step_digest
    from .training.algorithm import TreeAlgorithm
    from .training.algorithms import spark as spark_maths
    from .training.algorithms import steptool as steptool_maths
    from .training.data.dataset import StageData, filtered_questions, question_trees
    from .training.data.ppo_csv import PpoExample, read_ppo_csv
    from .training.data.response_spans import ResponseSpans
    from .training.data.rewards import step_rewards, term_value, with_action_probs
    from .training.data.tensors import LogProbs, TreeReading, TreeTensors
    from .training.data.token_tree import Decision, TokenTree, add_candidates, build_tree
    from .training.model.forward import BatchedForward
    from .training.trainers.alarms import Alarm, Limits, TrainingMonitor
    from .training.trainers.base import StageSetup, StageTrainer
    from .training.trainers.metrics import UpdateMetrics
    from .util.backoff import exponential_delay, parse_retry_after
    from .util.cache_dir import cache_folder
    from .util.collectives import all_reduce_gradients, all_reduce_sum, rank_slice
    from .util.seeding import child_rng

API_VERSION = (1, 0)

_ON_FIRST_USE = {
    "Alarm": "training.trainers.alarms",
    "BatchedForward": "training.model.forward",
    "Decision": "training.data.token_tree",
    "JudgeSpec": "host.component_spec",
    "Limits": "training.trainers.alarms",
    "LogProbs": "training.data.tensors",
    "PpoExample": "training.data.ppo_csv",
    "ResponseSpans": "training.data.response_spans",
    "RewardSpec": "host.component_spec",
    "StageData": "training.data.dataset",
    "StageSetup": "training.trainers.base",
    "StageTrainer": "training.trainers.base",
    "TokenTree": "training.data.token_tree",
    "TrainingMonitor": "training.trainers.alarms",
    "TreeAlgorithm": "training.algorithm",
    "TreeReading": "training.data.tensors",
    "TreeTensors": "training.data.tensors",
    "UpdateMetrics": "training.trainers.metrics",
    "add_candidates": "training.data.token_tree",
    "all_reduce_gradients": "util.collectives",
    "all_reduce_sum": "util.collectives",
    "build_tree": "training.data.token_tree",
    "cache_folder": "util.cache_dir",
    "child_rng": "util.seeding",
    "exponential_delay": "util.backoff",
    "filtered_questions": "training.data.dataset",
    "match_option": "questions.grading",
    "model_folder": "models.loading",
    "parse_retry_after": "util.backoff",
    "question_trees": "training.data.dataset",
    "rank_slice": "util.collectives",
    "read_ppo_csv": "training.data.ppo_csv",
    "recorded_verdicts": "runs.decisions",
    "resolve_answer": "questions.grading",
    "spark_maths": "training.algorithms.spark:",
    "step_digest": "runs.verdicts",
    "step_rewards": "training.data.rewards",
    "steptool_maths": "training.algorithms.steptool:",
    "term_value": "training.data.rewards",
    "with_action_probs": "training.data.rewards",
}
"""Names by the module that holds them. A colon follows a module that is offered itself."""

__all__ = [
    "ANSWER",
    "API_VERSION",
    "LETTERS",
    "THINK",
    "Alarm",
    "AlarmConfig",
    "Algorithm",
    "ApiReply",
    "ApiRequest",
    "BatchedForward",
    "Batches",
    "CalibratedJudge",
    "Calibration",
    "Call",
    "Candidate",
    "Component",
    "ComponentConfig",
    "ConfigError",
    "CriticConfig",
    "DataError",
    "Decision",
    "FilteredStageConfig",
    "Judge",
    "JudgeError",
    "JudgeRequest",
    "JudgeSpec",
    "Limits",
    "LogProbs",
    "LoraConfig",
    "PpoExample",
    "Price",
    "Question",
    "RemoteJudge",
    "ResponseSpans",
    "RewardSpec",
    "RewardTerm",
    "Selector",
    "StageConfig",
    "StageData",
    "StageSetup",
    "StageTrainer",
    "Step",
    "TokenTree",
    "Tool",
    "ToolArgs",
    "ToolContext",
    "ToolError",
    "Toolset",
    "TrainingMonitor",
    "Trajectory",
    "TreeAlgorithm",
    "TreeReading",
    "TreeTensors",
    "UpdateMetrics",
    "Usage",
    "UserError",
    "Verdict",
    "Work",
    "add_candidates",
    "all_reduce_gradients",
    "all_reduce_sum",
    "arguments_from_schema",
    "build_tree",
    "cache_folder",
    "child_rng",
    "exponential_delay",
    "filtered_questions",
    "fit_calibration",
    "hookimpl",
    "match_option",
    "model_folder",
    "parse_retry_after",
    "question_trees",
    "rank_slice",
    "read_ppo_csv",
    "recorded_verdicts",
    "resolve_answer",
    "spark_maths",
    "step_digest",
    "step_rewards",
    "steptool_maths",
    "term_value",
    "with_action_probs",
]

if not TYPE_CHECKING:  # type checkers know the names above, and report any other

    def __getattr__(name: str) -> Any:
        if name not in _ON_FIRST_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, whole, _ = _ON_FIRST_USE[name].partition(":")
        found = import_module(f".{module}", __package__)
        value = globals()[name] = found if whole else getattr(found, name)
        return value
