"""A wave through a provider's batch service: half the price, within a day. What is left over is asked live.

A killed process finds its batches again: each is noted before it is submitted, by a name that the provider keeps too.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from ..contracts.components import Judge, JudgeRequest
from ..contracts.remote_judge import Batches, WireJudge, WireRequest
from ..errors import JudgeError, RunError
from .budget import cost
from .fingerprint import reader

if TYPE_CHECKING:
    from .client import JudgingSession

log = logging.getLogger(__name__)
Asked = dict[str, tuple[WireRequest, JudgeRequest]]
Result = TypeVar("Result")


def run_batches(session: JudgingSession, judge: Judge, steps: Sequence[JudgeRequest]) -> None:
    """Bring the replies of a wave into the store, as far as the judge and its parts have a batch service.

    Raises:
        RunError: the worst case does not fit into the budget, or the service stays away.
    """
    from .client import wire_judges

    for part in wire_judges(judge):
        service = part.batches()
        if service is None:
            continue
        seen = [session.calls.redact_gold(part, step) for step in steps]
        asked: Asked = {(wire := part.request(step)).key: (wire, step) for step in seen}
        for name, noted in session.store.open_batches(session.run, part.name):
            batch = _patiently(session, partial(service.find, name)) if noted is None else noted
            if batch is not None:
                _finish(session, part, service, name, batch, asked)
            session.store.forget_batch(name)
        open_keys = iter([key for key in asked if session.store.reply(key) is None])
        while keys := list(islice(open_keys, service.max_requests)):
            _run(session, part, service, {key: asked[key] for key in keys})


def _run(session: JudgingSession, judge: WireJudge, service: Batches, asked: Asked) -> None:
    worst = sum(cost(judge, judge.most_tokens(wire), batch=True) or 0.0 for wire, _ in asked.values())
    name = f"spark-{secrets.token_hex(12)}"
    try:
        with session.budget.reserved(worst) as costs:
            session.store.note_batch(name, session.run, judge.name, None)
            batch = service.submit(name, {key: wire for key, (wire, _) in asked.items()})
            session.store.note_batch(name, session.run, judge.name, batch)
            log.info("batch %s of judge %s: %d requests", batch, judge.name, len(asked))
            costs.append(_finish(session, judge, service, name, batch, asked))
    except JudgeError as exc:
        raise RunError(f"judge {judge.name}: {exc}") from exc
    session.store.forget_batch(name)


def _finish(session: JudgingSession, judge: WireJudge, service: Batches, name: str, batch: str, asked: Asked) -> float:
    """Collect a batch; one that failed as a whole is forgotten, so that the next command can submit it anew."""
    try:
        return _collect(session, judge, service, batch, asked)
    except JudgeError as exc:
        session.store.forget_batch(name)
        raise RunError(f"batch {batch} of judge {judge.name} failed: {exc}; give the same command again") from exc


def _collect(session: JudgingSession, judge: WireJudge, service: Batches, batch: str, asked: Asked) -> float:
    """Wait for a batch and store what is good in it; returns US dollars. Rows that failed are asked live later."""
    while not _patiently(session, lambda: service.is_done(batch)):
        time.sleep(session.terms.batch_poll)
    spent = 0.0
    for key, reply in _patiently(session, lambda: list(service.results(batch))):
        if key not in asked or session.store.reply(key) is not None:
            continue
        wire, step = asked[key]
        if isinstance(reply, JudgeError):
            session.store.count(session.row(judge, wire, reply.kind, None, None, 0.0, "batch"))
            continue
        usd = cost(judge, reply.usage, batch=True)
        spent += usd or 0.0
        try:
            verdict = judge.read(step, reply).model_copy(update={"request": key})
        except JudgeError as fault:
            session.store.count(session.row(judge, wire, fault.kind, reply.usage, usd, 0.0, "batch"))
            continue
        row = session.row(judge, wire, "ok", reply.usage, usd, 0.0, "batch")
        session.store.keep(judge.name, wire, reply, row, session.digests.of(judge, step), reader(judge), verdict)
    return spent


def _patiently(session: JudgingSession, act: Callable[[], Result]) -> Result:
    """Try again while the service is out of reach."""
    for attempt in range(session.terms.attempts):
        try:
            return act()
        except JudgeError as exc:
            if exc.kind != "transient":
                raise
            if attempt + 1 == session.terms.attempts:
                raise RunError(f"the batch service: {exc}; give the same command again") from exc
            time.sleep(min(exc.retry_after or session.terms.batch_poll, 120.0))
    raise AssertionError("the last attempt returns or raises")
