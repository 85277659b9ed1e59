"""Base class of judges that prompt a model over HTTP: one prompt, connection pool and parser for all providers."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from abc import abstractmethod
from collections.abc import Mapping
from functools import cache, cached_property
from ipaddress import ip_address
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from spark_framework.api import (
    ApiReply,
    ApiRequest,
    ComponentConfig,
    JudgeError,
    JudgeRequest,
    Price,
    RemoteJudge,
    Usage,
    UserError,
    Verdict,
)

from .http_pool import ConnectionPool, proxy_for
from .prompt import Reasons, labels, prompt_hash, shuffled, user_text
from .provider_errors import ProviderInfo
from .reply import PARSER_VERSION, parse_reply

NOT_BEHAVIOUR = {"api_key_env", "timeout", "price"}
"""Settings that change no verdict."""
ECHO = 4000
"""Most characters of an unusable reply that are shown to the model again."""


class PromptedConfig(ComponentConfig):
    model: str = Field(min_length=1)
    """Prefer a dated snapshot: a name without a date can point to another model later."""
    base_url: str
    """Address of the API."""
    api_key_env: str
    """The environment variable that holds the key. Local servers take any value."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds for one attempt."""
    max_tokens: int = Field(default=600, ge=1)
    """Room for the reply, and for what a reasoning model thinks before it; doubled once where it was too small."""
    reasons: Reasons = "none"
    """Whether the model writes a sentence for each candidate before or after the scores. That changes the scores."""
    repeat: int = Field(default=0, ge=0)
    """Each number gives another sample of the same judgement, with the candidates in another order."""
    price: Price | None = None
    """US dollars for a million tokens; null takes the list price."""

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError(f"{url!r} is not an address like https://host/v1")
        return url.rstrip("/")


class ModelReply(NamedTuple):
    """A model's reply, in one form for all providers."""

    text: str
    was_cut: bool = False
    refused: bool = False


