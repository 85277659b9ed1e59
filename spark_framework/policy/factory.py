"""Opens the policy of a config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.policy import LocalPolicyConfig, PolicyConfig
from ..errors import ConfigError
from . import Policy
from .action_space import ActionSpace
from .formats import FORMATS

if TYPE_CHECKING:
    from .renderer import Renderer


def open_renderer(policy: PolicyConfig, space: ActionSpace) -> Renderer:
    """The renderer of a run's actions for its local model. No weights are loaded.

    Raises:
        ConfigError: the policy is a server, or its tokenizer cannot be loaded.
    """
    from ..models.loading import load_tokenizer
    from .renderer import Renderer

    if not isinstance(policy, LocalPolicyConfig):
        raise ConfigError("policy.use: scripted rounds and training need the tokenizer of a `local` policy")
    form = FORMATS[policy.format](thoughts=policy.thoughts)
    return Renderer(load_tokenizer(policy.model), space, form, full_prompt=policy.prompt == "full")


def open_policy(
    policy: PolicyConfig, space: ActionSpace, adapter: Path | None = None, batch_size: int | None = None
) -> Policy:
    """The policy of a run: its server, or its local model with a stage's adapter (merged in, unless it is quantised).

    Args:
        batch_size: questions that share a cache; None uses `policy.batch_size`.

    Raises:
        ConfigError: the model cannot be loaded, or the policy is a server and an adapter is given.
    """
    if not isinstance(policy, LocalPolicyConfig):
        from .openai_server import ServerPolicy

        if adapter is not None:
            raise ConfigError("policy.use: an adapter needs a `local` policy")
        return ServerPolicy(policy, space)
    from ..models.loading import quiet_peft
    from .local import LocalPolicy, adapter_name

    model: Any = open_model(policy)
    if adapter is not None:
        from peft import PeftModel

        with quiet_peft():
            model = PeftModel.from_pretrained(model, str(adapter)).eval()
        if policy.quantization is None:  # merging into 4 bits would round the adapter away
            model = model.merge_and_unload()
    name = adapter_name(policy.model, adapter) + (f" in {policy.quantization}" if policy.quantization else "")
    return LocalPolicy(
        model, open_renderer(policy, space), batch_size=batch_size or policy.batch_size,
        constrained=policy.constrained, name=name,
    )  # fmt: skip


def open_model(policy: LocalPolicyConfig) -> Any:
    """The local model's weights, with torch's threads set."""
    from ..models.loading import load_model, use_threads

    use_threads(policy.threads)
    return load_model(policy.model, dtype=policy.dtype, device=policy.device, quantization=policy.quantization)
