"""A stage's policy as a plain model folder: the adapter merged into its base."""

from __future__ import annotations

from pathlib import Path

from ..config.policy import LocalPolicyConfig
from ..errors import RunError
from ..models.loading import load_model, load_tokenizer, quiet_peft
from ..util.files import new_folder
from .files import write_errors_as_run_error


def export_model(policy: LocalPolicyConfig, adapter: Path, to: Path) -> Path:
    """Write base and adapter as one model, whole or not at all.

    The weights are those that the policy generates with: merged in its `dtype`. A quantised policy is merged into the
    unquantised base, so that the adapter is not rounded away.

    Returns:
        The folder, with safetensors and tokenizer: `AutoModelForCausalLM.from_pretrained` loads it.

    Raises:
        RunError: the folder exists, or cannot be written.
    """
    from peft import PeftModel

    if to.exists():
        raise RunError(f"{to} exists already; nothing is overwritten: choose another --to")
    model = load_model(policy.model, dtype=policy.dtype, device=policy.device)
    with quiet_peft():
        merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    with write_errors_as_run_error(to), new_folder(to) as part:
        merged.save_pretrained(part)
        load_tokenizer(policy.model).save_pretrained(part)
    return to
