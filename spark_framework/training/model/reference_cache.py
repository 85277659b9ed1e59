"""What a stage's first policy gives, computed once and kept beside the run.

Files are named after a digest of everything that their content depends on: weights, dtype, kind of device, action head,
and for values also the critic's settings and the rewards; rows are found by their token ids, which is all that a
tokenizer does to a run. A stage that is trained again finds them; a changed one does not. They may be deleted.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...util.collectives import all_gather_object
from ...util.files import replacing
from ...util.launcher import is_first
from ..data.token_tree import TokenTree
from ..files import write_errors_as_run_error

log = logging.getLogger(__name__)
Entry = dict[str, Tensor]


def digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:24]


def weights_digest(parameters: Iterable[tuple[str, Any]]) -> str:
    """Of names, shapes, types and every byte of some weights."""
    total = hashlib.sha256()
    for name, parameter in parameters:
        plain = parameter.detach().contiguous().cpu()
        total.update(f"{name} {tuple(plain.shape)} {plain.dtype}\n".encode())
        total.update(plain.view(-1).view(torch.uint8).numpy())
    return total.hexdigest()[:24]


def base_digest(model: Any) -> str:
    """Of a PEFT model's frozen base."""
    return weights_digest(
        (name.replace(".base_layer", ""), p) for name, p in model.named_parameters() if "lora_" not in name
    )


def row_digest(row: TokenTree) -> str:
    """Of everything that log-probabilities and states of a row depend on."""
    places = [(d.state_position, d.first_position, d.token_positions, d.constrained) for d in row.decisions]
    return digest(row.ids, row.parents, places)


def entries(
    file: Path, keys: Sequence[str], names: Sequence[str], compute: Callable[[list[int]], list[Entry]], device: Any
) -> list[Entry]:
    """The named tensors of every key: from the file, or computed and added to it.

    Args:
        compute: gives the tensors for the keys with these indices.
    """
    stored = read(file)
    mine = {i for i, key in enumerate(keys) if any(f"{key}.{name}" not in stored for name in names)}
    if missing := sorted(set.union(*all_gather_object(mine))):  # processes compute together, or not at all
        for i, entry in zip(missing, compute(missing), strict=True):
            stored.update({f"{keys[i]}.{name}": tensor for name, tensor in entry.items()})
        write(file, stored)
    return [{name: stored[f"{key}.{name}"].to(device) for name in names} for key in keys]


def read(file: Path) -> Entry:
    """A file's tensors; none where it is not there. One that cannot be read is computed again, and says so."""
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118  # no mapping
    except FileNotFoundError:
        return {}
    except (OSError, SafetensorError) as exc:
        log.warning("%s cannot be read (%s); what it held is computed again", file, exc)
        return {}


def write(file: Path, tensors: Entry) -> None:
    """Write a file as a whole or not at all; of several processes the first one does."""
    if not is_first():
        return
    with write_errors_as_run_error(file), replacing(file) as part:
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, part)
