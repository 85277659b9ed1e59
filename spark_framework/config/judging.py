"""Settings of judges that cost money or time: stored replies, concurrency, retries, budget."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ..host.component_spec import JudgeSpec
from .section import Section


class JudgingSection(Section):
    """How requests to judges that cost money or time are sent, and where their replies are stored."""

    mode: Literal["use", "refresh", "only"] = "use"
    """`use` sends only requests without a stored reply, `refresh` sends all of them again, `only` sends none: a step
    without a stored reply ends the command."""
    file: Path | None = None
    """The SQLite file with replies, verdicts and the ledger; several runs may share it, but not over a network drive.
    None: `judge.sqlite` in the run's folder."""
    concurrency: int = Field(default=8, ge=1)
    """Number of steps that are judged at a time."""
    attempts: int = Field(default=6, ge=1)
    """Maximum number of attempts while the server is busy or unreachable."""
    budget: float | None = Field(default=None, gt=0)
    """US dollars for the run. The command ends before the budget is exceeded; raise it and run the command again to
    continue."""
    batch: bool = False
    """Send each step of all questions through the provider's batch service: half the price, within a day each."""
    batch_poll: float = Field(default=30.0, gt=0)
    """Seconds between two checks of a batch."""
    fallback: JudgeSpec | None = None
    """A judge that judges all steps of a question again if the first judge failed on one of them: two scales are never
    mixed within one trajectory. None drops the trajectory."""
