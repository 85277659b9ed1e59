"""What a run is told. Every key is honoured or refused; `spark-framework config schema` prints all of them."""

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
"""Rungs of the untrained model, without tools and with them. No stage can have these names."""
EIGHT_TOOLS = ("calculator", "python", "solver", "science", "stats_finance", "encyclopedia", "dictionary", "search")


class PluginSection(Section):
    """Which plugins may load, and what they may do."""

    disable: tuple[str, ...] = ()
    """`kind.name` or `distribution/kind.name`."""
    allow: tuple[Literal["network", "filesystem"], ...] = ()
    """Permissions that selected tools may use."""


def _describe_base(schema: dict[str, Any]) -> None:
    """Files may have a key that `load_config` resolves; a run's config itself has none."""
    text = "A preset, or a file relative to this one, that this file is merged over: own keys win"
    schema["properties"] = {"base": {"description": text, "type": "string"}, **schema["properties"]}


class RunConfig(Section):
    """A whole run: questions, policy, plugins, rollouts, stages, evaluation."""

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
    """A candidate is viable when its score is above it (SPaRK: 6.0)."""
    steps: int = Field(default=5, ge=1)
    """Most actions before an answer is asked for (SPaRK: 5)."""
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
        """A stage named after its kind need not repeat it; an empty stage takes every default."""
        if not isinstance(value, dict):
            return value
        return {
            name: {"kind": name, **(stage or {})} if stage is None or isinstance(stage, dict) else stage
            for name, stage in value.items()
        }

    @model_validator(mode="after")
    def _names_fit(self) -> RunConfig:
        check_names(choice.name for choice in self.tools if issubclass(choice.cls, Tool))
        for choice in self.tools:
            check_permissions(choice, self.plugins.allow)
        rounds = [r.name for r in self.rollouts]
        if len(set(rounds)) < len(rounds):
            raise ConfigError("rollouts: two rounds have the same name")
        for r in self.rollouts:
            if r.adapter is not None and r.adapter not in self.stages:
                raise ConfigError(f"rollouts: round {r.name} wants the adapter of {r.adapter}, which is no stage")
            if r.proposer == "scripted" and self.questions.use != "practice":
                raise ConfigError(f"rollouts: round {r.name} is scripted, but only practice questions have a script")
        for name in self.stages:
            stage = self.stage_config(name)
            if name in UNTRAINED:
                raise ConfigError(f"stages.{name}: this name is taken by the untrained model; rename the stage")
            if stage.data not in rounds:
                raise ConfigError(f"stages.{name}.data: there is no round {stage.data}; rounds: {', '.join(rounds)}")
            if stage.shard and isinstance(self.policy, LocalPolicyConfig) and self.policy.quantization:
                raise ConfigError(f"stages.{name}.shard: weights in 4 bits cannot be divided; leave one of the two out")
            if stage.init is not None and stage.init not in self.stages:
                raise ConfigError(f"stages.{name}.init: there is no stage {stage.init}")
        return self

    def stage_config(self, name: str) -> StageConfig:
        """The settings of a stage, as its algorithm's `Config` reads them."""
        config = self.stages[name].config
        assert isinstance(config, StageConfig)  # the kind of component has been checked
        return config

    def round_start(self, name: str) -> int:
        """Index of the round's first training question: rounds never share questions."""
        start = 0
        for r in self.rollouts:
            if r.name == name:
                return start
            start += r.questions
        raise ConfigError(f"rollouts: there is no round {name}; rounds: {', '.join(r.name for r in self.rollouts)}")


def questions_per_wave(judging: JudgingSection, one: RoundConfig) -> int:
    """Questions that are rolled out together. A batch service gets one step of all questions at a time."""
    return one.questions if judging.batch else one.wave_size
