"""Checkpoints and adapters on disk: complete or absent, on a disk that may be full."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import RunError
from ...util.files import new_folder
from ..files import write_errors_as_run_error

STATE_FILE = "spark_state.pt"
"""In a checkpoint's folder; a checkpoint is complete when this file is there."""
BASE = "base.json"
"""In a saved adapter's folder: the digest of the base that it was trained on."""


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, oldest first."""
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1]))


def latest_complete_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end; half-written ones are removed."""
    found = None
    for path in checkpoints(folder):
        if (path / STATE_FILE).is_file():
            found = str(path)
        else:
            shutil.rmtree(path)
    return found


def save_adapter(model: Any, target: Path, base: str) -> Path:
    """Save the actor as a plain PEFT adapter; then the stage's checkpoints are no longer needed.

    Args:
        target: the stage's folder.
        base: digest of the base's weights.
    """
    final = target / "adapter"
    with write_errors_as_run_error(final), new_folder(final) as part:
        model.save_pretrained(str(part), selected_adapters=["default"])
        (part / BASE).write_text(json.dumps({"digest": base}) + "\n", encoding="utf-8")
    for checkpoint in (target / "checkpoints").glob("checkpoint-*"):  # what trackers wrote beside them stays
        shutil.rmtree(checkpoint, ignore_errors=True)
    with suppress(OSError):
        (target / "checkpoints").rmdir()
    return final


def check_base(adapter: Path, base: str) -> None:
    """Raises `RunError` where an adapter was trained on other weights. One from elsewhere says nothing of its base."""
    file = adapter / BASE
    if file.is_file() and json.loads(file.read_text(encoding="utf-8"))["digest"] != base:
        raise RunError(
            f"the adapter in {adapter} was trained on another base than policy.model; train that stage again"
        )
