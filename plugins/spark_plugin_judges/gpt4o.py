"""The paper's judge, and any other model behind the OpenAI chat protocol."""

from __future__ import annotations

import hashlib
import math
import os
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from pydantic import Field

from spark_framework.api import ComponentConfig, Judge, JudgeError, JudgeRequest, Verdict, hookimpl

from .material import instructions, labels, prompt_hash, shuffled, user_text
from .reply import PARSER_VERSION, parse_reply, reply_schema

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletion

OPENAI_URL = "https://api.openai.com/v1"
MAX_WAIT = 20.0
"""Longest pause between two attempts in seconds, whatever Retry-After asks for."""
_NOT_BEHAVIOUR = {"api_key_env", "timeout", "attempts"}


class GPT4o(Judge):
    """Scores all candidates in one call, under neutral labels in an order shuffled by the request's seed.

    Replies follow a strict JSON schema and are checked again here; one unusable reply is sent back once for repair.
    The usage of all calls of a step is added up under the provider's names.
    """

    name = "gpt4o"

    class Config(ComponentConfig):
        model: str = "gpt-4o-2024-11-20"
        base_url: str | None = None
        """Another server that speaks the protocol; None is OpenAI itself."""
        api_key_env: str = "OPENAI_API_KEY"
        """The environment variable that holds the key. Local servers take any value."""
        timeout: float = Field(default=60.0, gt=0)
        """Seconds for one attempt."""
        max_tokens: int = Field(default=600, ge=1)
        """Room for the reply; doubled once where it was too small."""
        temperature: float | None = Field(default=0.0, ge=0, le=2)
        """None leaves it out of the request: reasoning models refuse it."""
        attempts: int = Field(default=4, ge=1)
        """How often a call is tried while the server is busy or out of reach."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._client: openai.OpenAI | None = None
        self._lock = threading.Lock()

    def fingerprint(self) -> str:
        """Covers model, server, sampling, prompt and parser; not key, timeout and retries, which change no verdict."""
        settings = self.config.model_dump_json(exclude=_NOT_BEHAVIOUR)
        text = f"{type(self).__module__}.{type(self).__qualname__}\n{settings}\n{prompt_hash()}\n{PARSER_VERSION}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def score(self, request: JudgeRequest) -> Verdict:
        order = shuffled(request)
        names = labels(len(order))
        messages = [
            {"role": "system", "content": instructions()},
            {"role": "user", "content": user_text(request, order)},
        ]
        usage: Counter[str] = Counter()
        completion = self._complete(messages, names, self.config.max_tokens, usage)
        try:
            scores, process_ok = _read(completion, names)
        except JudgeError as fault:
            if fault.kind != "invalid":
                raise
            messages += _repair(completion, fault)
            room = self.config.max_tokens * (2 if _was_cut(completion) else 1)
            completion = self._complete(messages, names, room, usage)
            scores, process_ok = _read(completion, names)
        place = {candidate: k for k, candidate in enumerate(order)}
        return Verdict(
            scores=tuple(scores[place[k]] for k in range(len(order))),
            process_ok=tuple(process_ok[place[k]] for k in range(len(order))),
            judge=self.name,
            fingerprint=self.fingerprint(),
            reason=f"model {completion.model}",
            order=order,
            usage=dict(usage),
        )

    def _complete(
        self, messages: list[dict[str, str]], names: list[str], max_tokens: int, usage: Counter[str]
    ) -> ChatCompletion:
        """One answered call: transient failures are tried again, all others become a `JudgeError`."""
        import openai  # 0.4 s: only when this judge is used

        # OpenAI's newer models refuse the old name of this setting; other servers may not know the new one.
        limit = "max_completion_tokens" if self.config.base_url is None else "max_tokens"
        settings: dict[str, Any] = {limit: max_tokens}
        if self.config.temperature is not None:
            settings["temperature"] = self.config.temperature
        form = {"name": "verdict", "strict": True, "schema": reply_schema(names)}
        create: Any = self._connected().chat.completions.create
        for attempt in range(self.config.attempts):
            try:
                completion = create(
                    model=self.config.model,
                    messages=messages,
                    response_format={"type": "json_schema", "json_schema": form},
                    **settings,
                )
            except openai.APIConnectionError as exc:  # timeouts included
                failure, wait = str(exc), None
            except openai.APIStatusError as exc:
                if not _is_transient(exc):
                    raise self._fault(exc) from exc
                failure, wait = f"status {exc.status_code}", exc.response.headers.get("retry-after")
            except ValueError:
                failure, wait = "an answer that is not JSON", None
            else:
                if not isinstance(completion, openai.types.chat.ChatCompletion):
                    raise JudgeError(f"{self._url} does not speak the OpenAI protocol: check judge.base_url", "config")
                usage.update(_usage(completion))
                return completion
            if attempt + 1 < self.config.attempts:
                time.sleep(_pause(attempt, wait))
        raise JudgeError(f"{self._url} gave no answer in {self.config.attempts} attempts: {failure}", "transient")

    @property
    def _url(self) -> str:
        return self.config.base_url or OPENAI_URL

    def _connected(self) -> openai.OpenAI:
        import openai

        variable = self.config.api_key_env
        with self._lock:
            if self._client is None:
                key = os.environ.get(variable, "").strip()
                if not key:
                    raise JudgeError(f"no API key: set the variable {variable} (named by judge.api_key_env)", "config")
                self._client = openai.OpenAI(
                    api_key=key, base_url=self._url, timeout=self.config.timeout, max_retries=0
                )
            return self._client

    def _fault(self, exc: openai.APIStatusError) -> JudgeError:
        """What a refused request means, and what to set. A provider's own words may hold the key: not for 401."""
        model, status = self.config.model, exc.status_code
        if exc.code in ("content_filter", "content_policy_violation"):
            return JudgeError("the provider's content filter stopped the request", "refusal")
        if exc.code == "insufficient_quota":
            return JudgeError(f"the account of {self.config.api_key_env} has no credit left", "config")
        if status == 401:
            return JudgeError(f"{self._url} refused the key: check the variable {self.config.api_key_env}", "config")
        if status == 403:
            return JudgeError(f"this key may not use {model!r}: set judge.model, or another key", "config")
        if status == 404:
            hint = "OpenAI retires GPT-4o on 2027-01-14; set judge.model to a model that is served"
            return JudgeError(f"{self._url} has no model {model!r}: {hint}, or check judge.base_url", "config")
        words = " ".join(str(exc.message).split())[:200]
        return JudgeError(f"{self._url} refused the request for {model!r} ({status}): {words}", "config")


