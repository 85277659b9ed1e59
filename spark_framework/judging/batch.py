"""Sends a wave through a provider's batch service: half the price, within a day. Failed requests are sent again live.

A process that was killed finds its batches again: the name of each is stored before it is submitted, here and by the
provider.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from ..contracts.components import Judge, JudgeRequest
from ..contracts.remote_judge import ApiRequest, Batches, RemoteJudge
from ..errors import JudgeError, RunError
from ..util.backoff import next_delay
from .budget import cost
from .client import JudgeClient, UnusableReply, remote_judges

log = logging.getLogger(__name__)
PendingRequests = dict[str, tuple[ApiRequest, JudgeRequest]]
"""The API request and the judge's request, by the API request's key."""
Result = TypeVar("Result")


def run_batches(client: JudgeClient, judge: Judge, requests: Sequence[JudgeRequest]) -> None:
    """Fetch and store the replies of a wave, for those of the judge's parts that have a batch service.

    Raises:
        RunError: the worst case exceeds the budget, or the service remains unreachable.
    """
    for part in remote_judges(judge):
        service = part.batches()
        if service is None:
            continue
        seen = [client.calls.redact_gold(part, request) for request in requests]
        pending: PendingRequests = {
            (api_request := part.request(request)).key: (api_request, request) for request in seen
        }
        for name, noted in client.store.open_batches(client.run, part.name):
            batch = _with_retries(client, partial(service.find, name)) if noted is None else noted
            if batch is not None:
                _finish(client, part, service, name, batch, pending)
            client.store.forget_batch(name)
        open_keys = iter([key for key in pending if client.store.reply(key) is None])
        while keys := list(islice(open_keys, service.max_requests)):
            _run(client, part, service, {key: pending[key] for key in keys})


def _run(client: JudgeClient, judge: RemoteJudge, service: Batches, pending: PendingRequests) -> None:
    worst = sum(cost(judge, judge.most_tokens(api_request), batch=True) or 0.0 for api_request, _ in pending.values())
    name = f"spark-{secrets.token_hex(12)}"
    try:
        with client.budget.reserved(worst) as costs:
            client.store.note_batch(name, client.run, judge.name, None)
            batch = service.submit(name, {key: api_request for key, (api_request, _) in pending.items()})
            client.store.note_batch(name, client.run, judge.name, batch)
            log.info("batch %s of judge %s: %d requests", batch, judge.name, len(pending))
            costs.append(_finish(client, judge, service, name, batch, pending))
    except JudgeError as exc:
        raise RunError(f"judge {judge.name}: {exc}") from exc
    client.store.forget_batch(name)


def _finish(
    client: JudgeClient, judge: RemoteJudge, service: Batches, name: str, batch: str, pending: PendingRequests
) -> float:
    """Collect a batch. A batch that failed entirely is forgotten, so that the next command can submit it again."""
    try:
        return _collect(client, judge, service, batch, pending)
    except JudgeError as exc:
        client.store.forget_batch(name)
        raise RunError(f"batch {batch} of judge {judge.name} failed: {exc}; run the same command again") from exc


def _collect(client: JudgeClient, judge: RemoteJudge, service: Batches, batch: str, pending: PendingRequests) -> float:
    """Wait for a batch and store its usable replies; returns US dollars. Failed rows are sent again live later."""
    while not _with_retries(client, lambda: service.is_done(batch)):
        time.sleep(client.section.batch_poll)
    spent = 0.0
    for key, reply in _with_retries(client, lambda: list(service.results(batch))):
        if key not in pending or client.store.reply(key) is not None:
            continue
        api_request, request = pending[key]
        if isinstance(reply, JudgeError):
            client.record_attempt(judge, api_request, reply.kind, None, None, 0.0, "batch")
            continue
        usd = cost(judge, reply.usage, batch=True)
        spent += usd or 0.0
        try:
            client.accept(judge, request, api_request, reply, usd, 0.0, "batch")
        except UnusableReply as unusable:
            log.info("batch %s of judge %s: a reply is unusable (%s)", batch, judge.name, unusable)
    return spent


def _with_retries(client: JudgeClient, act: Callable[[], Result]) -> Result:
    """Retry while the service is unreachable."""
    for attempt in range(1, client.section.attempts + 1):
        try:
            return act()
        except JudgeError as exc:
            if exc.kind != "transient":
                raise
            if attempt == client.section.attempts:
                raise RunError(f"the batch service: {exc}; run the same command again") from exc
            time.sleep(next_delay(exc.retry_after or None, client.section.batch_poll))
    raise AssertionError("the last attempt returns or raises")
