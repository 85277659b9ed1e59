"""Judges that cost money or time for each request: a server, or a large model on this machine.

Such a judge defines its request, how to send it once, and how to read the reply. Retries, stored replies, the ledger,
the budget and batches are handled by the framework (`spark_framework.judging`), in the same way for every judge.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, Protocol

from ..errors import JudgeError
from ..records import Record, Verdict
from .components import Judge, JudgeRequest

_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class ApiRequest(Record):
    """One request, complete except for the API key: equal requests share one stored reply."""

    endpoint: str
    """Full URL, or `local:NAME` for a model on this machine."""
    body: dict[str, Any]
    """What is sent, as JSON: model, messages, schema, parameters. Without API key and timeout."""
    repeat: int = 0
    """Number of the repeat. Repeats of one request are independent samples, each with its own stored reply."""

    @cached_property
    def payload(self) -> str:
        """The body's JSON, to be sent unchanged. Its keys keep their order: models write in the order of a schema."""
        return _to_json(self.body)

    @cached_property
    def text(self) -> str:
        """Endpoint, repeat and body as JSON."""
        return f"[{_to_json(self.endpoint)},{self.repeat},{self.payload}]"

    @cached_property
    def key(self) -> str:
        """SHA-256 of `text`: 64 hex digits."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


class Usage(Record):
    """The tokens of one attempt."""

    input_tokens: int = 0
    """All of the input, including tokens from the provider's prompt cache."""
    cached_tokens: int = 0
    """The part of the input that came from the provider's prompt cache."""
    output_tokens: int = 0


class ApiReply(Record):
    """An unparsed reply."""

    body: dict[str, Any]
    usage: Usage | None = None
    """None if the server does not report it."""
    model: str = ""
    """The model that answered, as named by the server."""


class Price(Record):
    """US dollars per million tokens."""

    input: float
    output: float
    cached: float | None = None
    """Price of input from the provider's prompt cache; None: the same as `input`."""


class Batches(Protocol):
    """A provider's batch service: half the price, within a day."""

    max_requests: int
    """Maximum number of requests in one batch."""

    def find(self, name: str) -> str | None:
        """The id of the batch that was submitted under a name, or None. A process that was killed may not have stored
        it."""
        ...

    def submit(self, name: str, requests: Mapping[str, ApiRequest]) -> str:
        """Submit requests by key; returns the batch's id."""
        ...

    def is_done(self, batch: str) -> bool:
        """Whether the results can be read. Raises `JudgeError` if the entire batch failed."""
        ...

    def results(self, batch: str) -> Iterator[tuple[str, ApiReply | JudgeError]]:
        """Key and reply of each request, in any order; a failed row is its error."""
        ...


class RemoteJudge(Judge):
    """A judge that gets its verdicts from a server. Implement `request`, `send` and `read`; `score` is provided.

    Errors are `JudgeError`s with a kind: `transient` is retried (after `retry_after` seconds if the server set
    it), `invalid` is repaired once if `repaired` returns a request, `refusal` drops the trajectory, `config` ends the
    command.
    """

    provider: ClassVar[str | None] = None
    """The provider's id in genai-prices; None if there is no list price."""
    parser_version: ClassVar[int] = 1
    """Increase it when `read` changes: stored replies are then read again, without new requests."""
    exchange: Callable[[RemoteJudge, JudgeRequest], Verdict] | None = None
    """Set by the framework's client, which stores, counts and retries requests. None: send each request once."""

    @property
    def price(self) -> Price | None:
        """The price from the settings; None looks it up in genai-prices."""
        return None

    @property
    def priced_model(self) -> str | None:
        """The model to look up in genai-prices; None if a call is free."""
        return None

    @abstractmethod
    def request(self, request: JudgeRequest) -> ApiRequest:
        """**REQUIRED.** The request for one step. It depends on the arguments and the settings alone."""

    @abstractmethod
    def send(self, api_request: ApiRequest) -> ApiReply:
        """**REQUIRED.** One attempt, without any retry. Called from worker threads. Raises `JudgeError`."""

    @abstractmethod
    def read(self, request: JudgeRequest, reply: ApiReply) -> Verdict:
        """**REQUIRED.** The verdict in a reply; pure. Raises `JudgeError` (invalid, refusal) if there is none."""

    def most_tokens(self, api_request: ApiRequest) -> Usage:
        """An upper bound of what one attempt can cost, for the budget: a token has at least two and a half bytes,
        and the reply is limited by the body's `max_tokens` or `max_completion_tokens`."""
        room = api_request.body.get("max_completion_tokens") or api_request.body.get("max_tokens") or 1000
        return Usage(
            input_tokens=math.ceil(len(api_request.text.encode("utf-8", "replace")) / 2.5), output_tokens=int(room)
        )

    def repaired(self, api_request: ApiRequest, reply: ApiReply, fault: JudgeError) -> ApiRequest | None:
        """A second request after an unusable reply, or None if a repair is not possible."""
        return None

    def batches(self) -> Batches | None:
        """The provider's batch service, if it has one."""
        return None

    def score(self, request: JudgeRequest) -> Verdict:
        """Score one step through the framework's client, or with one or two requests of its own if there is no
        client."""
        if self.exchange is not None:
            return self.exchange(self, request)
        api_request = self.request(request)
        reply = self.send(api_request)
        try:
            return self.read(request, reply)
        except JudgeError as fault:
            second = self.repaired(api_request, reply, fault) if fault.kind == "invalid" else None
            if second is None:
                raise
            return self.read(request, self.send(second))
