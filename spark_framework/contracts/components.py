"""What a plugin implements: one abstract class for each kind. Their docstrings are the tutorial."""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from ..records import Candidate, Question, Record, Step, Trajectory, Verdict


class ComponentConfig(BaseModel):
    """Settings of one component. Subclass it, give every field a default where one makes sense."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Component(ABC):
    """What all five kinds share.

    Construction is cheap and does no I/O: import heavy packages inside methods, open clients on first use.
    """

    name: ClassVar[str]
    """**REQUIRED.** The name in the entry point: `judge.gpt4o` has the name `gpt4o`."""
    Config: ClassVar[type[ComponentConfig]] = ComponentConfig

    def __init__(self, config: ComponentConfig | None = None) -> None:
        self.config: Any = self.Config() if config is None else config

    def fingerprint(self) -> str:
        """Sixteen hex digits that change when the component could behave differently (name, class, settings)."""
        text = f"{type(self).__module__}.{type(self).__qualname__}\n{self.name}\n{self.config.model_dump_json()}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def prepare(self) -> None:  # noqa: B027 (most components are ready once they are built)
        """Make ready what construction left: keys, files, indexes, workers, connections. Calling it twice is harmless.

        Called once before a run's first call, so that what is missing is known before anything is spent. Raise
        `UserError` with one line that says what is missing and how to mend it.
        """

    def close(self) -> None:  # noqa: B027 (most components have nothing to release)
        """Release workers and connections. Called once at the end of a run; calling it twice is harmless."""


class ToolContext(Record):
    """What a tool may know about the call it serves. Never the question's answer."""

    question_id: str = ""
    step: int = 0
    seed: int = 0


class Tool(Component):
    """A tool that the policy can call.

    Example:
        class Shout(Tool):
            name = "shout"
            description = "Writes a text in capitals."

            class Args(ToolArgs):
                text: str

            def call(self, args, context):
                return args.text.upper()
    """

    description: ClassVar[str]
    """**REQUIRED.** One sentence for the model: what the tool does and when to use it."""
    Args: ClassVar[type[ToolArgs]]
    """**REQUIRED.** The arguments; their JSON schema is what the model sees."""

    @property
    def needs(self) -> frozenset[str]:
        """Permissions beyond computing and reading what the settings name: `network`, `filesystem`. A run has to allow
        them. Where they do not depend on the settings, write `needs = frozenset({"network"})`."""
        return frozenset()

    @abstractmethod
    def call(self, args: Any, context: ToolContext) -> str:
        """**REQUIRED.** Answer one call with text. Deterministic given (args, context.seed), and thread-safe.

        Raise `ToolError` where there is no answer: the text becomes the observation `error: …`, and the call counts as
        failed. Any other exception is caught and attributed the same way. Output is cut at 2,000 characters. The
        replies of a tool that needs the network are kept with the run, so that it can be replayed.
        """


class Toolset(Component):
    """Several tools that become known only when it is prepared: those of a server, of a schema file.

    A plugin offers it like a tool, and a run lists it among its tools; the policy sees the tools inside.
    """

    description: ClassVar[str]
    """**REQUIRED.** One sentence for people: where the tools come from."""

    @property
    def needs(self) -> frozenset[str]:
        """The permissions of all its tools together; known before it is prepared."""
        return frozenset()

    @abstractmethod
    def tools(self) -> Sequence[Tool]:
        """**REQUIRED.** Its tools, always in the same order. Called after `prepare`."""


class ToolArgs(BaseModel):
    """Base of a tool's arguments: unknown arguments are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class JudgeRequest(Record):
    """Everything a judge gets for one step."""

    question: Question
    """Without answer and plan, unless the judge declares `uses_gold`."""
    steps: tuple[Step, ...]
    """The steps taken so far."""
    candidates: tuple[Candidate, ...]
    """All candidates of this step: nine by default (eight tools and chain of thought)."""
    seed: int = 0
    """For shuffling the candidates reproducibly."""

    def without_gold(self) -> JudgeRequest:
        """The same step for a judge that may not know the answer. Earlier verdicts go too: an oracle's hold the answer,
        and another judge's would bias this one."""
        bare = self.question.answer is None and not self.question.plan
        if bare and not any(step.verdict for step in self.steps):
            return self
        steps = tuple(step.model_copy(update={"verdict": None}) for step in self.steps)
        return self.model_copy(update={"question": self.question.without_gold(), "steps": steps})


class Judge(Component):
    """Scores all candidates of a step at once, each from 0 to 10, with 6 meaning worth doing (SPaRK, section 3)."""

    uses_gold: bool = False
    """True where the judge reads the stored answer: an oracle, and reported as one."""

    def parts(self) -> Sequence[Judge]:
        """The judges that this one asks, if it is made of others."""
        return ()

    @abstractmethod
    def score(self, request: JudgeRequest) -> Verdict:
        """**REQUIRED.** One score and one process_ok for each candidate, in the candidates' order.

        Called from worker threads. Raise `JudgeError` where the verdict is not complete: a missing, extra, non-finite
        or out-of-range score included. Never invent a score.
        """


class Selector(Component):
    """Decides which candidate of a judged step is carried out."""

    @abstractmethod
    def select(
        self,
        candidates: Sequence[Candidate],
        scores: Sequence[float],
        *,
        threshold: float,
        usage: Mapping[str, int],
        rng: random.Random,
    ) -> int:
        """**REQUIRED.** The index of one candidate.

        A candidate is viable when its score is above `threshold`. `usage` counts how often each action was chosen
        before. The result depends on the arguments alone: draw from `rng`, keep no state.
        """


class RewardTerm(Component):
    """One term of the step reward. Pure: it sees only what is stored, so that rewards can be computed again offline."""

    @abstractmethod
    def value(self, step: Step, trajectory: Trajectory) -> float:
        """**REQUIRED.** The term's finite value for one step of a finished trajectory. The core applies weights."""
