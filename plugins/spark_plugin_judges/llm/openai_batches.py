"""OpenAI's batch service: a file of requests in, files of results and errors out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from spark_framework.api import ApiReply, ApiRequest, JudgeError

from .batching import SdkBatches, rows_of

if TYPE_CHECKING:
    import openai

Client: TypeAlias = "openai.OpenAI"

MAX_LISTED = 1000
"""How many batches, newest first, are searched for a name."""


class OpenAIBatches(SdkBatches[Client]):
    """Batches of one judge at OpenAI's service."""

    sdk = "openai"

    max_requests = 4000
    """The service takes 50,000 and 200 MB; a request has up to 50 kB."""

    def find(self, name: str) -> str | None:
        """The name is in the batch's metadata."""
        with self.client() as client:
            for batch in islice(client.batches.list(limit=100), MAX_LISTED):
                if (batch.metadata or {}).get("spark") == name:
                    return batch.id
        return None

    def submit(self, name: str, requests: Mapping[str, ApiRequest]) -> str:
        rows = (
            json.dumps({"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": api_request.body})
            for key, api_request in requests.items()
        )
        content = "\n".join(rows).encode()
        with self.client() as client:
            file = client.files.create(file=(f"{name}.jsonl", content), purpose="batch")
            batch = client.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"spark": name},
            )
        return batch.id

    def is_done(self, batch: str) -> bool:
        """A batch that expired or was cancelled is done, too: its finished rows can be read."""
        with self.client() as client:
            found = client.batches.retrieve(batch)
        if found.status == "failed":
            faults = found.errors.data if found.errors and found.errors.data else []
            words = "; ".join(f"{fault.code}: {fault.message}" for fault in faults[:3])
            raise JudgeError(f"batch {batch} was not accepted ({words[:300]})", "config")
        return found.status in ("completed", "expired", "cancelled")

    def results(self, batch: str) -> Iterator[tuple[str, ApiReply | JudgeError]]:
        with self.client() as client:
            found = client.batches.retrieve(batch)
            files = [file for file in (found.output_file_id, found.error_file_id) if file]
            contents = [client.files.content(file).content for file in files]
        for content in contents:
            for row in rows_of(content, batch):
                yield row["custom_id"], self._result(row)

    def _result(self, row: dict[str, Any]) -> ApiReply | JudgeError:
        response = row.get("response")
        if not response:  # not reached before the batch expired or was cancelled
            return JudgeError(f"a batch gave no answer ({(row.get('error') or {}).get('code')})", "transient")
        if response["status_code"] != 200:
            return self.provider().error(response["status_code"], response["body"])
        try:
            return self.parse(response["body"])
        except JudgeError as exc:
            return exc
