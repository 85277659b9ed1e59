"""The main job, step by step: `generate`, `train`, `evaluate`. The command line and the Python API both call these.

Each is safe to repeat: what is done is kept, what a killed process left half-done is done again with the same result.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.run import LocalPolicyConfig, RoundConfig, RunConfig
from ..config.training import StageConfig
from ..contracts.components import Judge, RewardTerm, Selector
from ..errors import ConfigError, DataError, RunError
from ..evaluation import metrics
from ..evaluation.runner import act
from ..host.hooks import Calls
from ..host.lifecycle import open_tools, opened
from ..host.manager import current_host
from ..host.tool_cache import ReplyCache, open_replies
from ..judging.runner import open_judging
from ..policy import Policy, Sampling
from ..policy.factory import open_encoder, open_policy
from ..policy.formats import ActionSpace
from ..policy.scripted import ScriptedPolicy
from ..questions import open_questions
from ..records import Trajectory
from ..rollout.engine import Plan, Workshop, count_actions, roll_out_all
from ..runs.run_dir import RunFolder, existing_run, open_run, write_whole
from ..util.launcher import is_first

if TYPE_CHECKING:
    from ..training.cost_model import Plan as TrainingPlan

log = logging.getLogger(__name__)
UNTRAINED = ("base", "tools")
"""Rungs of the untrained model: without tools, and with them."""


def generate(config: RunConfig, round: str | None = None) -> Path:
    """Roll out one round, or all rounds in order, and store the trajectories.

    Args:
        round: name of a round; None takes every round, up to the first whose adapter has not been trained yet.

    Returns:
        The run's folder. Repeating the call continues where it stopped.
    """
    folder = open_run(config)
    wanted = [r for r in config.rollouts if round in (None, r.name)]
    if not wanted:
        config.round_start(round or "")
    with folder.locked(), _workshop(folder, judged=True) as shop:
        for one in wanted:
            if round is None and one.adapter is not None and not (folder.stage(one.adapter) / "adapter").exists():
                log.warning("round %s waits for stage %s; train it, then generate again", one.name, one.adapter)
                break
            _roll_round(folder, one, shop)
    return folder.path


def train(run: str | Path | RunConfig, stage: str) -> Path:
    """Train one stage of a run; returns the adapter's folder. Repeating it resumes from the last checkpoint.

    Args:
        run: its folder, or its config: a stage that reads StepTool's CSV needs no round, and so perhaps no folder yet.
    """
    folder = open_run(run) if isinstance(run, RunConfig) else existing_run(Path(run))
    section = _trainable(folder.config, stage)
    with folder.locked(), observed(folder) as calls:
        target = folder.stage(stage) / "adapter"
        if not (target / "adapter_config.json").is_file():
            from ..training.run_stage import train_stage

            train_stage(folder, stage, section, stage_data(folder, section, calls), reward_terms(folder.config), calls)
    return target


def plan(run: str | Path | RunConfig, stage: str) -> TrainingPlan:
    """What training a stage will cost, before any weight is loaded. Nothing is written."""
    folder = RunFolder(run.run, run) if isinstance(run, RunConfig) else existing_run(Path(run))
    config = folder.config
    section = first = _trainable(config, stage)
    while first.init is not None:
        first = config.stages[first.init]
    from ..models.loading import context_length
    from ..training.cost_model import plan_stage
    from ..training.run_stage import stage_rows

    assert isinstance(config.policy, LocalPolicyConfig)
    data = [] if section.steptool is not None and section.steptool.csv is not None else _round_of(folder, section)
    rows = stage_rows(folder, section, data, reward_terms(config), context_length(config.policy.model))
    return plan_stage(config.policy, section, first, rows)


def export(run: str | Path, stage: str, to: str | Path) -> Path:
    """Write a trained stage as a plain model folder, its adapter merged in; returns that folder.

    Args:
        to: a folder that does not exist yet.
    """
    folder = existing_run(Path(run))
    _trainable(folder.config, stage)
    from ..training.export import export_model

    assert isinstance(folder.config.policy, LocalPolicyConfig)
    return export_model(folder.config.policy, folder.adapter(stage), Path(to))


def evaluate(run: str | Path, stage: str, questions: int | None = None) -> dict[str, Any]:
    """Let a stage's policy answer held-out questions alone.

    Args:
        stage: a trained stage, or `base` (no tools) or `tools` (the untrained model with tools).
        questions: how many; None takes the config's number.

    Returns:
        The figures of `evaluation.metrics.summary` for the config's first temperature; all are in `eval/STAGE.json`.
    """
    folder = existing_run(Path(run))
    config = folder.config
    if stage not in (*UNTRAINED, *config.stages):
        known = ", ".join((*UNTRAINED, *config.stages))
        raise ConfigError(f"--stage: there is no stage {stage}; stages: {known}")
    wanted = config.evaluation.questions if questions is None else questions
    tested = open_questions(config.questions, config.seed).test(wanted)
    results = {}
    with folder.locked(), _workshop(folder, judged=False) as shop:
        policy: Policy | None = None
        for temperature in config.evaluation.temperatures:
            store = folder.evaluation(stage, temperature)
            size = 2 * config.evaluation.batch_size
            for first in _progress(range(store.next_index(stage), len(tested), size), f"evaluate {stage}"):
                if policy is None:
                    policy = open_policy(config, shop.space, _adapter(folder, stage), config.evaluation.batch_size)
                part = tested[first : first + size]
                sampling = Sampling(temperature, _max_new_tokens(config))
                done = act(part, first, policy, shop, sampling, stage, use_tools=stage != "base")
                store.append(stage, done, next_index=first + len(part))
            finished = list(store.read())[: len(tested)]
            results[f"{temperature:g}"] = {**metrics.summary(finished), **shop.calls.metrics(finished)}
    write_whole(folder.path / "eval" / f"{stage}.json", json.dumps(results, indent=2) + "\n")
    return next(iter(results.values()))


# -- the parts ------------------------------------------------------------------------------------------------------


def _roll_round(folder: RunFolder, one: RoundConfig, shop: Workshop) -> None:
    config, store = folder.config, folder.trajectories()
    start = store.next_index(one.name)
    if start >= one.questions:
        return
    first_question = config.round_start(one.name)
    source = open_questions(config.questions, config.seed)
    usage = count_actions(store.read(one.name))
    scripted = one.proposer == "scripted"
    policy: Policy = (
        ScriptedPolicy(open_encoder(config, shop.space))
        if scripted
        else open_policy(config, shop.space, _adapter(folder, one.adapter))
    )
    plan = Plan(
        round=one.name, sampling=Sampling(one.temperature, _max_new_tokens(config)),
        execute_all=one.execute == "all", branches=one.branches, branch_among_viable=one.branch_among == "viable",
    )  # fmt: skip
    size = questions_per_wave(config, one)
    with _progress(range(start, one.questions, size), f"generate {one.name}") as waves:
        for first in waves:
            count = min(size, one.questions - first)
            questions = dict(enumerate(source.train(first_question + first, count), start=first))
            result = roll_out_all(questions, policy, shop, plan, usage, shop.fallback)
            lost = [*store.lost.get(one.name, ()), *(one_lost.index for one_lost in result.lost)]
            if len(lost) > max(one.max_failed * one.questions, 1):  # the wave is not stored: it is done again
                raise RunError(
                    f"the judge failed on {len(lost)} trajectories of round {one.name} (the last: "
                    f"{result.lost[-1].reason}); mend it and give the same command again"
                )
            store.append(
                one.name, result.trajectories, next_index=first + count, lost=[lost.index for lost in result.lost]
            )
            usage += count_actions(result.trajectories)
            for trajectory in result.trajectories:
                shop.calls.trajectory_finished(trajectory)
            if shop.judging is not None and shop.judging.client.budget.spent:
                waves.set_postfix_str(f"${shop.judging.client.budget.spent:.2f}")


def questions_per_wave(config: RunConfig, one: RoundConfig) -> int:
    """Questions that are rolled out together. A batch holds one step of all questions."""
    return one.questions if config.judging.batch else one.wave_size


@contextmanager
def _workshop(folder: RunFolder, *, judged: bool) -> Iterator[Workshop]:
    """The run's components, ready for use, and closed in the end. Evaluation needs no judge and no selector."""
    config = folder.config
    with ExitStack() as stack:
        calls = stack.enter_context(observed(folder))
        tools = stack.enter_context(open_tools(config.tools))
        space = ActionSpace.of(tools)
        folder.settle_actions(space)
        if any(map(ReplyCache.covers, tools)):
            replies = stack.enter_context(open_replies(folder.replies(), config.replies.mode))
            stack.enter_context(calls.recorded(replies))
        shop = Workshop(
            tools={tool.name: tool for tool in tools}, space=space, calls=calls, seed=config.seed, steps=config.steps,
            threshold=config.threshold,
        )  # fmt: skip
        if judged:
            judge, selector = (stack.enter_context(opened(choice)) for choice in (config.judge, config.selector))
            fallback = stack.enter_context(opened(config.judging.fallback)) if config.judging.fallback else None
            assert isinstance(judge, Judge)  # the config has checked the kinds
            assert isinstance(selector, Selector)
            assert fallback is None or isinstance(fallback, Judge)
            judges = [judge] if fallback is None else [judge, fallback]
            judging = stack.enter_context(
                open_judging(calls, folder.judgements(), config.judging, folder.ledger_name, judges)
            )
            shop = replace(shop, judge=judge, judging=judging, selector=selector, fallback=fallback)
        yield shop


