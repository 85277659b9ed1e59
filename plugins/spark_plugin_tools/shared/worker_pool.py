"""A few killable processes, each answering one JSON line with another.

Plain subprocesses, because `multiprocessing` (and pebble on it) would run the user's main script again in every worker:
that fails for a script without a main guard, and costs an import of torch for one with it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

START_SECONDS = 60.0
FENCE = 12.0  # by the clock, a request may take this many times its processor time: the machine may be busy
MEMORY_BYTES = 2 << 30
MAX_REPLY = 1 << 20  # bytes; no reply fills the memory of this process
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")  # no others: they may hold keys
_CHILD = (
    "import sys, json; path, module, *limits = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from spark_plugin_tools.shared.worker_pool import serve; serve(module, *limits)"
)


class WorkerError(Exception):
    """The request failed: it ran out of time, or its process died. The message says which."""


def out_of_time(seconds: float) -> WorkerError:
    return WorkerError(f"timeout: it took longer than {seconds:g} s; ask something simpler")


class WorkerPool:
    """Up to `workers` processes that import `module` and call its `answer(request) -> reply`; started when needed.

    A request that takes more than `seconds` of processor time loses its process: what else the machine does changes no
    reply. So does one that takes `FENCE` times as long by the clock. Safe to use from many threads, and after a fork.
    """

    requests_per_worker: float = 500  # the libraries' caches grow

    def __init__(self, module: str, workers: int, seconds: float) -> None:
        self.module, self.workers, self.seconds = module, workers, seconds
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._slots = threading.BoundedSemaphore(self.workers)
        self._idle: list[Worker] = []
        self._finalizer = weakref.finalize(self, _stop_all, self._idle, self._owner)

    def start(self) -> Worker:
        """One more process. A subclass may start another kind."""
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"PYTHONHASHSEED": "0"}
        fence = FENCE * self.seconds
        arguments = json.dumps([sys.path, self.module, self.seconds, fence])
        return Worker(self.module, [sys.executable, "-P", "-c", _CHILD, arguments], environment, self.seconds, fence)

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The reply to one request. Raises WorkerError."""
        if self._owner != os.getpid():  # forked: those processes belong to the parent
            self._finalizer.detach()
            self._reset()
        slots, idle = self._slots, self._idle
        with slots:
            worker = _take(idle) or self.start()
            try:
                reply = worker.ask(request)
            except BaseException:
                worker.stop()
                raise
            if worker.requests < self.requests_per_worker:
                idle.append(worker)
            else:
                worker.stop()
            return reply

    def close(self) -> None:
        """Stop the idle processes; the pool can be used again."""
        _stop_all(self._idle, self._owner)


class Worker:
    """A process that writes one line when it is ready, and then one line for each that it reads. Raises WorkerError.

    Args:
        seconds: limit of a request; SIGPROF ends the process after more processor time.
        fence: after so many seconds by the clock it is killed.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], seconds: float, fence: float
    ) -> None:
        self.seconds, self.fence = seconds, fence
        self.requests = 0
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        try:
            self._exchange(b"", START_SECONDS)  # wait for the line that it writes when it is ready
        except WorkerError:
            self.stop()
            raise WorkerError(f"the process for {name} did not start") from None
        except BaseException:
            self.stop()
            raise

    def ask(self, request: Mapping[str, Any]) -> Any:
        self.requests += 1
        return json.loads(self._exchange(json.dumps(request).encode() + b"\n", self.fence))

    def _exchange(self, line: bytes, seconds: float) -> bytes:
        """Write a line, read one. The timer kills the process, which ends the read."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        timer = threading.Timer(seconds, self.process.kill)
        timer.daemon = True
        start = time.monotonic()
        timer.start()
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
            reply = self.process.stdout.readline(MAX_REPLY)
        except OSError:
            reply = b""
        finally:
            timer.cancel()
        if time.monotonic() - start >= seconds or (not reply and self._ran_out()):
            raise out_of_time(self.seconds)
        if not reply.endswith(b"\n"):
            raise WorkerError("the computation failed; ask something simpler")
        return reply

    def _ran_out(self) -> bool:
        """Whether the process has ended because its processor time was used up."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return sys.platform != "win32" and self.process.wait(1.0) == -signal.SIGPROF
        return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # closing flushes, and there is no reader any more
                    pipe.close()


def _take(idle: list[Worker]) -> Worker | None:
    """An idle process that is still alive."""
    while idle:
        try:
            worker = idle.pop()
        except IndexError:  # another thread took it
            break
        if worker.process.poll() is None:
            return worker
        worker.stop()
    return None


def _stop_all(idle: list[Worker], owner: int) -> None:
    if owner != os.getpid():  # forked: they are the parent's
        return
    while idle:
        try:
            worker = idle.pop()
        except IndexError:
            break
        worker.stop()


def serve(module: str, seconds: float, fence: float) -> None:
    """The child's side: answer lines until the parent closes the pipe or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    channel, sys.stdout = sys.stdout.buffer, sys.stderr  # what a library prints must not look like a reply
    answer = importlib.import_module(module).answer
    channel.write(b"{}\n")
    channel.flush()
    for line in sys.stdin.buffer:
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_PROF, seconds)
            signal.alarm(int(fence) + 2)  # an orphan ends by itself
        channel.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
        channel.flush()
        if sys.platform != "win32":
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
