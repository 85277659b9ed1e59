"""Several processes on one stage (`accelerate launch`): each reads its share of every step's rows, and their gradients
add up to those of one process. Adapters, optimiser and schedule are the same everywhere; the first process writes.

Gradients are added here and not by DistributedDataParallel, because that fixes its parameters when it wraps a model: an
adapter that is switched on later would train on its own process's rows only. For the same reason sharding leaves
adapters out: FSDP keeps the frozen layers in parts, and has nothing to do with what is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate.data_loader import BatchSamplerShard
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ..errors import ConfigError
from .trainers.metrics import Figures

T = TypeVar("T")
U = TypeVar("U")


def world() -> tuple[int, int]:
    """This process's rank and the number of processes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def share(rows: Sequence[T]) -> list[T]:
    """This process's part of a step's rows; perhaps none."""
    rank, size = world()
    return list(rows[rank::size])


def idle_passes(passes: Callable[[list[T]], Sequence[object]], rows: Sequence[T]) -> int:
    """How many passes fewer than the busiest process this one makes: sharded layers are gathered by all at once."""
    rank, size = world()
    counts = [len(passes(list(rows[one::size]))) for one in range(size)]
    return max(counts) - counts[rank]


def wait_for_all() -> None:
    """Returns when every process is here."""
    if world()[1] > 1:
        dist.barrier()


def everybodys(value: T) -> list[T]:
    """The value of every process, by rank."""
    size = world()[1]
    if size == 1:
        return [value]
    found: list[Any] = [None] * size
    dist.all_gather_object(found, value)
    return found


def by_all(items: Sequence[T], compute: Callable[[list[T]], list[U]], device: Any) -> list[U]:
    """What `compute` makes of items, in their order: every process computes its share, and all get all."""
    size = world()[1]
    if size == 1:
        return compute(list(items))
    whole: list[Any] = [None] * len(items)
    for rank, found in enumerate(everybodys(moved(compute(share(items)), "cpu"))):
        whole[rank::size] = moved(found, device)
    return whole


def first_says(ask: Callable[[], T]) -> T:
    """What the first process found, for all of them."""
    rank, size = world()
    if size == 1:
        return ask()
    found = [ask() if rank == 0 else None]
    dist.broadcast_object_list(found, src=0)
    return found[0]  # type: ignore[return-value]


def add_gradients(parameters: Iterable[Any]) -> None:
    """Replace each gradient by its sum over the processes."""
    if world()[1] == 1:
        return
    parameters = list(parameters)
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([parameter.grad.reshape(-1) for parameter in parameters])
    dist.all_reduce(flat)
    for parameter, total in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad.copy_(total.view_as(parameter))


def added(value: Tensor) -> Tensor:
    """The sum of a number over the processes."""
    if world()[1] > 1:
        dist.all_reduce(value)
    return value


def gathered(figures: Figures) -> Figures:
    """The figures of all processes, as if one had seen all rows."""
    if world()[1] == 1:
        return figures
    whole = Figures()
    for one in everybodys(moved(vars(figures), "cpu")):
        for name, parts in one["means"].items():
            whole.means[name] += parts
        whole.choices += one["choices"]
        whole.values += one["values"]
        whole.targets += one["targets"]
    return whole


def whole_steps(loader: Any) -> Any:
    """A data loader of accelerate that gives every process all rows of a step: they are shared out inside the step."""
    if isinstance(loader.batch_sampler, BatchSamplerShard):
        shard = loader.batch_sampler
        shard.num_processes, shard.process_index, shard.even_batches = 1, 0, False
    return loader


def keep_frozen(model: Any) -> None:
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


def moved(value: Any, device: Any) -> Any:
    """Tensors, however nested in lists, tuples and dictionaries, on a device."""
    if isinstance(value, dict):
        return {name: moved(part, device) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(moved(part, device) for part in value)
    return value.to(device) if isinstance(value, Tensor) else value
