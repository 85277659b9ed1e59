"""Reports files that cannot be written in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from ..errors import RunError


@contextmanager
def write_errors_as_run_error(path: Path) -> Iterator[None]:
    """Turn the errors that libraries raise when they cannot write into a `RunError` of one line."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as exc:
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
        raise RunError(f"{path} cannot be written ({reason}); free some space and run the same command again") from exc