class PromptedJudge(RemoteJudge):
    """Scores all candidates in one call, under neutral labels in an order shuffled by the request's seed."""

    parser_version = PARSER_VERSION
    path: ClassVar[str]
    """Path of requests, below the base URL."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._connections: ConnectionPool | None = None
        self._lock = threading.Lock()

    # -- for providers to implement ----------------------------------------------------------------------------------

    @abstractmethod
    def client(self) -> Any:
        """A client of the provider's SDK that does not retry."""

    @abstractmethod
    def body(self, prompt: str, names: tuple[str, ...]) -> dict[str, Any]:
        """The JSON of a request."""

    @abstractmethod
    def usage(self, body: dict[str, Any]) -> Usage | None:
        """The tokens that a reply reports. May raise `TypeError` or `KeyError` if it reports none."""

    @abstractmethod
    def model_reply(self, body: dict[str, Any]) -> ModelReply:
        """The model's text. May raise `TypeError`, `KeyError` or `IndexError` if there is none."""

    @abstractmethod
    def is_reply(self, body: dict[str, Any]) -> bool:
        """Whether a body is one of the protocol's replies."""

    @property
    def limit(self) -> str:
        """The body's key for the maximum length of the reply."""
        return "max_tokens"

    @property
    def retirement(self) -> str:
        """When the model retires, if known."""
        return ""

    # -- the contract --------------------------------------------------------------------------------------------------

    def fingerprint(self) -> str:
        """Covers model, server, sampling, prompt and parser; not key, timeout and price, which change no verdict."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        settings = self.config.model_dump_json(exclude=NOT_BEHAVIOUR)
        text = f"{type(self).__module__}.{type(self).__qualname__}\n{settings}\n{prompt_hash()}\n{PARSER_VERSION}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def price(self) -> Price | None:
        price: Price | None = self.config.price
        return price

    @property
    def priced_model(self) -> str | None:
        """None for a server in the local network: it is free."""
        model: str = self.config.model
        return None if _is_own(urlsplit(self.config.base_url).hostname or "") else model

    def prepare(self) -> None:
        try:
            self.key()
        except JudgeError as exc:
            raise UserError(str(exc)) from None

    def close(self) -> None:
        with self._lock:
            if self._connections is not None:
                self._connections.close()
            self._connections = None

    def request(self, request: JudgeRequest) -> ApiRequest:
        order = shuffled(request, self.config.repeat)
        body = self.body(user_text(request, order), tuple(labels(len(order))))
        return ApiRequest(endpoint=self.config.base_url + self.path, body=body, repeat=self.config.repeat)

    def send(self, api_request: ApiRequest) -> ApiReply:
        answer = self._connected().post(api_request.payload.encode("utf-8", "replace"))
        try:
            body = json.loads(answer.body)
        except (ValueError, RecursionError):
            body = None
        if answer.status != 200:
            raise self.provider_info().error(answer.status, body, answer.headers)
        if body is None and answer.body.lstrip()[:1] in (b"{", b""):
            raise JudgeError(f"{api_request.endpoint} sent JSON that is not complete", "transient")
        return self.reply(body)

    def reply(self, body: Any) -> ApiReply:
        """Turn a body into a reply, also one from a batch.

        Raises:
            JudgeError: it is not a reply of this protocol.
        """
        if not isinstance(body, dict) or not self.is_reply(body):
            if isinstance(body, dict) and "error" in body:  # some gateways send errors with status 200
                raise self.provider_info().error(_status_in(body["error"]), body)
            raise JudgeError(f"{self.config.base_url} does not speak this protocol: check judge.base_url", "config")
        try:
            usage = self.usage(body)
        except (TypeError, KeyError, AttributeError, ValueError):
            usage = None
        return ApiReply(body=body, usage=usage, model=_storable(str(body.get("model") or "")))

    def read(self, request: JudgeRequest, reply: ApiReply) -> Verdict:
        order = shuffled(request, self.config.repeat)
        names = labels(len(order))
        answer = self._reply_or_empty(reply)
        if answer.refused:
            raise JudgeError("the model refused to judge this step", "refusal")
        if answer.was_cut:
            raise JudgeError("the reply was cut: raise judge.max_tokens", "invalid")
        found = parse_reply(answer.text, names, self.config.reasons)
        places = sorted(range(len(order)), key=order.__getitem__)  # where each candidate was shown
        return Verdict(
            scores=tuple(found.scores[k] for k in places),
            process_ok=tuple(found.process_ok[k] for k in places),
            judge=self.name,
            fingerprint=self.fingerprint(),
            reason="\n".join(_storable(found.reasons[k]) for k in places if found.reasons),
            order=order,
            usage=reply.usage.model_dump() if reply.usage else {},
        )

    def repaired(self, api_request: ApiRequest, reply: ApiReply, fault: JudgeError) -> ApiRequest:
        """More room for a reply that was cut; any other is shown to the model once, with what is wrong with it."""
        answer = self._reply_or_empty(reply)
        if answer.was_cut:
            body = api_request.body | {self.limit: 2 * api_request.body[self.limit]}
        else:
            wish = f"That reply cannot be used: {fault}. Send the complete JSON object again."
            shown = [{"role": "assistant", "content": answer.text[:ECHO]}] if answer.text.strip() else []
            messages = [*api_request.body["messages"], *shown, {"role": "user", "content": wish}]
            body = api_request.body | {"messages": messages}
        return ApiRequest(endpoint=api_request.endpoint, body=body, repeat=api_request.repeat)

    # -- connection ----------------------------------------------------------------------------------------------------

    def key(self) -> str:
        """The API key. Raises `JudgeError` (config) if the variable does not hold one."""
        variable = self.config.api_key_env
        key = os.environ.get(variable, "").strip()
        if not key:
            raise JudgeError(f"no API key: set the variable {variable} (named by judge.api_key_env)", "config")
        if not (key.isascii() and key.isprintable()):
            raise JudgeError(f"the variable {variable} holds characters that no API key has", "config")
        return key

    def provider_info(self) -> ProviderInfo:
        """What error messages name."""
        config = self.config
        return ProviderInfo(config.base_url, config.model, config.api_key_env, self.key(), self.retirement)

    def _connected(self) -> ConnectionPool:
        with self._lock:
            if self._connections is None:
                url = self.config.base_url + self.path
                proxy = proxy_for(url)  # first: the SDK raises ImportError for a proxy of an unknown kind
                client = self.client()
                headers: Mapping[str, object] = {**client.default_headers, **client.auth_headers}
                # Without omitted headers and the eight that describe this machine.
                sent = {k: v for k, v in headers.items() if isinstance(v, str) and not k.startswith("X-Stainless")}
                self._connections = ConnectionPool(url, proxy, sent, self.config.timeout)
            return self._connections

    def _reply_or_empty(self, reply: ApiReply) -> ModelReply:
        try:
            return self.model_reply(reply.body)
        except (TypeError, KeyError, IndexError, AttributeError):
            return ModelReply("")


@cache
def _is_own(host: str) -> bool:
    """Whether a host is this machine, or has a private address or a name without a dot."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))


def _status_in(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502


def _storable(text: str) -> str:
    """Replace lone surrogates, which cannot be stored."""
    return text.encode("utf-8", "replace").decode()
