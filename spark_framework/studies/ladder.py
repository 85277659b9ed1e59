"""The ladder: runs every round and stage of a config, and evaluates every rung on the same questions."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import numpy as np

from ..config.rollout import RoundConfig
from ..config.run import UNTRAINED, RunConfig
from ..contracts.stage import StageConfig
from ..errors import ConfigError
from ..evaluation.metrics import summary
from ..pipeline.evaluate import evaluate
from ..pipeline.generate import generate
from ..pipeline.train import train
from ..records import ANSWER, Trajectory
from ..runs.run_dir import RunFolder
from ..stats.bootstrap import estimate_over_questions
from ..stats.entropy import entropy
from ..stats.intervals import mcnemar
from ..stats.tables import markdown_table
from ..util.files import write_atomic

log = logging.getLogger(__name__)


def ladder(config: RunConfig, seeds: int = 1, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Generate, train and evaluate everything that a config names, for one or several seeds.

    Args:
        seeds: 1 works in the run's folder itself; more work in `seed-0`, `seed-1`, … below it. Each seed has questions,
            rollouts and training of its own; the table pools the test questions of all seeds.
        report: gets a line for each step, and the table at the end.

    Returns:
        What is written to `ladder.json`: `stages`, `comparisons`, `sentence`, and how it was made. The reference is the
        first stage of the config.
    """
    folders = [config.run] if seeds == 1 else [config.run / f"seed-{k}" for k in range(seeds)]
    for k, folder in enumerate(folders):
        _one_seed(config.model_copy(update={"run": folder, "seed": config.seed + k}), report)
    rungs = (*UNTRAINED, *config.stages)
    answered = {rung: [_answers(RunFolder(path, config), rung) for path in folders] for rung in rungs}
    result = {**compare(answered), "seeds": [config.seed + k for k in range(seeds)]}
    write_atomic(RunFolder(config.run, config).ladder(), json.dumps(result, indent=2) + "\n")
    report(table(result))
    return result


def compare(answered: dict[str, list[list[Trajectory]]]) -> dict[str, Any]:
    """Figures of every rung and the tests between them.

    Args:
        answered: for each rung, one list of evaluation trajectories a seed; all rungs on the same questions.
    """
    pooled = {rung: [t for seed in seeds for t in seed] for rung, seeds in answered.items()}
    trained = [rung for rung in pooled if rung not in UNTRAINED]
    reference = trained[0] if trained else None
    stages = []
    for rung, trajectories in pooled.items():
        row = {"stage": rung, **summary(_unique(trajectories))}
        row["p_vs_reference"] = None if reference in (None, rung) else _p(pooled, rung, reference)
        row["accuracy_by_seed"] = [sum(t.correct for t in seed) / len(seed) for seed in answered[rung]]
        stages.append(row)
    pairs = [(a, b) for i, a in enumerate(trained) for b in trained[i + 1 :]]
    comparisons = [_comparison(pooled, a, b) for a, b in pairs]
    text = sentence(trained, comparisons)
    return {"stages": stages, "reference": reference, "comparisons": comparisons, "sentence": text}


def table(result: dict[str, Any]) -> str:
    """The ladder as text: a Markdown table that also reads well in a terminal."""
    head = (
        "stage",
        "n",
        "accuracy [95 %]",
        "tool entropy, bits [95 %]",
        "policy entropy, bits [95 %]",
        "valid",
        f"p vs {result['reference']}" if result["reference"] else "p",
    )
    groups = [
        f"  {stage['stage']}: "
        + ", ".join(f"{name} {_percent(g['accuracy'], g['accuracy_95'])}" for name, g in stage["by_group"].items())
        for stage in result["stages"]
        if stage["by_group"]
    ]
    extra = ["", "Accuracy by phrasing:", *groups] if groups else []
    return "\n".join([markdown_table(head, map(_cells, result["stages"])), *extra, "", result["sentence"]])


