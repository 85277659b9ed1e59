"""Asks judges: from the store where it can, over the wire where it must, and never a number for a failure."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ..contracts.components import Judge, JudgeRequest
from ..contracts.remote_judge import Usage, WireJudge, WireReply, WireRequest
from ..errors import ConfigError, JudgeError, RunError, UserError
from ..host.hooks import PluginHooks
from ..records import Verdict
from .budget import Budget, cost
from .cache import JudgeStore
from .fingerprint import StepDigests, reader
from .terms import Terms

log = logging.getLogger(__name__)
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between two attempts: doubling from the first to the longest, with full jitter."""
LONGEST_RETRY_AFTER = 120.0
POLL = 0.05
"""Seconds between two looks whether another process has the reply."""

Outcome = Verdict | JudgeError


class JudgingSession:
    """One run's judging. Its wire judges, also those inside of a jury, ask through it while it is open."""

    def __init__(self, calls: PluginHooks, store: JudgeStore, terms: Terms, run: str) -> None:
        self.calls, self.store, self.terms, self.run = calls, store, terms, run
        self.budget = Budget(terms.budget, store.spent(run))
        self.asked = 0
        """Attempts over the wire in this session."""
        self.digests = StepDigests()
        self._lock = threading.Lock()
        self._flying: dict[str, threading.Lock] = {}
        self._models: dict[str, str] = {}

    def adopt(self, judge: Judge) -> None:
        """Let a judge ask through this session.

        Raises:
            ConfigError: a budget is set, and what the judge costs is not known.
        """
        for part in wire_judges(judge):
            part.exchange = self._exchange
            if self.terms.budget is not None and part.price is None and part.priced_model is not None:
                request = WireRequest(endpoint="", body={})
                if cost(part, part.most_tokens(request)) is None:
                    raise ConfigError(
                        f"judging.budget: the price of {part.priced_model} is not known; set the judge's `price`, "
                        "or leave the budget out"
                    )

    def judge_all(self, judge: Judge, requests: Sequence[JudgeRequest]) -> list[Outcome]:
        """A verdict for each request, in order, or why there is none.

        Raises:
            ConfigError, RunError: only the user can mend it: a wrong key or model, a used up budget.
        """
        known: Iterable[Verdict | None] = (self._remembered(judge, request) for request in requests)
        if self.terms.batch and self.terms.mode != "only":
            known = list(known)
            if missing := [request for request, verdict in zip(requests, known, strict=True) if verdict is None]:
                from .batch import run_batches

                run_batches(self, judge, missing)
        with ThreadPoolExecutor(self.terms.concurrency) as pool:
            try:  # the first are asked while the last are still looked up
                outcomes = [
                    verdict or pool.submit(self._judged, judge, request)
                    for request, verdict in zip(requests, known, strict=True)
                ]
                return [outcome if isinstance(outcome, Verdict) else outcome.result() for outcome in outcomes]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                self.digests.forget()

    # -- one step --------------------------------------------------------------------------------------------------

    def _remembered(self, judge: Judge, request: JudgeRequest) -> Verdict | None:
        """A stored verdict, where nobody else could answer: the fast lane of a run that is repeated."""
        if not isinstance(judge, WireJudge) or self.terms.mode == "refresh" or not self.calls.judges_alone:
            return None
        return self.store.remembered(self.digests.of(judge, request), reader(judge))

    def _judged(self, judge: Judge, request: JudgeRequest) -> Outcome:
        try:
            return self.calls.judge_step(judge, request)
        except JudgeError as exc:
            if exc.kind == "budget":
                raise RunError(str(exc)) from exc
            if exc.kind == "config":
                raise ConfigError(f"judge: {exc}") from exc
            return exc

    def _exchange(self, judge: WireJudge, step: JudgeRequest) -> Verdict:
        """`WireJudge.score`: the first request, and after an unusable reply perhaps a second one."""
        step = self.calls.redact_gold(judge, step)  # a jury with an oracle in it passes the gold answer on
        wire, name, who = judge.request(step), self.digests.of(judge, step), reader(judge)
        try:
            return self._verdict(judge, step, wire, name, who)
        except _Unusable as unusable:
            second = judge.repaired(wire, unusable.reply, unusable.fault) if unusable.fault.kind == "invalid" else None
            if second is None:
                raise unusable.fault from None
            try:
                return self._verdict(judge, step, second, name, who)
            except _Unusable as again:
                raise again.fault from None

    def _verdict(self, judge: WireJudge, step: JudgeRequest, wire: WireRequest, name: str, who: str) -> Verdict:
        with self._alone(wire.key):
            reply = None if self.terms.mode == "refresh" else self.store.reply(wire.key)
            if reply is None and self.terms.mode == "only":
                raise UserError(
                    f"{self.store.path} lacks a reply of judge {judge.name} to question {step.question.id!r}, and "
                    "judging.mode is `only`; use `use` to ask"
                )
            if reply is not None:
                verdict = self._read(judge, step, wire, reply)
                self.store.keep_verdict(name, wire, who, verdict)
                return verdict
            return self._ask(judge, step, wire, name, who)

    def _read(self, judge: WireJudge, step: JudgeRequest, wire: WireRequest, reply: WireReply) -> Verdict:
        try:
            return judge.read(step, reply).model_copy(update={"request": wire.key})
        except JudgeError as fault:
            raise _Unusable(reply, fault) from None

    def _ask(self, judge: WireJudge, step: JudgeRequest, wire: WireRequest, name: str, who: str) -> Verdict:
        worst = 0.0 if self.budget.limit is None else cost(judge, judge.most_tokens(wire)) or 0.0
        for attempt in range(1, self.terms.attempts + 1):
            with self.budget.reserved(worst) as costs:
                start = time.monotonic()
                try:
                    reply = judge.send(wire)
                except JudgeError as exc:
                    self.store.count(self.row(judge, wire, exc.kind, None, None, time.monotonic() - start))
                    if exc.kind != "transient" or attempt == self.terms.attempts:
                        raise
                    failure = exc
                else:
                    seconds = time.monotonic() - start
                    # A server that does not say what it took is taken at its worst.
                    usd = cost(judge, reply.usage or judge.most_tokens(wire))
                    costs.append(usd or 0.0)
                    try:
                        verdict = self._read(judge, step, wire, reply)
                    except _Unusable as unusable:
                        self.store.count(self.row(judge, wire, unusable.fault.kind, reply.usage, usd, seconds))
                        raise
                    row = self.row(judge, wire, "ok", reply.usage, usd, seconds)
                    self.store.keep(judge.name, wire, reply, row, name, who, verdict)
                    self._watch(judge, reply.model)
                    return verdict
            time.sleep(_pause(attempt, failure.retry_after))
        raise AssertionError("the last attempt returns or raises")

    # -- bookkeeping -----------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Nobody else asks the same at the same time: no other thread, and no other process on this store."""
        with self._lock:
            lock = self._flying.setdefault(key, threading.Lock())
        with lock:
            leased = self.terms.mode != "only"
            while leased and not self.store.lease(key):
                time.sleep(POLL)
            try:
                yield
            finally:
                if leased:
                    self.store.release(key)
                with self._lock:
                    self._flying.pop(key, None)

    def row(
        self, judge: WireJudge, wire: WireRequest, outcome: str, usage: Usage | None, usd: float | None, seconds: float,
        transport: str = "live",
    ) -> tuple[object, ...]:  # fmt: skip
        """A line of the ledger; making one counts the attempt."""
        with self._lock:
            self.asked += 1
        tokens = (usage.input_tokens, usage.cached_tokens, usage.output_tokens) if usage else (None, None, None)
        return (self.run, judge.name, wire.key, transport, outcome, *tokens, usd, seconds)

    def _watch(self, judge: WireJudge, model: str) -> None:
        """Say it where another model answers under the same name: scores may have moved."""
        before = self._models.setdefault(judge.name, model)
        if before != model:
            self._models[judge.name] = model
            log.warning("judge %s is answered by %s, and was by %s before", judge.name, model, before)


