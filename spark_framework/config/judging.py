"""How judges that cost something are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ..host.component_spec import JudgeSpec
from .section import Section


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
    fallback: JudgeSpec | None = None
    """Judges a whole question again where the judge failed on one of its steps: scales are never mixed within one
    trajectory. None drops the trajectory."""
