"""Scores a run's stored candidates with another judge: nothing is generated, and no request is repeated."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..config.judging import JudgingSection
from ..contracts.components import Component, Judge
from ..contracts.remote_judge import Usage
from ..errors import ConfigError, JudgeError, RunError
from ..host.component_spec import ComponentSpec
from ..host.hooks import PluginHooks
from ..host.lifecycle import open_component
from ..host.manager import current_host
from ..judging.budget import cost
from ..judging.client import remote_judges
from ..judging.cost import Forecast, forecast_steps
from ..judging.fingerprint import behaviour_id
from ..judging.runner import JudgeRunner, open_judging
from ..pipeline.context import JudgeLike, resolve_judge
from ..runs.decisions import JudgedDecision, judged_decisions
from ..runs.run_dir import RunFolder, existing_run
from ..runs.session import observed
from ..runs.verdicts import VerdictFile
from ..util.files import write_atomic

WAVE = 256
"""States between two appends to the file. Through a batch service, all states go in one wave."""


@dataclass(frozen=True)
class Failure:
    """A state on which the judge failed. It has no line in the file; the same command tries it again."""

    trajectory: str
    step: int
    category: str
    kind: str
    """Of the `JudgeError`: transient, invalid or refusal."""
    reason: str


@dataclass(frozen=True)
class Rejudged:
    """The outcome of judging a run: verdicts, failures, cost."""

    file: Path
    states: int
    """How many states the run has."""
    judged: int
    """How many were judged by this command; the others were already in the file."""
    failures: tuple[Failure, ...]
    calls: int
    """Requests sent, failed ones included."""
    usd: float | None
    """US dollars for these; None if no price is known."""

    def __str__(self) -> str:
        done = self.states - len(self.failures)
        price = "price not known" if self.usd is None else f"${self.usd:,.4f}"
        text = f"{self.file}: {done} of {self.states} states ({self.judged} now), {self.calls} calls, {price}"
        if not self.failures:
            return text
        kinds, categories = (
            ", ".join(f"{name} {count}" for name, count in Counter(names).most_common())
            for names in ((f.kind for f in self.failures), (f.category for f in self.failures))
        )
        first = self.failures[0]
        return (
            f"{text}\nthe judge failed on {len(self.failures)} states, which stay without a verdict ({kinds}; by "
            f"category: {categories}); the first: trajectory {first.trajectory}, step {first.step}: {first.reason}"
        )


def rejudge(
    run: str | Path, judge: JudgeLike, *, name: str | None = None, repeat: int = 0, overrides: Iterable[str] = ()
) -> Rejudged:
    """Let another judge score all stored states of a run, in the stored order, and keep its verdicts with the run.

    The run's `judging` section applies, without a fallback judge. Repeating the call resumes where it
    stopped, after `kill -9` too, and asks nothing where nothing changed.

    Args:
        judge: its name, a mapping with `use` and its settings, a class or an instance.
        name: of the file; None is the judge's name.
        repeat: 0 asks as the run did; 1, 2, … ask again with other seeds, and so in another order.
        overrides: `judge.KEY=VALUE` and `judging.KEY=VALUE` each.

    Returns:
        Where the verdicts are (`RUN/rejudged/NAME.jsonl`, for a repeat `NAME.REPEAT.jsonl`), what failed, what it cost.

    Raises:
        UserError: the judge is unknown, cannot judge these states, or lacks something that the user can provide; the
            run has no states; the file belongs to a judge with other settings.
    """
    folder = existing_run(Path(run))
    choice, judging = resolve_judge(judge, folder.config.judging, overrides, "rejudge")
    with folder.locked(), observed(folder):
        return rejudge_states(
            folder, judged_decisions(folder), choice, judging, name=name or choice.name, repeat=repeat
        )


def estimate_rejudging(
    run: str | Path, judge: JudgeLike, *, name: str | None = None, repeat: int = 0, overrides: Iterable[str] = ()
) -> Forecast:
    """What the same call of `rejudge` would cost. Sends no request and writes nothing."""
    folder = existing_run(Path(run))
    choice, judging = resolve_judge(judge, folder.config.judging, overrides, "rejudge")
    return forecast_states(folder, judged_decisions(folder), choice, judging, name=name or choice.name, repeat=repeat)


def rejudge_states(
    folder: RunFolder,
    states: Sequence[JudgedDecision],
    choice: ComponentSpec,
    judging: JudgingSection,
    *,
    name: str,
    repeat: int = 0,
) -> Rejudged:
    """`rejudge` for some states of a run that is already locked."""
    path = verdict_path(folder, name, repeat)
    file = VerdictFile(path)
    with open_component(choice) as component, open_runner(folder, judge := as_judge(component), judging) as runner:
        write_or_check_manifest(path, choice, judge, repeat)
        known = {} if judging.mode == "refresh" else file.read()
        missing = [state for state in states if state.digest not in known]
        before = runner.client.budget.spent
        failures: list[Failure] = []
        for wave in _waves(missing, len(missing) if judging.batch else WAVE, path.stem, runner):
            requests = [state.request(folder.config.seed, repeat) for state in wave]
            outcomes = list(zip(wave, runner.judge_all(judge, requests), strict=True))
            file.append([s.recorded(verdict) for s, verdict in outcomes if not isinstance(verdict, JudgeError)])
            failures += [_failure(state, error) for state, error in outcomes if isinstance(error, JudgeError)]
        return Rejudged(
            file=path, states=len(states), judged=len(missing) - len(failures), failures=tuple(failures),
            calls=runner.client.attempts, usd=runner.client.budget.spent - before if _has_price(judge) else None,
        )  # fmt: skip


def forecast_states(
    folder: RunFolder,
    states: Sequence[JudgedDecision],
    choice: ComponentSpec,
    judging: JudgingSection,
    *,
    name: str,
    repeat: int = 0,
) -> Forecast:
    """What `rejudge_states` would cost."""
    known = VerdictFile(verdict_path(folder, name, repeat)).read()
    missing = [state for state in states if state.digest not in known or judging.mode == "refresh"]
    judge = as_judge(choice.build())  # not prepared: an estimate needs no key
    with closing(judge), open_runner(folder, judge, judging) as runner:
        return forecast_steps(runner.client, judge, [state.request(folder.config.seed, repeat) for state in missing])


def request_keys(judge: Judge, states: Iterable[JudgedDecision], seed: int, repeat: int = 0) -> set[str]:
    """Keys of the requests that a judge and its parts would send for some states."""
    return {
        part.request(PluginHooks.redact_gold(part, state.request(seed, repeat))).key
        for part in remote_judges(judge)
        for state in states
    }


def verdict_path(folder: RunFolder, name: str, repeat: int = 0) -> Path:
    """Where a judge's verdicts on a run are kept. ConfigError for an invalid name or number."""
    if repeat < 0:
        raise ConfigError(f"repeat: {repeat} must not be negative")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ConfigError(f"the name {name!r} is not a valid file name: use letters, digits, _ and -")
    return folder.rejudged(name, repeat)


