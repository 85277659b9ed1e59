"""Judges many steps: stored verdicts first, then a provider's batch service if enabled, then live requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ..config.judging import JudgingSection
from ..contracts.components import Judge, JudgeRequest
from ..contracts.remote_judge import RemoteJudge
from ..errors import ConfigError, JudgeError, RunError
from ..host.hooks import PluginHooks
from ..records import Verdict
from .batch import run_batches
from .cache import JudgeStore
from .client import JudgeClient, remote_judges

Outcome = Verdict | JudgeError


class JudgeRunner:
    """Judges waves of steps through a client. The judges have to be attached to it."""

    def __init__(self, client: JudgeClient) -> None:
        self.client = client

    def judge_all(self, judge: Judge, requests: Sequence[JudgeRequest]) -> list[Outcome]:
        """For each request, in order, a verdict or the error that explains why there is none.

        Raises:
            ConfigError, RunError: for problems that only the user can fix: a wrong key or model, an exhausted budget.
        """
        section = self.client.section
        known: Iterable[Verdict | None] = (self._cached_verdict(judge, request) for request in requests)
        if section.batch and section.mode != "only":
            known = list(known)
            if missing := [request for request, verdict in zip(requests, known, strict=True) if verdict is None]:
                run_batches(self.client, judge, missing)
        with ThreadPoolExecutor(section.concurrency) as pool:
            try:  # the first requests are sent while the last verdicts are still looked up
                outcomes = [
                    verdict or pool.submit(self._judged, judge, request)
                    for request, verdict in zip(requests, known, strict=True)
                ]
                return [outcome if isinstance(outcome, Verdict) else outcome.result() for outcome in outcomes]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                self.client.fingerprints.forget()

    def _cached_verdict(self, judge: Judge, request: JudgeRequest) -> Verdict | None:
        """A stored verdict, unless a hook could return another one: the fast path of a repeated run."""
        client = self.client
        if not isinstance(judge, RemoteJudge) or client.section.mode == "refresh" or not client.calls.judges_alone:
            return None
        return client.cached_verdict(judge, request)

    def _judged(self, judge: Judge, request: JudgeRequest) -> Outcome:
        try:
            return self.client.calls.judge_step(judge, request)
        except JudgeError as exc:
            if exc.kind == "budget":
                raise RunError(str(exc)) from exc
            if exc.kind == "config":
                raise ConfigError(f"judge: {exc}") from exc
            return exc


@contextmanager
def open_judging(
    calls: PluginHooks, path: Path, section: JudgingSection, run: str, judges: Sequence[Judge]
) -> Iterator[JudgeRunner]:
    """A runner for some judges, closed when the block ends. Without a remote judge nothing is stored.

    Args:
        path: the SQLite file with replies, verdicts and the ledger.
        run: the run's name in the ledger.
    """
    remote = any(True for judge in judges for _ in remote_judges(judge))
    store = JudgeStore(path if remote else Path(":memory:"))
    try:
        client = JudgeClient(calls, store, section, run)
        try:
            for judge in judges:
                client.attach(judge)
            yield JudgeRunner(client)
        finally:
            for judge in judges:
                client.detach(judge)
    finally:
        store.close()
