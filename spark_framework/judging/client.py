"""Answers one request of a judge: from the store if possible, else from the server, with retries, budget and ledger."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from ..config.judging import JudgingSection
from ..contracts.components import Judge, JudgeRequest
from ..contracts.remote_judge import ApiReply, ApiRequest, RemoteJudge, Usage
from ..errors import ConfigError, JudgeError, UserError
from ..host.hooks import PluginHooks
from ..records import Verdict
from ..util.backoff import full_jitter, next_delay
from .budget import Budget, cost
from .cache import JudgeStore
from .fingerprint import StepFingerprints, behaviour_id

log = logging.getLogger(__name__)
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between two attempts, full jitter: its upper bound doubles from the first to the longest."""
POLL = 0.05
"""Seconds between two checks whether another process has the reply."""

Result = TypeVar("Result")


class UnusableReply(Exception):
    """A reply without a valid verdict, with the error that explains why."""

    def __init__(self, reply: ApiReply, fault: JudgeError) -> None:
        super().__init__(str(fault))
        self.reply, self.fault = reply, fault


class JudgeClient:
    """Sends the requests of a run's judges. Thread-safe.

    Args:
        run: the run's name in the ledger.
    """

    def __init__(self, calls: PluginHooks, store: JudgeStore, section: JudgingSection, run: str) -> None:
        self.calls, self.store, self.section, self.run = calls, store, section, run
        self.budget = Budget(section.budget, store.spent(run))
        self.attempts = 0
        """Number of attempts by this client."""
        self.fingerprints = StepFingerprints()
        self._lock = threading.Lock()
        self._in_flight: dict[str, threading.Lock] = {}
        self._models: dict[str, str] = {}

    def attach(self, judge: Judge) -> None:
        """Let a judge, and the judges that it combines, score through this client.

        Raises:
            ConfigError: a budget is set, but the judge's price is not known.
        """
        for part in remote_judges(judge):
            part.exchange = self.verdict
            if self.section.budget is not None and part.price is None and part.priced_model is not None:
                request = ApiRequest(endpoint="", body={})
                if cost(part, part.most_tokens(request)) is None:
                    raise ConfigError(
                        f"judging.budget: the price of {part.priced_model} is not known; set the judge's `price`, "
                        "or remove the budget"
                    )

    def detach(self, judge: Judge) -> None:
        """Undo `attach`: in a notebook the judge outlives the client and may be used again."""
        for part in remote_judges(judge):
            part.exchange = None

    # -- one request ---------------------------------------------------------------------------------------------------

    def verdict(self, judge: RemoteJudge, request: JudgeRequest) -> Verdict:
        """Score one step with a stored or a new reply. An unusable reply may lead to a second, repaired request.

        Raises:
            JudgeError: there is no verdict.
            UserError: the reply is not stored, and `judging.mode` is `only`.
        """
        request = self.calls.redact_gold(judge, request)  # a jury with an oracle passes the gold answer on
        api_request = judge.request(request)
        try:
            return self._verdict(judge, request, api_request)
        except UnusableReply as unusable:
            second = (
                judge.repaired(api_request, unusable.reply, unusable.fault)
                if unusable.fault.kind == "invalid"
                else None
            )
            if second is None:
                raise unusable.fault from None
            try:
                return self._verdict(judge, request, second)
            except UnusableReply as again:
                raise again.fault from None

    def reply(self, judge: RemoteJudge, api_request: ApiRequest, what: str) -> ApiReply:
        """The stored or new reply to one request, without reading a verdict from it.

        Args:
            what: describes the reply, for the message if it is missing and no request may be sent.

        Raises:
            JudgeError: there is no reply, or the budget is used up.
            UserError: the reply is not stored, and `judging.mode` is `only`.
        """
        with self._single_flight(api_request.key):
            return self._stored(api_request, what) or self._ask(
                judge, api_request, partial(self._store_reply, judge, api_request)
            )

    def cached_verdict(self, judge: Judge, request: JudgeRequest) -> Verdict | None:
        """The stored verdict of this judge, with the same code and settings, on the same step; None if there is
        none."""
        return self.store.cached_verdict(self.fingerprints.of(judge, request), behaviour_id(judge))

    def is_stored(self, judge: RemoteJudge, request: JudgeRequest) -> bool:
        """Whether scoring a step sends no request."""
        if self.section.mode == "refresh":
            return False
        return (
            self.cached_verdict(judge, request) is not None or self.store.reply(judge.request(request).key) is not None
        )

    def accept(
        self, judge: RemoteJudge, request: JudgeRequest, api_request: ApiRequest, reply: ApiReply, usd: float | None,
        seconds: float, transport: str = "live",
    ) -> Verdict:  # fmt: skip
        """Read a reply that has just arrived, and store it with its verdict and a row of the ledger.

        Raises:
            UnusableReply: it holds no valid verdict. The attempt is in the ledger, the reply is not stored.
        """
        try:
            verdict = _read(judge, request, api_request, reply)
        except UnusableReply as unusable:
            self.record_attempt(judge, api_request, unusable.fault.kind, reply.usage, usd, seconds, transport)
            raise
        row = self._row(judge, api_request, "ok", reply.usage, usd, seconds, transport)
        self.store.store_reply(
            judge.name, api_request, reply, row, self.fingerprints.of(judge, request), behaviour_id(judge), verdict
        )  # fmt: skip
        return verdict

    def record_attempt(
        self, judge: RemoteJudge, api_request: ApiRequest, outcome: str, usage: Usage | None, usd: float | None,
        seconds: float, transport: str = "live",
    ) -> None:  # fmt: skip
        """Add an attempt without a usable reply to the ledger; `outcome` is the kind of its `JudgeError`."""
        self.store.record_attempt(self._row(judge, api_request, outcome, usage, usd, seconds, transport))

    # -- stored, or requested ------------------------------------------------------------------------------------------

    def _verdict(self, judge: RemoteJudge, request: JudgeRequest, api_request: ApiRequest) -> Verdict:
        with self._single_flight(api_request.key):
            reply = self._stored(api_request, f"a reply of judge {judge.name} to question {request.question.id!r}")
            if reply is None:
                return self._ask(judge, api_request, partial(self.accept, judge, request, api_request))
            verdict = _read(judge, request, api_request, reply)
            self.store.store_verdict(self.fingerprints.of(judge, request), api_request, behaviour_id(judge), verdict)
            return verdict

    def _stored(self, api_request: ApiRequest, what: str) -> ApiReply | None:
        reply = None if self.section.mode == "refresh" else self.store.reply(api_request.key)
        if reply is None and self.section.mode == "only":
            raise UserError(
                f"{self.store.path} lacks {what}, and judging.mode is `only`; set it to `use` to send requests"
            )
        return reply

    def _ask(
        self, judge: RemoteJudge, api_request: ApiRequest, accept: Callable[[ApiReply, float | None, float], Result]
    ) -> Result:
        """Send a request until there is a reply; pass the reply, US dollars and seconds to `accept`, which stores
        them."""
        worst = 0.0 if self.budget.limit is None else cost(judge, judge.most_tokens(api_request)) or 0.0
        for attempt in range(1, self.section.attempts + 1):
            with self.budget.reserved(worst) as costs:
                start = time.monotonic()
                try:
                    reply = judge.send(api_request)
                except JudgeError as exc:
                    self.record_attempt(judge, api_request, exc.kind, None, None, time.monotonic() - start)
                    if exc.kind != "transient" or attempt == self.section.attempts:
                        raise
                    failure = exc
                else:
                    seconds = time.monotonic() - start
                    # If a server does not report its usage, the upper bound of the cost counts.
                    usd = cost(judge, reply.usage or judge.most_tokens(api_request))
                    costs.append(usd or 0.0)
                    result = accept(reply, usd, seconds)
                    self._warn_if_model_changed(judge, reply.model)
                    return result
            time.sleep(next_delay(failure.retry_after, full_jitter(attempt, FIRST_WAIT, LONGEST_WAIT)))
        raise AssertionError("the last attempt returns or raises")

    def _store_reply(
        self, judge: RemoteJudge, api_request: ApiRequest, reply: ApiReply, usd: float | None, seconds: float
    ) -> ApiReply:
        self.store.store_reply(
            judge.name, api_request, reply, self._row(judge, api_request, "ok", reply.usage, usd, seconds, "live")
        )
        return reply

    # -- bookkeeping ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _single_flight(self, key: str) -> Iterator[None]:
        """Send one request at a time for each key, among threads and among processes that share the store."""
        with self._lock:
            lock = self._in_flight.setdefault(key, threading.Lock())
        with lock:
            leased = self.section.mode != "only"
            while leased and not self.store.lease(key):
                time.sleep(POLL)
            try:
                yield
            finally:
                if leased:
                    self.store.release(key)
                with self._lock:
                    self._in_flight.pop(key, None)

    def _row(
        self, judge: RemoteJudge, api_request: ApiRequest, outcome: str, usage: Usage | None, usd: float | None,
        seconds: float, transport: str,
    ) -> tuple[object, ...]:  # fmt: skip
        """A row of the ledger. Creating it counts the attempt."""
        with self._lock:
            self.attempts += 1
        tokens = (usage.input_tokens, usage.cached_tokens, usage.output_tokens) if usage else (None, None, None)
        return (self.run, judge.name, api_request.key, transport, outcome, *tokens, usd, seconds)

    def _warn_if_model_changed(self, judge: RemoteJudge, model: str) -> None:
        """Log a warning if another model answers under the same name: scores may have shifted."""
        before = self._models.setdefault(judge.name, model)
        if before != model:
            self._models[judge.name] = model
            log.warning("judge %s is now answered by %s, before by %s", judge.name, model, before)


def remote_judges(judge: Judge) -> Iterator[RemoteJudge]:
    """The remote judges among a judge and the judges that it combines."""
    if isinstance(judge, RemoteJudge):
        yield judge
    for part in judge.parts():
        yield from remote_judges(part)


def _read(judge: RemoteJudge, request: JudgeRequest, api_request: ApiRequest, reply: ApiReply) -> Verdict:
    try:
        return judge.read(request, reply).model_copy(update={"request": api_request.key})
    except JudgeError as fault:
        raise UnusableReply(reply, fault) from None
