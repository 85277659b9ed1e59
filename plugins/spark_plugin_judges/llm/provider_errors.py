"""Classifies a provider's errors: wait, drop the step, or tell the user what to set."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spark_framework.api import JudgeError, parse_retry_after

BUSY = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which a retry may succeed."""
FILTERED = frozenset({"content_filter", "content_policy_violation"})
NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_error"})
_NO_CREDIT = re.compile(r"credit balance|spend.?limit", re.IGNORECASE)
_TOO_LONG = re.compile(r"context.?(length|size|window)|prompt is too long", re.IGNORECASE)
_GONE = r"deprecat|retired|shut ?down|sunset|decommission|no longer|not.?found|not exist"


@dataclass(frozen=True)
class ProviderInfo:
    """What error messages name."""

    url: str
    model: str
    variable: str
    """The environment variable with the key."""
    key: str
    """Removed from a provider's messages."""
    retirement: str = ""
    """When the model retires, if known."""

    def error(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> JudgeError:
        """The error for a response that is not a success.

        Args:
            body: the parsed JSON, or None.
        """
        code, words = self._code_and_message(body)
        text = f"{code} {words}"
        if code in FILTERED:
            return JudgeError("the provider's content filter stopped the request", "refusal")
        if status == 402 or code in NO_CREDIT or _NO_CREDIT.search(text):
            return JudgeError(f"the account of {self.variable} has no credit left, or reached its limit", "config")
        if status == 401:  # without the provider's message: it holds parts of the key
            return JudgeError(f"{self.url} refused the key: check the variable {self.variable}", "config")
        if status in BUSY or status >= 500:
            after = retry_after(headers or {})
            return JudgeError(f"{self.url} is busy or broken (status {status}) {words}".strip(), "transient", after)
        if status == 413 or _TOO_LONG.search(text):
            return JudgeError(f"the step is too long for {self.model!r}: {words}", "invalid")
        if status == 403:
            return JudgeError(f"this key may not use {self.model!r}: set judge.model, or another key", "config")
        if self._is_gone(status, code, words):
            return self._gone()
        if status in (301, 302, 307, 308, 404, 405):
            return JudgeError(f"nothing answers at {self.url} (status {status}): check judge.base_url", "config")
        return JudgeError(f"{self.url} refused the request for {self.model!r} ({status}): {words}", "config")

    def _is_gone(self, status: int, code: str, words: str) -> bool:
        """Whether the model is not served; not for "temperature is deprecated for this model"."""
        if status in (404, 410) and "model" in f"{code} {words}".lower():
            return True
        named = rf"(model|{re.escape(self.model)})\b.*({_GONE})"
        return any(re.search(named, text, re.IGNORECASE) for text in (code.replace("_", " "), words))

    def _gone(self) -> JudgeError:
        known = f" ({self.retirement})" if self.retirement else ""
        return JudgeError(
            f"{self.url} has no model {self.model!r}{known}: set judge.model to a model that is served, or check "
            "judge.base_url",
            "config",
        )

    def _code_and_message(self, body: Any) -> tuple[str, str]:
        """Code and message of an error of OpenAI, Anthropic, vLLM or Ollama; one line without the key."""
        error = body.get("error", body) if isinstance(body, dict) else {}
        if not isinstance(error, dict):
            return "", self._line(error)
        details = error.get("details")
        codes = [error.get("code"), details.get("error_code") if isinstance(details, dict) else None, error.get("type")]
        return next((code for code in codes if isinstance(code, str)), ""), self._line(
            error.get("message") or error.get("detail") or ""
        )

    def _line(self, words: object) -> str:
        return " ".join(str(words).replace(self.key, "(the key)").split())[:200]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, from `retry-after-ms` or `retry-after` (seconds or a date)."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        seconds = parse_retry_after(headers.get(name))
        if seconds is not None and math.isfinite(seconds):
            return seconds / scale
    return None