class _Unusable(Exception):
    """A reply that holds no verdict, with what is wrong with it."""

    def __init__(self, reply: WireReply, fault: JudgeError) -> None:
        super().__init__(str(fault))
        self.reply, self.fault = reply, fault


@contextmanager
def open_judging(
    calls: PluginHooks, path: Path, terms: Terms, run: str, judges: Sequence[Judge]
) -> Iterator[JudgingSession]:
    """A session for some judges; it is closed when the block ends. Without a wire judge there is nothing to store."""
    asking = any(True for judge in judges for _ in wire_judges(judge))
    store = JudgeStore(path if asking else Path(":memory:"))
    try:
        session = JudgingSession(calls, store, terms, run)
        for judge in judges:
            session.adopt(judge)
        yield session
    finally:
        for part in (part for judge in judges for part in wire_judges(judge)):
            part.exchange = None  # in a notebook the judge lives on, and may be asked again
        store.close()


def wire_judges(judge: Judge) -> Iterator[WireJudge]:
    """The judge itself and all judges inside of it, as far as they ask over a wire."""
    if isinstance(judge, WireJudge):
        yield judge
    for part in judge.parts():
        yield from wire_judges(part)


def _pause(attempt: int, retry_after: float | None) -> float:
    if retry_after is not None:
        return min(max(retry_after, 0.0), LONGEST_RETRY_AFTER)
    return random.uniform(0.0, min(FIRST_WAIT * 2.0 ** (attempt - 1), LONGEST_WAIT))
