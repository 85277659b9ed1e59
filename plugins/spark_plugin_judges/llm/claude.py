"""Anthropic's models as judges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from spark_framework.api import Batches, Judge, Usage, hookimpl

from .prompt import instructions
from .prompted_judge import ModelReply, PromptedConfig, PromptedJudge
from .reply import reply_schema

if TYPE_CHECKING:
    import anthropic

ANTHROPIC_URL = "https://api.anthropic.com"


class Claude(PromptedJudge):
    """Scores all candidates in one call, under neutral labels in an order shuffled by the request's seed.

    Replies follow a JSON schema and are checked again here; one unusable reply is sent back once for repair. There is
    no temperature: the API refuses it since version 2026-10-21.
    """

    name = "claude"
    provider = "anthropic"
    path = "/v1/messages"

    class Config(PromptedConfig):
        model: str = Field(default="claude-sonnet-5-5", min_length=1)
        """The model's name at the API."""
        base_url: str = ANTHROPIC_URL
        """Anthropic itself, or another server that speaks the messages protocol; without `/v1`."""
        api_key_env: str = "ANTHROPIC_API_KEY"
        """The environment variable that holds the key."""
        thinking: Literal["between_tools", "disabled", "adaptive"] | None = "between_tools"
        """`between_tools` is how Sonnet 5.5 scores without thinking first; older models call that `disabled`. With
        `adaptive` raise `max_tokens`; null leaves it to the model."""
        effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
        """How much work the model puts into a reply; null leaves it out."""

    def client(self) -> anthropic.Anthropic:
        import anthropic  # 1 s: only when this judge is used

        return anthropic.Anthropic(
            api_key=self.key(), base_url=self.config.base_url, timeout=self.config.timeout, max_retries=0
        )

    def body(self, prompt: str, names: tuple[str, ...]) -> dict[str, Any]:
        config = self.config
        output = {"format": {"type": "json_schema", "schema": reply_schema(names, config.reasons, typed=False)}}
        body = {
            "model": config.model,
            "max_tokens": config.max_tokens,
            "system": instructions(config.reasons),
            "messages": [{"role": "user", "content": prompt}],
            "output_config": output | ({"effort": config.effort} if config.effort else {}),
        }
        return body | ({"thinking": {"type": config.thinking}} if config.thinking else {})

    def is_reply(self, body: dict[str, Any]) -> bool:
        return isinstance(body.get("content"), list)

    def usage(self, body: dict[str, Any]) -> Usage:
        """`input_tokens` leaves out what was read from or written to the prompt cache; here it is all of the input."""
        counted = body["usage"]
        cached = counted.get("cache_read_input_tokens") or 0
        written = counted.get("cache_creation_input_tokens") or 0
        return Usage(
            input_tokens=counted["input_tokens"] + cached + written,
            cached_tokens=cached,
            output_tokens=counted["output_tokens"],
        )

    def model_reply(self, body: dict[str, Any]) -> ModelReply:
        end = body.get("stop_reason")
        text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
        cut = end in ("max_tokens", "model_context_window_exceeded")
        return ModelReply(text, was_cut=cut, refused=end == "refusal")

    def batches(self) -> Batches:
        from .anthropic_batches import AnthropicBatches

        return AnthropicBatches(self.client, self.provider_info, self.reply)


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [Claude]
