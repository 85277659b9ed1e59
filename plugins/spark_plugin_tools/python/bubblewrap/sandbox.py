"""CPython with numpy, scipy and sympy in a sandbox: bubblewrap around one process that forks for each program.

What holds it: namespaces of its own (user, process, network, IPC, host name), a read-only root with the libraries of
the system and of Python and nothing else (no /proc, /dev, /home), an empty environment, limits on time, memory and
output, and a system call filter in each fork. Nothing runs before a program of attacks, run like any other, was
refused everything.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from spark_framework.api import ToolError, UserError

from ...shared.worker_pool import Worker, WorkerError, WorkerPool
from ..interpreter import COULD_NOT_RUN, MAX_PRINTED, NOTHING_PRINTED, exception_line, out_of_memory, out_of_time
from .seccomp import filter_program

SECONDS = 5.0
GRACE = 3.0  # seconds in which the process inside must have answered, after the program's own
MEMORY_BYTES = 1 << 30  # address space, about 300 MB of it for the libraries
OTHERWISE = "or choose `backend: monty`"
LIBRARIES = ("numpy", "scipy", "sympy", "mpmath")
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")
ALLOW_NAMESPACES = (
    "allow user namespaces (`sysctl -w kernel.unprivileged_userns_clone=1`; Ubuntu: `sysctl -w "
    "kernel.apparmor_restrict_unprivileged_userns=0`; in Docker: `--security-opt seccomp=unconfined`)"
)
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
CHILD = Path(__file__).with_name("inside.py")
ATTACKS = Path(__file__).with_name("attacks.py")


class Sandbox(WorkerPool):
    """Up to `workers` sandboxes, each for one program at a time. `ask` raises UserError where there can be none."""

    requests_per_worker = math.inf  # each program has a process of its own

    def __init__(self, workers: int) -> None:
        super().__init__("the sandbox", workers, SECONDS + GRACE)

    def _reset(self) -> None:
        super()._reset()
        # To bubblewrap a parent that died is a thread that ended. This one lives as long as the pool.
        self._starter = ThreadPoolExecutor(1, "sandbox-starter")

    def prepare(self) -> None:
        try:
            self.ask({"code": "", "seed": 0})
        except WorkerError as error:
            raise UserError(f"python: the sandbox does not answer ({error}); {OTHERWISE}") from None

    def run(self, code: str, seed: int) -> str:
        try:
            return outcome(self.ask({"code": code, "seed": seed}))
        except WorkerError:
            raise ToolError(COULD_NOT_RUN, transient=True) from None
        except UserError as error:
            raise ToolError(str(error)) from None

    def start(self) -> Worker:
        command = sandbox_command()
        try:
            worker = self._starter.submit(Worker, self.module, command, {}, self.seconds, self.seconds).result()
        except WorkerError:
            raise UserError(f"python: {complaint(command)}, {OTHERWISE}") from None
        try:
            reply = worker.ask({"code": ATTACKS.read_text(encoding="utf-8"), "seed": 0})
            if reply != {"printed": "nothing\n"}:
                could = " ".join(reply["printed"].split()) or reply
                raise UserError(f"python: the sandbox is not tight, a program in it could {could}; {OTHERWISE}")
        except BaseException:
            worker.stop()
            raise
        return worker


def sandbox_command() -> list[str]:
    """How to start the process in the sandbox. Raises UserError where a part of it is missing."""
    if sys.platform != "linux":
        raise UserError("python: the backend `full` needs Linux; choose `backend: monty`")
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        raise UserError(f"python: the backend `full` needs bubblewrap; `apt install bubblewrap`, {OTHERWISE}")
    try:
        instructions = filter_program()
    except ImportError:
        raise UserError(f"python: it needs pyseccomp; `pip install 'spark-framework[full]'`, {OTHERWISE}") from None
    except (RuntimeError, OSError) as error:
        raise UserError(f"python: it needs libseccomp ({error}); `apt install libseccomp2`, {OTHERWISE}") from None
    interpreter, folders = os.path.realpath(sys.executable), library_folders()
    limits = {
        "filter": instructions.hex(),
        "memory": MEMORY_BYTES,
        "output": 4 * MAX_PRINTED,  # bytes of UTF-8
        "paths": folders,
        "seconds": SECONDS,
    }
    command = [bubblewrap, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    command += ["--cap-drop", "ALL", "--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--clearenv"]
    for name, value in ENVIRONMENT.items():
        command += ["--setenv", name, value]
    for path in (*SYSTEM, os.path.realpath(sys.base_prefix), interpreter, *folders):
        command += ["--ro-bind-try", path, path]
    command += ["--ro-bind", str(CHILD), "/zygote.py", "--remount-ro", "/", "--chdir", "/"]
    return [*command, interpreter, "-s", "-S", "-P", "-B", "/zygote.py", json.dumps(limits)]


def library_folders() -> list[str]:
    """Where the libraries are installed."""
    specs = map(importlib.util.find_spec, LIBRARIES)
    return sorted({str(Path(spec.origin).resolve().parents[1]) for spec in specs if spec and spec.origin})


def complaint(command: list[str]) -> str:
    """Why a sandbox does not start, and what helps: re-run the command with stderr captured."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={}, timeout=60
        )
        lines = done.stderr.decode("utf-8", "replace").split("\n")
    except (OSError, subprocess.TimeoutExpired) as error:
        lines = [str(error)]
    last = next((line for line in reversed(lines) if line.strip()), "it printed no message")
    if last.startswith("bwrap:"):
        return f"bubblewrap cannot make a sandbox here ({last}); {ALLOW_NAMESPACES}"
    return f"the sandbox does not start: {last}"


def outcome(reply: Any) -> str:
    """What the model gets to read of a reply from inside. Raises ToolError."""
    if reply.get("late") or reply.get("signal") == signal.SIGXCPU:
        raise ToolError(out_of_time(SECONDS))
    if "error" in reply:
        raise ToolError(wording(reply["error"]))
    if "signal" in reply:
        raise ToolError(f"the program was ended by {signal_name(reply['signal'])}")
    shown = reply["printed"][:MAX_PRINTED].strip() or reply.get("value", "")[:MAX_PRINTED]
    if shown or "value" in reply:
        return shown or "''"
    return NOTHING_PRINTED


def wording(report: str) -> str:
    """The line for a reported error. The report may be the program's own invention."""
    try:
        kind, message, line = json.loads(report)
    except (ValueError, TypeError, RecursionError):
        return COULD_NOT_RUN
    if kind == "MemoryError":
        return out_of_memory(MEMORY_BYTES)
    return exception_line(str(kind), str(message), line if isinstance(line, int) else None)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