@contextmanager
def observed(folder: RunFolder) -> Iterator[Calls]:
    """Tell the observers that the command began, and how it ended."""
    calls = current_host().calls
    if not is_first():  # of several processes that were launched together
        yield calls
        return
    error: BaseException | None = None
    calls.run_started(json.loads((folder.path / "run.json").read_text(encoding="utf-8")))
    try:
        yield calls
    except BaseException as exc:
        error = exc
        raise
    finally:
        calls.run_finished(error)


def reward_terms(config: RunConfig) -> tuple[list[tuple[float, RewardTerm]], list[tuple[float, RewardTerm]]]:
    """A run's diversity and process terms, each with its weight."""
    both = (config.reward.diversity, config.reward.process)
    diversity, process = (
        [(choice.weight, term) for choice in choices if isinstance(term := choice.build(), RewardTerm)]
        for choices in both
    )
    return diversity, process


def stage_data(folder: RunFolder, stage: StageConfig, calls: Calls) -> list[list[Trajectory]]:
    """What a stage is trained on: its round, by question, perhaps annotated; nothing where it reads a CSV."""
    if stage.steptool is None or (stage.steptool.csv is None and stage.steptool.annotator is None):
        return _round_of(folder, stage)
    if stage.steptool.csv is not None:
        return []
    from ..judging.hindsight import annotated

    return annotated(
        stage.steptool, _round_of(folder, stage), calls=calls, store=folder.judgements(),
        judging=folder.config.judging, run=folder.ledger_name,
    )  # fmt: skip


