"""Trains one stage in several processes (`accelerate launch`): each reads its share of every step's rows, and the sum
of their gradients equals that of one process. Adapters, optimiser and schedule are the same in all processes; the
first one writes files.

`all_reduce_gradients` sums the gradients, not DistributedDataParallel, which fixes its parameters when it wraps a
model: an adapter that is switched on later would train on its own process's rows only. For the same reason adapters
are not
sharded: FSDP splits the frozen layers only.
"""

from __future__ import annotations

from typing import Any

from accelerate.data_loader import BatchSamplerShard
from torch.nn.parallel import DistributedDataParallel

from ..errors import ConfigError
from ..util.collectives import world


def without_batch_sharding(loader: Any) -> Any:
    """Make accelerate's data loader give every process all rows of a step; the training step divides them."""
    if isinstance(loader.batch_sampler, BatchSamplerShard):
        shard = loader.batch_sampler
        shard.num_processes, shard.process_index, shard.even_batches = 1, 0, False
    return loader


def ddp_ignore_frozen(model: Any) -> None:
    """Make DistributedDataParallel, in which accelerate wraps a model, ignore its frozen weights."""
    frozen = [name for name, _ in model.named_parameters() if "lora_" not in name]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, frozen)


def shard_base(model: Any) -> None:
    """Shard each frozen layer of a PEFT model over the processes; it is gathered when it is used (FSDP2).

    Raises:
        ConfigError: there is only one process.
    """
    from torch.distributed.fsdp import fully_shard

    if world()[1] == 1:
        raise ConfigError("shard: there is only one process; start several with `accelerate launch`, or remove shard")
    adapters = {p for n, p in model.named_parameters() if "lora_" in n}
    for layer in model.get_base_model().base_model.layers:
        fully_shard(layer, ignored_params=adapters & set(layer.parameters()))