def sentence(trained: Sequence[str], comparisons: list[dict[str, Any]]) -> str:
    """What is and what is not significant, in words (5 %, without correction for the number of tests).

    Args:
        trained: the trained rungs, in the config's order; policy entropy is compared with the rung before.
    """
    if not comparisons:
        return "Fewer than two trained stages: there is nothing to compare."
    better = [c for c in comparisons if c["p"] < 0.05]
    words = [
        f"{c['a']} and {c['b']} differ ({100 * c['accuracy_difference']:+.1f} points for {c['a']}, p = {c['p']:.2g})"
        for c in better
    ]
    pairs = "pair" if len(comparisons) == 1 else "pairs"
    text = f"Of {len(comparisons)} {pairs} of trained stages, {len(better)} differ in accuracy at 5 % (exact McNemar"
    text += f", uncorrected; the Bonferroni limit is {0.05 / len(comparisons):.2g}): "
    text += ("; ".join(words) if words else "none, so the order of these rungs means nothing") + "."
    entropies = [
        f"{c['b']} {-c['policy_entropy_difference']:+.3f} [{-high:+.3f}, {-low:+.3f}]"
        for before, rung in pairwise(trained)
        for c in comparisons
        if (c["a"], c["b"]) == (before, rung) and c["policy_entropy_difference"] is not None
        for low, high in [c["policy_entropy_difference_95"]]
    ]
    if entropies:
        text += f" Policy entropy against the rung before, in bits (paired): {'; '.join(entropies)}."
    return text


def _one_seed(config: RunConfig, report: Callable[[str], None]) -> None:
    """Run rounds and stages in order of their dependencies, then all evaluations."""
    for kind, name in _in_order(config.rollouts, {name: config.stage_config(name) for name in config.stages}):
        if kind == "round":
            report(f"{config.run}: rollouts {name}")
            generate(config, name)
        else:
            report(f"{config.run}: train {name}")
            train(config.run, name)
    for rung in (*UNTRAINED, *config.stages):
        figures = evaluate(config.run, rung)
        report(f"{config.run}: {rung} answers {_percent(figures['accuracy'], figures['accuracy_95'])} %")


def _in_order(rollouts: Iterable[RoundConfig], stages: Mapping[str, StageConfig]) -> list[tuple[str, str]]:
    graph: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for one in rollouts:
        graph["round", one.name] = [] if one.adapter is None else [("stage", one.adapter)]
    for name, stage in stages.items():
        graph["stage", name] = [("round", stage.data), *([] if stage.init is None else [("stage", stage.init)])]
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as exc:
        loop = " -> ".join(name for _, name in exc.args[1])
        raise ConfigError(f"stages: rounds and stages depend on each other in a circle: {loop}") from exc


def _answers(folder: RunFolder, rung: str) -> list[Trajectory]:
    return list(folder.evaluation(rung, folder.config.evaluation.temperatures[0]).read())


def _unique(trajectories: list[Trajectory]) -> list[Trajectory]:
    """Questions of different seeds are different questions, even if a generator gave them the same numbers."""
    numbered = enumerate(trajectories)
    return [t.model_copy(update={"question": t.question.model_copy(update={"id": f"{i}"})}) for i, t in numbered]


def _p(pooled: dict[str, list[Trajectory]], a: str, b: str) -> float:
    return mcnemar([t.correct for t in pooled[a]], [t.correct for t in pooled[b]])


def _comparison(pooled: dict[str, list[Trajectory]], a: str, b: str) -> dict[str, Any]:
    gained = np.mean([t.correct for t in pooled[a]]) - np.mean([t.correct for t in pooled[b]])
    gaps = np.array([_first_entropy(x) - _first_entropy(y) for x, y in zip(pooled[a], pooled[b], strict=True)])
    gaps = gaps[~np.isnan(gaps)]
    paired = estimate_over_questions(gaps, lambda means: means[:, 0]) if len(gaps) else None
    return {
        "a": a, "b": b, "accuracy_difference": float(gained), "p": _p(pooled, a, b),
        "policy_entropy_difference": None if paired is None else paired.value,
        "policy_entropy_difference_95": None if paired is None else [paired.low, paired.high],
    }  # fmt: skip


def _first_entropy(trajectory: Trajectory) -> float:
    """Entropy in bits of the policy over its tools in the first state; nan where unknown."""
    return float(entropy([p for name, p in trajectory.steps[0].action_probs.items() if name != ANSWER]))


def _cells(stage: dict[str, Any]) -> tuple[str, ...]:
    return (
        stage["stage"],
        str(stage["n"]),
        _percent(stage["accuracy"], stage["accuracy_95"]),
        _bits(stage["tool_entropy_bits"], stage["tool_entropy_95"]),
        _bits(stage["policy_entropy_bits"], stage["policy_entropy_95"]),
        "-" if stage["valid_calls"] is None else f"{stage['valid_calls']:.2f}",
        "-" if stage["p_vs_reference"] is None else f"{stage['p_vs_reference']:.2g}",
    )


def _percent(value: float, interval: list[float]) -> str:
    return f"{100 * value:.1f} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _bits(value: float | None, interval: list[float] | None) -> str:
    return "-" if value is None or interval is None else f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
