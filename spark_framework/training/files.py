"""Writing adapters and checkpoints: whole or not at all, to a disk that may be full."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ..errors import RunError

BASE = "base.json"
"""Beside a saved adapter: the digest of the base that it was trained on."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the libraries raise when they cannot write, each in its own way, into one line."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as exc:
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
        raise RunError(f"{path} cannot be written ({reason}); free some space and give the same command again") from exc


def save_adapter(model: Any, target: Path, base: str) -> Path:
    """Save the actor as a plain PEFT adapter; then the stage's checkpoints are no longer needed.

    Args:
        target: the stage's folder.
        base: digest of the base's weights.
    """
    part, final = target / "adapter.part", target / "adapter"
    shutil.rmtree(part, ignore_errors=True)
    with writing(final):
        model.save_pretrained(str(part), selected_adapters=["default"])
        (part / BASE).write_text(json.dumps({"digest": base}) + "\n", encoding="utf-8")
        os.replace(part, final)
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
