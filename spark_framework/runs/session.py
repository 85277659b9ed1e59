"""Notifies observers of the start and the end of a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..host.hooks import PluginHooks
from ..host.manager import current_host
from ..util.launcher import is_first
from .run_dir import RunFolder


@contextmanager
def observed(folder: RunFolder) -> Iterator[PluginHooks]:
    """Tell the observers that the command began, and how it ended."""
    calls = current_host().calls
    if not is_first():  # of several processes that were launched together
        yield calls
        return
    error: BaseException | None = None
    calls.run_started(folder.read_manifest())
    try:
        yield calls
    except BaseException as exc:
        error = exc
        raise
    finally:
        calls.run_finished(error)
