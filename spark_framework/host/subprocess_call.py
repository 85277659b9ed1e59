"""Calls a function in a separate process: a module that hangs or crashes there does not affect this program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any

_CHILD = """
import json, sys
order = json.load(sys.stdin)
sys.path[:] = order["path"]
from spark_framework.host.subprocess_call import serve
serve(order, int(sys.argv[1]))
"""


@dataclass(frozen=True)
class SubprocessResult:
    """The result of a call."""

    value: Any = None
    """The function's return value after a JSON round trip; None if it did not return."""
    problem: str = ""
    """Why it did not return, in one line; empty if it did."""
    printed: str = ""
    """The process's standard output."""


def call_in_subprocess(function: str, payload: Any, timeout: float) -> SubprocessResult:
    """Call `module:function` with a JSON value in a new interpreter with the same `sys.path`.

    Args:
        timeout: seconds, after which the process and its children are killed.
    """
    order = {"function": function, "payload": payload, "path": [folder or os.getcwd() for folder in sys.path]}
    with tempfile.TemporaryFile() as reply, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(reply.fileno())],
            stdin=subprocess.PIPE, stdout=output, stderr=errors, pass_fds=[reply.fileno()], start_new_session=True,
            env={**os.environ, "PYTHONHASHSEED": "random"},
        )  # fmt: skip
        problem = ""
        try:
            process.communicate(json.dumps(order).encode(), timeout)
        except subprocess.TimeoutExpired:
            problem = f"did not end within {timeout:g} s"
        finally:
            _end(process)
        answer, printed, complaints = _text(reply), _text(output), _text(errors)
    if answer and not problem:
        return SubprocessResult(json.loads(answer), "", printed)
    last = (complaints.strip().splitlines() or [""])[-1]
    return SubprocessResult(
        None, problem or f"ended its process ({_how(process.returncode)}){': ' * bool(last)}{last}", printed
    )


def serve(order: dict[str, Any], reply: int) -> None:
    """Make the call inside the child process. The result goes to its own file, apart from what the plugin prints."""
    module, _, name = order["function"].partition(":")
    value = getattr(import_module(module), name)(order["payload"])
    os.write(reply, json.dumps(value).encode())
    sys.stdout.flush()
    os._exit(0)  # threads that a plugin left running would keep the process alive


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and the children that it started."""
    with suppress(ProcessLookupError, PermissionError):  # all of them have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
