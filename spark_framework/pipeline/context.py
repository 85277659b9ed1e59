"""Opens what commands need to work on a run: its components, a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from ..config.judging import JudgingSection
from ..config.load import build_config
from ..config.rollout import RewardSection
from ..contracts.components import Judge, RewardTerm, Selector
from ..host.component_spec import ComponentSpec, JudgeSpec
from ..host.lifecycle import open_component, open_tools
from ..host.tool_cache import ReplyCache, open_replies
from ..judging.runner import open_judging
from ..policy.action_space import ActionSpace
from ..rollout.environment import RolloutContext
from ..runs.run_dir import RunFolder
from ..runs.session import observed

JudgeLike: TypeAlias = str | Mapping[str, Any] | Judge | type[Judge]
"""A judge's name, a mapping with `use` and its settings, an instance, or a class."""


@contextmanager
def open_context(folder: RunFolder, *, judged: bool) -> Iterator[RolloutContext]:
    """A run's components, ready for use; they are closed when the block ends.

    Args:
        judged: also open the judge and the selector. Evaluation needs neither.

    Raises:
        RunError: the run was created with other tools.
        UserError: a component lacks something that it needs.
    """
    config = folder.config
    with ExitStack() as stack:
        calls = stack.enter_context(observed(folder))
        tools = stack.enter_context(open_tools(config.tools))
        space = ActionSpace.of(tools)
        folder.pin_action_space(space)
        if any(map(ReplyCache.covers, tools)):
            replies = stack.enter_context(open_replies(folder.replies(), config.replies.mode))
            stack.enter_context(calls.recorded(replies))
        context = RolloutContext(
            tools={tool.name: tool for tool in tools}, space=space, calls=calls, seed=config.seed, steps=config.steps,
            threshold=config.threshold,
        )  # fmt: skip
        if judged:
            specs = (config.judge, config.selector, config.judging.fallback)
            judge, selector, fallback = (stack.enter_context(open_component(s)) if s else None for s in specs)
            assert isinstance(judge, Judge)  # the config has checked the kinds
            assert isinstance(selector, Selector)
            assert fallback is None or isinstance(fallback, Judge)
            judges = [judge] if fallback is None else [judge, fallback]
            judging = stack.enter_context(
                open_judging(calls, folder.judgements(), config.judging, folder.ledger_name, judges)
            )
            context = replace(context, judge=judge, judging=judging, selector=selector, fallback=fallback)
        yield context


def reward_terms(section: RewardSection) -> tuple[list[tuple[float, RewardTerm]], list[tuple[float, RewardTerm]]]:
    """The diversity terms and the process terms, each with its weight."""
    diversity, process = (
        [(spec.weight, term) for spec in specs if isinstance(term := spec.build(), RewardTerm)]
        for specs in (section.diversity, section.process)
    )
    return diversity, process


def resolve_judge(
    judge: JudgeLike, judging: JudgingSection, overrides: Iterable[str], command: str
) -> tuple[ComponentSpec, JudgingSection]:
    """A judge and its `judging` settings, after a command's overrides.

    Args:
        judging: the section that the overrides change.
        overrides: `judge.KEY=VALUE` and `judging.KEY=VALUE` each.
        command: the source that error messages name.

    Raises:
        UserError: an override is not valid, or the judge is unknown.
    """
    data = {"judge": judge, "judging": judging.model_dump(mode="json")}
    settings = build_config(data, _JudgeSettings, overrides, command)
    return settings.judge, settings.judging


class _JudgeSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    judge: JudgeSpec
    judging: JudgingSection


def progress(steps: Iterable[int], title: str) -> Any:
    """Iterate over steps with a progress bar, which is shown on a terminal only."""
    from tqdm import tqdm

    return tqdm(list(steps), desc=title, disable=not sys.stderr.isatty(), leave=False)
