"""Every hook, in the order in which a run calls them. Import `hookimpl` from `spark_framework.api`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from ..records import Step, Trajectory, Verdict
    from .algorithm import Algorithm
    from .components import Judge, JudgeRequest, RewardTerm, Selector, Tool, ToolContext, Toolset

PROJECT = "spark_framework"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# -- what a plugin offers: called once, when the plugin is loaded --------------------------------------------------


@hookspec
def spark_tools() -> Sequence[type[Tool | Toolset]]:  # type: ignore[empty-body]
    """Offer tool classes. When: the plugin was selected. Return: classes; the class with the requested `name` is used.

    A `Toolset` offers several tools that are known once it is prepared.
    """


@hookspec
def spark_judges() -> Sequence[type[Judge]]:  # type: ignore[empty-body]
    """Offer judge classes. When: the plugin was selected. Return: classes."""


@hookspec
def spark_selectors() -> Sequence[type[Selector]]:  # type: ignore[empty-body]
    """Offer selector classes. When: the plugin was selected. Return: classes."""


@hookspec
def spark_reward_terms() -> Sequence[type[RewardTerm]]:  # type: ignore[empty-body]
    """Offer reward terms. When: the plugin was selected. Return: classes."""


@hookspec
def spark_algorithms() -> Sequence[type[Algorithm]]:  # type: ignore[empty-body]
    """Offer algorithms: how a stage learns. When: the plugin was selected. Return: classes."""


# -- who answers: the first result counts, the core answers last ---------------------------------------------------


@hookspec(firstresult=True)
def spark_call_tool(tool: Tool, arguments: Mapping[str, Any], context: ToolContext) -> tuple[bool, str] | None:
    """Answer a tool call in the tool's place: a cache, a recording, a person.

    When: once for each executed candidate, possibly from a worker thread. Return: (succeeded, text), or None to pass.
    If you raise: the call counts as failed, and the text says which plugin failed.
    """


@hookspec(firstresult=True)
def spark_judge_step(judge: Judge, request: JudgeRequest) -> Verdict | None:
    """Judge a step in the judge's place: a cache, a recording, a person.

    When: once for each step, from a worker thread. Return: a verdict, or None to pass.
    If you raise: the step stays unjudged and its trajectory is dropped. It is never scored 0.
    """


# -- what happened: observers ---------------------------------------------------------------------------------------


@hookspec
def spark_run_started(manifest: Mapping[str, Any]) -> None:
    """A run folder was opened. When: once for each command, before any work."""


@hookspec
def spark_step_finished(question_id: str, step: Step) -> None:
    """A step was judged, selected and executed. When: at the end of each wave, in question order."""


@hookspec
def spark_trajectory_finished(trajectory: Trajectory) -> None:
    """A trajectory was stored."""


@hookspec
def spark_update_finished(stage: str, metrics: Mapping[str, float]) -> None:
    """The trainer logged. When: once for each logging interval, never inside the token loop."""


@hookspec
def spark_run_finished(error: BaseException | None) -> None:
    """The command ended. `error` is None if it succeeded."""


@hookspec
def spark_metrics(trajectories: Sequence[Trajectory]) -> Mapping[str, float] | None:
    """Add figures to an evaluation. Return: name -> value; shown together with the framework's own figures."""
