"""Lets the policy of a stage answer held-out questions alone. Safe to repeat: stored answers are reused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..config.run import UNTRAINED
from ..errors import ConfigError
from ..evaluation import metrics
from ..evaluation.extraction import officially_graded
from ..evaluation.runner import act
from ..policy import Policy, Sampling
from ..policy.factory import open_policy
from ..runs.run_dir import existing_run
from ..util.files import write_atomic
from .context import open_context, progress


def evaluate(run: str | Path, stage: str, questions: int | None = None) -> dict[str, Any]:
    """Let a stage's policy answer held-out questions alone.

    Args:
        stage: a trained stage, or `base` (no tools) or `tools` (the untrained model with tools).
        questions: number of questions; None uses the config's number.

    Returns:
        The figures of `evaluation.metrics.summary` for the config's first temperature; all are in `eval/STAGE.json`.
    """
    folder = existing_run(Path(run))
    config = folder.config
    if stage not in (*UNTRAINED, *config.stages):
        known = ", ".join((*UNTRAINED, *config.stages))
        raise ConfigError(f"--stage: there is no stage {stage}; stages: {known}")
    wanted = config.evaluation.questions if questions is None else questions
    adapter = None if stage in UNTRAINED else folder.adapter(stage)
    tested = folder.questions().test(wanted)
    results = {}
    with folder.locked(), open_context(folder, judged=False) as context:
        policy: Policy | None = None
        for temperature in config.evaluation.temperatures:
            store = folder.evaluation(stage, temperature)
            size = 2 * config.evaluation.batch_size
            for first in progress(range(store.next_index(stage), len(tested), size), f"evaluate {stage}"):
                if policy is None:
                    policy = open_policy(config.policy, context.space, adapter, config.evaluation.batch_size)
                part = tested[first : first + size]
                sampling = Sampling(temperature, config.policy.max_new_tokens)
                done = act(part, first, policy, context, sampling, stage, use_tools=stage != "base")
                if config.evaluation.extraction == "official":
                    done = [officially_graded(trajectory) for trajectory in done]
                store.append(stage, done, next_index=first + len(part))
            finished = list(store.read())[: len(tested)]
            results[f"{temperature:g}"] = {**metrics.summary(finished), **context.calls.metrics(finished)}
    write_atomic(folder.evaluation_metrics(stage), json.dumps(results, indent=2) + "\n")
    return next(iter(results.values()))
