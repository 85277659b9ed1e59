"""Common parts of the batch services: a client of the SDK, its errors, and results with one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

from spark_framework.api import ApiReply, JudgeError

from .provider_errors import ProviderInfo

Client = TypeVar("Client")


class SdkBatches(Generic[Client]):
    """Base class of the batches of one judge.

    Args:
        open_client: opens a client of the SDK that does not retry.
        provider: returns what error messages name; reads the key.
        parse: turns a row's body into a reply, or raises `JudgeError`.
    """

    sdk: ClassVar[str]
    """The SDK's package."""

    def __init__(
        self,
        open_client: Callable[[], AbstractContextManager[Client]],
        provider: Callable[[], ProviderInfo],
        parse: Callable[[Any], ApiReply],
    ) -> None:
        self._open_client, self.provider, self.parse = open_client, provider, parse

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client whose errors are `JudgeError`s."""
        sdk = import_module(self.sdk)
        with self._open_client() as client, sdk_errors(self.provider(), sdk):
            yield client


@contextmanager
def sdk_errors(provider: ProviderInfo, sdk: ModuleType) -> Iterator[None]:
    """Errors of the openai or anthropic package about batches as `JudgeError`s."""
    try:
        yield
    except sdk.APIStatusError as exc:
        if exc.status_code in (404, 405):
            raise JudgeError(
                f"{provider.url} has no batches, or does not know this one: set judging.batch to false", "config"
            ) from exc
        raise provider.error(exc.status_code, exc.body, exc.response.headers) from exc
    except sdk.APIConnectionError as exc:
        raise JudgeError(f"no answer from {provider.url} ({exc})", "transient") from exc
    except (sdk.APIError, ValueError, AttributeError) as exc:  # the SDKs return a body that is not JSON as text
        raise JudgeError(f"{provider.url} does not speak this protocol: check judge.base_url", "config") from exc


def rows_of(content: bytes, batch: str) -> Iterator[dict[str, Any]]:
    """The rows of a results file.

    Raises:
        JudgeError: (transient) the file is incomplete.
    """
    for line in content.splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise JudgeError(f"the results of batch {batch} came in part", "transient") from None
        if isinstance(row, dict) and isinstance(row.get("custom_id"), str):
            yield row
