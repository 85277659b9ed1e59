"""Exports a stage's policy as a plain model folder: the adapter merged into its base."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ..config.policy import LocalPolicyConfig
from ..errors import RunError
from ..models.loading import load_model, load_tokenizer, quiet_peft
from .files import write_errors_as_run_error


def export_model(policy: LocalPolicyConfig, adapter: Path, to: Path) -> Path:
    """Write base and adapter as one model, completely or not at all.

    The weights equal those of the policy at generation: merged in its `dtype`. A quantised policy is merged into the
    unquantised base, so that the adapter is not rounded away.

    Returns:
        The folder, with safetensors and tokenizer: `AutoModelForCausalLM.from_pretrained` loads it.

    Raises:
        RunError: the folder exists, or cannot be written.
    """
    from peft import PeftModel

    if to.exists():
        raise RunError(f"{to} already exists; choose another --to")
    model = load_model(policy.model, dtype=policy.dtype, device=policy.device)
    with quiet_peft():
        merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    with write_errors_as_run_error(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
        try:
            merged.save_pretrained(part)
            load_tokenizer(policy.model).save_pretrained(part)
            part.chmod(0o777 & ~_umask())  # only its owner can read mkdtemp's folder
            os.rename(part, to)  # fails if a folder with files has been created there meanwhile
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return to


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
