"""Anthropic's batch service: a list of requests in, a stream of results out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from spark_framework.api import ApiReply, ApiRequest, JudgeError

from .batching import SdkBatches, rows_of

if TYPE_CHECKING:
    import anthropic

Client: TypeAlias = "anthropic.Anthropic"

STATUS = {
    "authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404,
    "rate_limit_error": 429, "timeout_error": 504, "api_error": 500, "overloaded_error": 529,
}  # fmt: skip
"""HTTP status of the same error in a live request."""


class AnthropicBatches(SdkBatches[Client]):
    """Batches of one judge at Anthropic's service."""

    sdk = "anthropic"

    max_requests = 5000
    """The service takes 100,000 and 256 MB; a request has up to 50 kB."""

    def find(self, name: str) -> str | None:
        """Always None: the service keeps no names, and shows a batch's ids only with its results.

        So a process that is killed after it submitted a batch and before it stored the id pays for that batch twice.
        """
        return None

    def submit(self, name: str, requests: Mapping[str, ApiRequest]) -> str:
        rows: Any = [{"custom_id": key, "params": api_request.body} for key, api_request in requests.items()]
        with self.client() as client:
            return client.messages.batches.create(requests=rows).id

    def is_done(self, batch: str) -> bool:
        with self.client() as client:
            return client.messages.batches.retrieve(batch).processing_status == "ended"

    def results(self, batch: str) -> Iterator[tuple[str, ApiReply | JudgeError]]:
        import httpx2

        with self.client() as client:  # the raw rows, without the SDK's types
            content = client.get(f"/v1/messages/batches/{batch}/results", cast_to=httpx2.Response).content
        for row in rows_of(content, batch):
            yield row["custom_id"], self._result(row.get("result") or {})

    def _result(self, result: dict[str, Any]) -> ApiReply | JudgeError:
        try:
            if result.get("type") == "succeeded":
                return self.parse(result["message"])
        except JudgeError as exc:
            return exc
        error = result.get("error") or {}
        if result.get("type") == "errored":
            kind = str((error.get("error") or {}).get("type"))
            return self.provider().error(STATUS.get(kind, 400), error)
        return JudgeError(f"a batch gave no answer ({result.get('type')})", "transient")
