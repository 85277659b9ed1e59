"""Side effects of importing a plugin's module and building its component, observed in a fresh process."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache, reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..contracts.components import Component

HEAVY = frozenset({
    "accelerate", "anthropic", "datasets", "faiss", "httpx2", "keras", "langchain", "litellm", "llama_cpp",
    "matplotlib", "mcp", "mpmath", "nltk", "numba", "numpy", "openai", "pandas", "peft", "PIL", "pint",
    "polars", "pyarrow", "pydantic_monty", "scipy", "sentence_transformers", "sklearn", "spacy", "sympy",
    "tensorflow", "tiktoken", "tokenizers", "torch", "transformers", "vllm",
})  # fmt: skip
"""Packages that take longer to import than all of `spark_framework.api`."""
TIME_LIMIT = 120.0
"""Seconds for the complete probe; slow modules are found by what they import."""


class Report(NamedTuple):
    """The observed side effects."""

    seconds: float = 0.0
    """How long importing the module took."""
    imported: Sequence[str] = ()
    """Top-level packages that importing the module added to those of `spark_framework.api`."""
    disturbed: Sequence[str] = ()
    """Connections, processes, threads and written files of the import."""
    touched: Sequence[str] = ()
    """Files, connections, processes and threads of the construction."""
    fingerprint: str = ""
    printed: str = ""
    problem: str = ""
    """Why the probe failed."""


def probe(component: Component) -> Report:
    """Import and build an equal component in another process; the result is cached."""
    cls = type(component)
    return _probed(cls.__module__, cls.__qualname__, component.config.model_dump_json())


@cache
def _probed(module: str, name: str, config: str) -> Report:
    from ..host.subprocess_call import call_in_subprocess

    if "<locals>" in name:
        return Report(problem="it is defined inside a function: move the class to the top of a module")
    answer = call_in_subprocess(f"{__name__}:look", [module, name, config], TIME_LIMIT)
    if answer.problem:
        return Report(problem=f"importing {module} and building {name} {answer.problem}")
    return Report(**answer.value, printed=answer.printed.strip())


def look(order: list[str]) -> dict[str, Any]:
    """The body of the probe, in the observed process."""
    module, name, config = order
    import_module("spark_framework.api")
    before, watch = set(sys.modules), _Watch()
    watch.begin("import")
    start = time.perf_counter()
    plugin = import_module(module)
    seconds = time.perf_counter() - start
    watch.end()
    imported = sorted({added.partition(".")[0] for added in set(sys.modules) - before})
    cls: Any = reduce(getattr, name.split("."), plugin)
    settings = cls.Config.model_validate_json(config)
    watch.begin("construction")
    component = cls(settings)
    watch.end()
    disturbed, touched = watch.seen["import"], watch.seen["construction"]
    return {
        "seconds": seconds, "imported": imported, "disturbed": disturbed, "touched": touched,
        "fingerprint": component.fingerprint(),
    }  # fmt: skip


def touched_by(call: Callable[[], object]) -> list[str]:
    """Files, connections, processes and threads of a call in this process; imports may read their modules."""
    watch = _watch()
    watch.begin("call")
    try:
        call()
    finally:
        watch.end()
    return watch.seen["call"]


_OUTSIDE = ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.posix_spawn", "os.fork",
            "os.system", "webbrowser.open")  # fmt: skip
_FILES = ("open", "sqlite3.connect", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "shutil.rmtree")


class _Watch:
    """Records audit events of the main phases; importing a module may read that module, and nothing else."""

    def __init__(self) -> None:
        self.seen: dict[str, list[str]] = defaultdict(list)
        self._phase = ""
        self._threads = 0
        sys.addaudithook(self._note)

    def begin(self, phase: str) -> None:
        self.seen[phase] = []
        self._threads = threading.active_count()
        self._phase = phase

    def end(self) -> None:
        phase, self._phase = self._phase, ""
        if threading.active_count() > self._threads:
            self.seen[phase].append("starts a thread")

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._phase and self._counts(event, arguments):
            what = next((str(a) for a in arguments if isinstance(a, str | bytes | os.PathLike | list | tuple)), "")
            self.seen[self._phase].append(f"{event} {what}".strip()[:200])

    def _counts(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event in _OUTSIDE:
            return True
        if self._phase == "import":
            return event == "open" and isinstance(arguments[0], str) and bool(set("wax+") & set(arguments[1] or ""))
        return event in _FILES and not _is_import()


@cache
def _watch() -> _Watch:
    """One for the process: an audit hook cannot be removed."""
    return _Watch()


def _is_import() -> bool:
    frame = sys._getframe(3)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
