"""One error line for everything that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from ..errors import RunError


@contextmanager
def write_errors_as_run_error(path: Path) -> Iterator[None]:
    """Turn what the libraries raise when they cannot write, each in its own way, into one line."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as exc:
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
        raise RunError(f"{path} cannot be written ({reason}); free some space and give the same command again") from exc
