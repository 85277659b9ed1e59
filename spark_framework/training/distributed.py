"""Several processes on one stage (`accelerate launch`): each reads its share of every step's rows, and their gradients
add up to those of one process. Adapters, optimiser and schedule are the same everywhere; the first process writes.

Gradients are summed by us and not by DistributedDataParallel, which fixes its parameters when it wraps a model: an
adapter that is switched on later would train on its own process's rows only. For the same reason sharding leaves
adapters out: FSDP keeps the frozen layers in parts, and has nothing to do with what is trained.
"""

from __future__ import annotations

from typing import Any

from accelerate.data_loader import BatchSamplerShard
from torch.nn.parallel import DistributedDataParallel

from ..errors import ConfigError
from ..util.collectives import world


def whole_steps(loader: Any) -> Any:
    """A data loader of accelerate that gives every process all rows of a step: they are shared out inside the step."""
    if isinstance(loader.batch_sampler, BatchSamplerShard):
        shard = loader.batch_sampler
        shard.num_processes, shard.process_index, shard.even_batches = 1, 0, False
    return loader


def ddp_ignore_frozen(model: Any) -> None:
    """Keep DistributedDataParallel, in which accelerate wraps a model, from sending its frozen weights around."""
    frozen = [name for name, _ in model.named_parameters() if "lora_" not in name]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, frozen)


def shard_base(model: Any) -> None:
    """Keep each frozen layer of a PEFT model in parts, one on each process, gathered when it is used (FSDP2).

    Raises:
        ConfigError: the process is alone.
    """
    from torch.distributed.fsdp import fully_shard

    if world()[1] == 1:
        raise ConfigError(
            "shard: there is one process only; start several with `accelerate launch`, or leave shard out"
        )
    adapters = {p for n, p in model.named_parameters() if "lora_" in n}
    for layer in model.get_base_model().base_model.layers:
        fully_shard(layer, ignored_params=adapters & set(layer.parameters()))