def _round_of(folder: RunFolder, stage: StageConfig) -> list[list[Trajectory]]:
    """All trajectories of a stage's round, by question. Raises where the round is not complete."""
    store = folder.trajectories()
    expected = next(r.questions for r in folder.config.rollouts if r.name == stage.data)
    if (done := store.next_index(stage.data)) < expected:
        raise RunError(
            f"round {stage.data} has {done} of {expected} questions; finish it with `spark-framework generate` first"
        )
    grouped: dict[int, list[Trajectory]] = defaultdict(list)
    for trajectory in store.read(stage.data):
        for number, step in enumerate(trajectory.steps):
            if step.verdict is None and not step.is_answer:
                raise DataError(f"trajectory {trajectory.id}, step {number} has no verdict; it cannot be trained on")
        grouped[trajectory.index].append(trajectory)
    missing = set(range(expected)) - set(grouped) - set(store.lost.get(stage.data, ()))
    if missing:
        raise DataError(
            f"round {stage.data} lacks {len(missing)} questions (the first: {min(missing)}); generate it again"
        )
    if not grouped:
        raise DataError(f"round {stage.data} holds no trajectory")
    return [grouped[index] for index in sorted(grouped)]


def _trainable(config: RunConfig, name: str) -> StageConfig:
    """A stage of a config whose policy can be trained."""
    if name not in config.stages:
        raise ConfigError(f"stages: there is no stage {name}; stages: {', '.join(config.stages) or 'none'}")
    if not isinstance(config.policy, LocalPolicyConfig):
        raise ConfigError("policy.use: training needs `local` weights; a server's policy cannot be trained")
    return config.stages[name]


def _adapter(folder: RunFolder, stage: str | None) -> Path | None:
    return None if stage is None or stage in UNTRAINED else folder.adapter(stage)


def _max_new_tokens(config: RunConfig) -> int:
    return config.policy.max_new_tokens


def _progress(steps: Iterable[int], title: str) -> Any:
    """A bar over waves, shown on a terminal only."""
    from tqdm import tqdm

    return tqdm(list(steps), desc=title, disable=not sys.stderr.isatty(), leave=False)
