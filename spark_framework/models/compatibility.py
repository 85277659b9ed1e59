"""Checks that a model supports token-tree attention: shared tokens read once, branches in one sequence, and the output
layer applied separately. Some families do not (recurrent layers, positions counted from the tokens, scaled or capped
logits), and most of those would give wrong numbers without an error."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from .tree_masks import layer_masks

TRUNK, ONE, OTHER = (5, 3, 8), (7, 4), (6, 9, 2)
"""Token ids of a tree with two branches."""


def check_model(model: Any, name: str) -> None:
    """Compute a few tokens in several ways that have to agree.

    Raises:
        ConfigError: the results differ, or the model cannot be called this way.
    """
    import torch

    from .tree_attention import enable_tree_attention, segments

    n, m = len(TRUNK), len(TRUNK) + len(ONE)
    parents = [*range(-1, m - 1), n - 1, *range(m, m + len(OTHER) - 1)]
    size = model.config.get_text_config().vocab_size

    def ids(*tokens: int) -> Any:
        return torch.tensor([[token % size for token in tokens]], device=model.device)

    at_N = torch.tensor([*range(m), *range(n, n + len(OTHER))], device=model.device)
    tree = {"input_ids": ids(*TRUNK, *ONE, *OTHER), "position_ids": at_N[None], "use_cache": False}
    seen_NN = torch.ones(len(at_N), len(at_N), dtype=torch.bool, device=model.device).tril()
    seen_NN[m:, n:m] = False
    trunk = model.base_model
    try:
        with torch.no_grad():
            logits = model(input_ids=ids(*TRUNK, *ONE), use_cache=False).logits[0]
            one = trunk(input_ids=ids(*TRUNK, *ONE), use_cache=False).last_hidden_state[0]
            other = trunk(input_ids=ids(*TRUNK, *OTHER), use_cache=False).last_hidden_state[0]
            masks = layer_masks(model.config, seen_NN[None], (at_N[:, None] - at_N)[None], model.dtype)
            masked = trunk(**tree, attention_mask=masks).last_hidden_state[0]
            apart = torch.nn.functional.linear(one, model.get_output_embeddings().weight)
            plain = model.config._attn_implementation
            enable_tree_attention(model)
            in_segments = trunk(**tree, segments=segments(parents, model.device)).last_hidden_state[0]
            model.set_attn_implementation(plain)
    except Exception as exc:  # a family with another calling convention may raise any error
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
        raise _unfit(name, f"it cannot be read in parts ({reason})") from exc
    if _differ(apart, logits):
        raise _unfit(name, "its logits are not the plain output layer (there is a bias, a scale or a cap)")
    expected = torch.cat([one, other[n:]])
    if _differ(masked, expected) or _differ(in_segments, expected):
        raise _unfit(name, "it does not keep branches apart")


def _differ(found: Any, expected: Any) -> bool:
    """Whether they differ by more than rounding: one part in a thousand in single precision, one in ten in half."""
    gap = (found.float() - expected.float()).norm() / expected.float().norm()
    return not gap < (1e-3 if found.dtype.itemsize >= 4 else 0.1)


def _unfit(name: str, why: str) -> ConfigError:
    return ConfigError(f"policy.model: {name} is not supported: {why}; use a model like Llama, Qwen, Mistral or SmolLM")
