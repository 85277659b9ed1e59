"""Typed methods for every hook that a run calls. No other file uses `pm.hook`."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pluggy
from pydantic import ValidationError

from ..contracts.components import Judge, JudgeRequest, Tool, ToolContext
from ..contracts.hookspecs import hookimpl
from ..errors import JudgeError, ToolError, UserError
from ..records import Step, Trajectory, Verdict
from .discovery import exception_text
from .tool_cache import ReplyCache

MAX_OUTPUT = 2000
"""Maximum number of characters of a tool's output that the model sees."""
_log = logging.getLogger(__name__)


class PluginHooks:
    """Calls tools and judges through the hooks that may answer in their place, and notifies observers."""

    def __init__(self, plugins: pluggy.PluginManager) -> None:
        self._plugins = plugins
        self.failures: Counter[str] = Counter()
        """Number of errors of each observing plugin; they do not stop the run."""
        self._core = _DefaultHooks()
        plugins.register(self._core, name="spark_framework")

    @contextmanager
    def recorded(self, replies: ReplyCache) -> Iterator[None]:
        """Answer from the recorded replies, and record new replies of tools that use the network, while the block
        lasts."""
        before, self._core.replies = self._core.replies, replies
        try:
            yield
        finally:
            self._core.replies = before

    # -- who answers -----------------------------------------------------------------------------------------------

    def call_tool(self, tool: Tool, arguments: Mapping[str, Any], context: ToolContext) -> tuple[bool, str]:
        """Call a tool. Returns (succeeded, what the model reads); a failure is an observation `error: …`.

        Raises:
            UserError: the reply is not recorded and `replies.mode` is `only`, or replies cannot be written.
        """
        hook = self._plugins.hook.spark_call_tool
        try:
            answer = hook(tool=tool, arguments=arguments, context=context)
            ok, text = answer
            if not (isinstance(ok, bool) and isinstance(text, str)):
                raise TypeError(f"{answer!r} is not (bool, str)")
        except (KeyboardInterrupt, UserError):
            raise
        except BaseException as exc:
            plugin = _failing_plugin(hook, exc)
            _log.warning("spark_call_tool of plugin %s failed", plugin, exc_info=exc)
            ok, text = False, f"error: plugin {plugin} failed ({type(exc).__name__})"
        return ok, _truncated(text)

    def judge_step(self, judge: Judge, request: JudgeRequest) -> Verdict:
        """Judge one step. A judge that does not declare `uses_gold` gets nothing that depends on the gold answer.

        Raises:
            JudgeError: there is no verdict with one score for each candidate.
            UserError: raised by the judge for a problem that only the user can fix.
        """
        request = self.redact_gold(judge, request)
        hook = self._plugins.hook.spark_judge_step
        try:
            verdict = hook(judge=judge, request=request)
        except (JudgeError, UserError):
            raise
        except Exception as exc:
            plugin = _failing_plugin(hook, exc)
            blamed = f"judge {judge.name!r}" if plugin == "spark_framework" else f"plugin {plugin}"
            raise JudgeError(f"{blamed} failed: {type(exc).__name__}: {exception_text(exc)}") from exc
        if not isinstance(verdict, Verdict):
            raise JudgeError(f"judge {judge.name!r} returned {type(verdict).__name__} instead of a Verdict")
        if len(verdict.scores) != len(request.candidates):
            raise JudgeError(
                f"judge {judge.name!r} gave {len(verdict.scores)} scores for {len(request.candidates)} candidates"
            )
        return verdict

    @staticmethod
    def redact_gold(judge: Judge, request: JudgeRequest) -> JudgeRequest:
        """The request without the gold answer and earlier verdicts, unless the judge declares `uses_gold`."""
        return request if judge.uses_gold else request.without_gold()

    @property
    def judges_alone(self) -> bool:
        """Whether no plugin implements `spark_judge_step`, which may answer in a judge's place."""
        return len(self._plugins.hook.spark_judge_step.get_hookimpls()) == 1

    # -- what happened ---------------------------------------------------------------------------------------------

    def run_started(self, manifest: Mapping[str, Any]) -> None:
        """Tell observers that a run folder was opened."""
        self._ask_each("spark_run_started", manifest=manifest)

    def step_finished(self, question_id: str, step: Step) -> None:
        """Tell observers that a step was judged, selected and executed."""
        self._ask_each("spark_step_finished", question_id=question_id, step=step)

    def trajectory_finished(self, trajectory: Trajectory) -> None:
        """Tell observers that a trajectory was stored."""
        self._ask_each("spark_trajectory_finished", trajectory=trajectory)

    def update_finished(self, stage: str, metrics: Mapping[str, float]) -> None:
        """Tell observers the figures that the trainer logged."""
        self._ask_each("spark_update_finished", stage=stage, metrics=metrics)

    def run_finished(self, error: BaseException | None = None) -> None:
        """Tell observers that the command ended; `error` is None if it succeeded."""
        self._ask_each("spark_run_finished", error=error)

    def metrics(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """The figures that plugins add to an evaluation.

        If a plugin gives a figure that is not finite, or that has the name of another plugin's figure, all of its
        figures are dropped and the plugin counts as failed.
        """
        merged: dict[str, float] = {}
        for plugin, answers in self._ask_each("spark_metrics", trajectories=trajectories):
            try:
                figures = {name: float(value) for answer in answers for name, value in answer.items()}
                for name, value in figures.items():
                    if name in merged or not math.isfinite(value):
                        raise ValueError(f"metric {name!r} = {value} is not finite, or its name is already taken")
            except Exception as exc:
                self._failed(plugin, "spark_metrics", exc)
            else:
                merged |= figures
        return merged

    def _ask_each(self, name: str, **facts: Any) -> list[tuple[str, list[Any]]]:
        """Call one plugin at a time, so that one that raises does not stop the others. Returns (plugin, answers)
        pairs."""
        answers = []
        for impl in reversed(getattr(self._plugins.hook, name).get_hookimpls()):
            others = [other for other in self._plugins.get_plugins() if other is not impl.plugin]
            try:
                answers.append((impl.plugin_name, self._plugins.subset_hook_caller(name, others)(**facts)))
            except Exception as exc:
                self._failed(impl.plugin_name, name, exc)
        return answers

    def _failed(self, plugin: str, hook: str, exc: Exception) -> None:
        self.failures[plugin] += 1
        if self.failures[plugin] == 1:
            _log.error("%s of plugin %s failed; the run continues without it", hook, plugin, exc_info=exc)


class _DefaultHooks:
    """The default implementations, used if no plugin answers first."""

    replies: ReplyCache | None = None

    @hookimpl(trylast=True)
    def spark_call_tool(self, tool: Tool, arguments: Mapping[str, Any], context: ToolContext) -> tuple[bool, str]:
        try:
            args = tool.Args.model_validate(dict(arguments))
        except ValidationError as exc:
            return False, f"error: {_bad_arguments(exc)}"
        except RecursionError:
            return False, "error: the arguments are nested too deeply"
        replies = self.replies
        if replies is None or not replies.covers(tool):
            return _call(tool, args, context)[:2]
        if (found := replies.find(tool, args)) is not None:
            return found
        ok, text, lasting = _call(tool, args, context)
        if lasting:
            replies.store(tool, args, ok, _truncated(text))
        return ok, text

    @hookimpl(trylast=True)
    def spark_judge_step(self, judge: Judge, request: JudgeRequest) -> Verdict:
        return judge.score(request)


def _call(tool: Tool, args: Any, context: ToolContext) -> tuple[bool, str, bool]:
    """(succeeded, what the model reads, whether the reply may be recorded)."""
    try:
        text: Any = tool.call(args, context)
    except ToolError as exc:
        return False, f"error: {exc}", not exc.transient
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # sys.exit() or a panic in a tool must not end the run
        # The model sees the type only: texts of unexpected exceptions contain paths and addresses that vary by run.
        _log.warning("tool %r failed", tool.name, exc_info=exc)
        return False, f"error: {tool.name} failed ({type(exc).__name__})", False
    if not isinstance(text, str):
        return False, f"error: {tool.name} returned {type(text).__name__} instead of text", False
    return True, text, True


def _bad_arguments(exc: ValidationError) -> str:
    """One line that the model can act on: which argument, and what is wrong with it."""
    texts = []
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        argument = ".".join(map(str, error["loc"]))
        if error["type"] == "missing":
            texts.append(f"argument {argument!r} is missing")
        elif error["type"] == "extra_forbidden":
            texts.append(f"there is no argument {argument!r}")
        else:
            text = error["msg"].removeprefix("Value error, ")
            texts.append(f"argument {argument!r}: {text}" if argument else text)
    return "; ".join(" ".join(text.split()) for text in texts[:3])


def _truncated(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()  # lone surrogates cannot be stored
    return text if len(text) <= MAX_OUTPUT else text[: MAX_OUTPUT - 1] + "…"


def _failing_plugin(hook: pluggy.HookCaller, exc: BaseException) -> str:
    """The plugin whose implementation is innermost in the traceback."""
    owners = {getattr(impl.function, "__code__", None): impl.plugin_name for impl in hook.get_hookimpls()}
    plugin, trace = "spark_framework", exc.__traceback__
    while trace is not None:
        plugin, trace = owners.get(trace.tb_frame.f_code, plugin), trace.tb_next
    return plugin