def _read(completion: ChatCompletion, names: list[str]) -> tuple[list[float], list[bool]]:
    if not completion.choices:
        raise JudgeError("the reply is empty", "invalid")
    choice = completion.choices[0]
    if choice.message.refusal or choice.finish_reason == "content_filter":
        raise JudgeError("the model refused to judge this step", "refusal")
    if _was_cut(completion):
        raise JudgeError("the reply was cut: raise judge.max_tokens", "invalid")
    return parse_reply(choice.message.content or "", names)


def _was_cut(completion: ChatCompletion) -> bool:
    return bool(completion.choices) and completion.choices[0].finish_reason == "length"


def _repair(completion: ChatCompletion, fault: JudgeError) -> list[dict[str, str]]:
    """Messages that show the model its own unusable reply. One that was cut is simply asked for again."""
    if not completion.choices or _was_cut(completion):
        return []
    said = completion.choices[0].message.content or ""
    return [
        {"role": "assistant", "content": said},
        {"role": "user", "content": f"That reply cannot be used: {fault}. Send the complete JSON object again."},
    ]


def _usage(completion: ChatCompletion) -> dict[str, float]:
    counted: dict[str, float] = {"requests": 1}
    if completion.usage is not None:
        counted["prompt_tokens"] = completion.usage.prompt_tokens
        counted["completion_tokens"] = completion.usage.completion_tokens
        details = completion.usage.prompt_tokens_details
        counted["cached_tokens"] = (details.cached_tokens if details else None) or 0
    return counted


def _is_transient(exc: openai.APIStatusError) -> bool:
    return exc.code != "insufficient_quota" and (exc.status_code in (408, 409, 429) or exc.status_code >= 500)


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds to wait: what the server asks for, else doubling from half a second with jitter."""
    try:
        asked = float(retry_after or "nan")
    except ValueError:  # a date
        asked = math.nan
    if math.isfinite(asked) and asked >= 0:
        return min(asked, MAX_WAIT)
    return random.uniform(0.5, 1.0) * min(math.ldexp(0.5, attempt), MAX_WAIT)


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [GPT4o]