def as_judge(component: Component) -> Judge:
    """The component itself."""
    assert isinstance(component, Judge)  # the choice has checked the kind
    return component


@contextmanager
def open_runner(folder: RunFolder, judge: Judge, judging: JudgingSection) -> Iterator[JudgeRunner]:
    """A runner for one judge, with the run's store and ledger."""
    file = folder.judgements(judging)
    with open_judging(current_host().calls, file, judging, folder.ledger_name, [judge]) as runner:
        yield runner


def write_or_check_manifest(path: Path, choice: ComponentSpec, judge: Judge, repeat: int) -> None:
    """Record next to the file which judge its verdicts are of, and refuse to mix judges."""
    settings = {"use": choice.use, **choice.config.model_dump(mode="json")}
    whose = {"judge": settings, "behaviour": behaviour_id(judge), "repeat": repeat}
    manifest = path.with_suffix(".json")
    if path.is_file():
        try:
            before = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = None
        if before != whose:
            raise RunError(
                f"{path} holds the verdicts of a judge with other settings or other code; choose another name (in a "
                "study another label), or delete the file: replies that are stored with the run are reused"
            )
    else:
        write_atomic(manifest, json.dumps(whose, indent=2) + "\n")


def _waves(
    states: Sequence[JudgedDecision], size: int, title: str, runner: JudgeRunner
) -> Iterator[Sequence[JudgedDecision]]:
    """Parts of the states, with a progress bar and the cost on a terminal."""
    from tqdm import tqdm

    with tqdm(total=len(states), desc=f"rejudge {title}", disable=not sys.stderr.isatty(), leave=False) as bar:
        for first in range(0, len(states), size or 1):
            part = states[first : first + size]
            yield part
            bar.update(len(part))
            if runner.client.budget.spent:
                bar.set_postfix_str(f"${runner.client.budget.spent:.2f}")


def _failure(state: JudgedDecision, error: JudgeError) -> Failure:
    return Failure(state.trajectories[0], state.number, state.question.category, error.kind, str(error))


def _has_price(judge: Judge) -> bool:
    return all(cost(part, Usage(input_tokens=1)) is not None for part in remote_judges(judge))
