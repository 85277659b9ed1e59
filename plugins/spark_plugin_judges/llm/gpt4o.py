"""The paper's judge, and any other model that is served over the OpenAI chat protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from spark_framework.api import Batches, Judge, Usage, hookimpl

from .prompt import form_text, instructions
from .prompted_judge import ModelReply, PromptedConfig, PromptedJudge
from .reply import reply_schema

if TYPE_CHECKING:
    import openai

OPENAI_URL = "https://api.openai.com/v1"
RETIREMENT = "OpenAI retires GPT-4o on 2027-01-14 and names gpt-6-luna as its replacement"


class GPT4o(PromptedJudge):
    """Scores all candidates in one call, under neutral labels in an order shuffled by the request's seed.

    Replies follow a strict JSON schema and are checked again here; one unusable reply is sent back once for repair.
    """

    name = "gpt4o"
    provider = "openai"
    path = "/chat/completions"

    class Config(PromptedConfig):
        model: str = Field(default="gpt-4o-2024-11-20", min_length=1)
        """Prefer a dated snapshot: a name without a date can point to another model later."""
        base_url: str = OPENAI_URL
        """OpenAI itself, or another server that speaks the protocol: vLLM, llama.cpp, Ollama, a gateway."""
        api_key_env: str = "OPENAI_API_KEY"
        """The environment variable that holds the key. Local servers take any value."""
        temperature: float | None = Field(default=0.0, ge=0, le=2)
        """Null leaves it out of the request: reasoning models refuse it."""
        seed: int | None = None
        """For servers that sample reproducibly; null leaves it out."""
        reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
        """How long a reasoning model thinks; null leaves it out. What it thinks counts against `max_tokens`."""
        response_format: Literal["json_schema", "json_object", "none"] = "json_schema"
        """What the server can enforce. Without a schema the prompt describes the form; replies are checked
        either way."""

    @property
    def limit(self) -> str:
        """OpenAI's newer models refuse the old name; other servers may not know the new one."""
        return "max_completion_tokens" if self._is_openai else "max_tokens"

    @property
    def retirement(self) -> str:
        return RETIREMENT if "gpt-4o" in self.config.model else ""

    @property
    def _is_openai(self) -> bool:
        host = urlsplit(self.config.base_url).hostname or ""
        return host == "api.openai.com" or host.endswith(".api.openai.com")

    def client(self) -> openai.OpenAI:
        import openai  # 0.5 s: only when this judge is used

        return openai.OpenAI(
            api_key=self.key(), base_url=self.config.base_url, timeout=self.config.timeout, max_retries=0
        )

    def body(self, prompt: str, names: tuple[str, ...]) -> dict[str, Any]:
        config = self.config
        system = instructions(config.reasons)
        if config.response_format != "json_schema":
            system += f"\n{form_text(names, config.reasons)}\n"
        body: dict[str, Any] = {
            "model": config.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}],
            self.limit: config.max_tokens,
        }
        if config.response_format == "json_schema":
            form = {"name": "verdict", "strict": True, "schema": reply_schema(names, config.reasons)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        elif config.response_format == "json_object":
            body["response_format"] = {"type": "json_object"}
        optional = {name: getattr(config, name) for name in ("temperature", "seed", "reasoning_effort")}
        return body | {name: value for name, value in optional.items() if value is not None}

    def is_reply(self, body: dict[str, Any]) -> bool:
        return isinstance(body.get("choices"), list)

    def usage(self, body: dict[str, Any]) -> Usage:
        """`prompt_tokens` includes what was read from the prompt cache."""
        counted = body["usage"]
        details = counted.get("prompt_tokens_details") or {}
        return Usage(
            input_tokens=counted["prompt_tokens"],
            cached_tokens=details.get("cached_tokens") or 0,
            output_tokens=counted["completion_tokens"],
        )

    def model_reply(self, body: dict[str, Any]) -> ModelReply:
        choice = body["choices"][0]
        message, end = choice["message"], choice.get("finish_reason")
        refused = bool(message.get("refusal")) or end == "content_filter"
        text = message.get("content")
        return ModelReply(text if isinstance(text, str) else "", was_cut=end == "length", refused=refused)

    def batches(self) -> Batches:
        from .openai_batches import OpenAIBatches

        return OpenAIBatches(self.client, self.provider_info, self.reply)


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [GPT4o]
