"""The configuration of a run. Unknown keys are refused; `spark-framework config schema` prints all keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from ..contracts.components import Tool
from ..contracts.stage import StageConfig
from ..errors import ConfigError
from ..host.component_spec import AlgorithmSpec, JudgeSpec, SelectorSpec, ToolSpec
from ..host.lifecycle import check_names, check_permissions
from ..questions import PracticeConfig, QuestionsConfig
from .judging import JudgingSection
from .policy import LocalPolicyConfig, PolicyConfig
from .rollout import EvaluationSection, RepliesSection, RewardSection, RoundConfig
from .section import Section

UNTRAINED = ("base", "tools")
"""Names of the untrained model in the ladder, without and with tools. No stage can have these names."""
EIGHT_TOOLS = ("calculator", "python", "solver", "science", "stats_finance", "encyclopedia", "dictionary", "search")


class PluginSection(Section):
    """Disabled plugins, and the permissions of tools."""

    disable: tuple[str, ...] = ()
    """`kind.name` or `distribution/kind.name`."""
    allow: tuple[Literal["network", "filesystem"], ...] = ()
    """Permissions that selected tools may use."""


def _describe_base(schema: dict[str, Any]) -> None:
    """Add the key `base` of config files to the schema. `load_config` resolves it, so `RunConfig` has no such field."""
    text = "A preset, or a file relative to this one, that this file is merged over: own keys win"
    schema["properties"] = {"base": {"description": text, "type": "string"}, **schema["properties"]}


class RunConfig(Section):
    """A run: questions, policy, plugins, rollouts, stages, evaluation."""

    model_config = ConfigDict(json_schema_extra=_describe_base)

    run: Path = Path("runs/run")
    """The run's folder."""
    seed: int = Field(default=0, ge=0)
    plugins: PluginSection = PluginSection()
    policy: PolicyConfig = LocalPolicyConfig()
    questions: QuestionsConfig = PracticeConfig(use="practice")
    tools: tuple[ToolSpec, ...] = EIGHT_TOOLS  # type: ignore[assignment]
    replies: RepliesSection = RepliesSection()
    judge: JudgeSpec = "verifier"  # type: ignore[assignment]
    judging: JudgingSection = JudgingSection()
    selector: SelectorSpec = "rarity_first"  # type: ignore[assignment]
    threshold: float = Field(default=6.0, ge=0, le=10)
    """A candidate is viable if its score is above this value (SPaRK: 6.0)."""
    steps: int = Field(default=5, ge=1)
    """Maximum number of actions before an answer is required (SPaRK: 5)."""
    rollouts: tuple[RoundConfig, ...] = (RoundConfig(),)
    reward: RewardSection = Field(default_factory=RewardSection)  # its terms are plugins: not at import
    stages: dict[str, AlgorithmSpec] = Field(default_factory=dict)
    evaluation: EvaluationSection = EvaluationSection()

    @field_validator("questions", mode="before")
    @classmethod
    def _bare_name(cls, value: object) -> object:
        return {"use": value} if isinstance(value, str) else value

    @field_validator("policy", mode="before")
    @classmethod
    def _local_by_default(cls, value: object) -> object:
        return {"use": "local", **value} if isinstance(value, dict) else value

    @field_validator("stages", mode="before")
    @classmethod
    def _kind_from_name(cls, value: object) -> object:
        """A stage that is named after its kind need not repeat it; an empty stage uses all defaults."""
        if not isinstance(value, dict):
            return value
        return {
            name: {"kind": name, **(stage or {})} if stage is None or isinstance(stage, dict) else stage
            for name, stage in value.items()
        }

    @model_validator(mode="after")
    def _names_fit(self) -> RunConfig:
        check_names(spec.name for spec in self.tools if issubclass(spec.cls, Tool))
        for spec in self.tools:
            check_permissions(spec, self.plugins.allow)
        rounds = [r.name for r in self.rollouts]
        if len(set(rounds)) < len(rounds):
            raise ConfigError("rollouts: two rounds have the same name")
        for r in self.rollouts:
            if r.adapter is not None and r.adapter not in self.stages:
                raise ConfigError(f"rollouts: round {r.name} needs the adapter of {r.adapter}, which is not a stage")
            if r.proposer == "scripted" and self.questions.use != "practice":
                raise ConfigError(f"rollouts: round {r.name} is scripted, but only practice questions have a script")
        for name in self.stages:
            stage = self.stage_config(name)
            if name in UNTRAINED:
                raise ConfigError(f"stages.{name}: this name is taken by the untrained model; rename the stage")
            if stage.data not in rounds:
                raise ConfigError(f"stages.{name}.data: there is no round {stage.data}; rounds: {', '.join(rounds)}")
            if stage.shard and isinstance(self.policy, LocalPolicyConfig) and self.policy.quantization:
                raise ConfigError(f"stages.{name}.shard: 4-bit weights cannot be sharded; remove shard or quantization")
            if stage.init is not None and stage.init not in self.stages:
                raise ConfigError(f"stages.{name}.init: there is no stage {stage.init}")
        return self

    def stage_config(self, name: str) -> StageConfig:
        """The settings of a stage, parsed by its algorithm's `Config`."""
        config = self.stages[name].config
        assert isinstance(config, StageConfig)  # the kind of component has been checked
        return config

    def round_start(self, name: str) -> int:
        """Index of the round's first training question; rounds never share questions.

        Raises:
            ConfigError: the round does not exist.
        """
        start = 0
        for r in self.rollouts:
            if r.name == name:
                return start
            start += r.questions
        raise ConfigError(f"rollouts: there is no round {name}; rounds: {', '.join(r.name for r in self.rollouts)}")


def questions_per_wave(judging: JudgingSection, one: RoundConfig) -> int:
    """Number of questions that are rolled out together: with a batch service, all questions of the round."""
    return one.questions if judging.batch else one.wave_size
