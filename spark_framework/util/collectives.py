"""Communication between processes (`accelerate launch`). With one process every function is the identity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")
U = TypeVar("U")


def world() -> tuple[int, int]:
    """This process's rank and the number of processes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def rank_slice(rows: Sequence[T]) -> list[T]:
    """This process's part of a step's rows; it may be empty."""
    rank, size = world()
    return list(rows[rank::size])


def dummy_passes(passes: Callable[[list[T]], Sequence[object]], rows: Sequence[T]) -> int:
    """How many fewer passes this process makes than the busiest one: all processes gather sharded layers together."""
    rank, size = world()
    counts = [len(passes(list(rows[one::size]))) for one in range(size)]
    return max(counts) - counts[rank]


def barrier() -> None:
    """Return when every process has called it."""
    if world()[1] > 1:
        dist.barrier()


def all_gather_object(value: T) -> list[T]:
    """The value of every process, by rank."""
    size = world()[1]
    if size == 1:
        return [value]
    found: list[Any] = [None] * size
    dist.all_gather_object(found, value)
    return found


def sharded_map(items: Sequence[T], compute: Callable[[list[T]], list[U]], device: Any) -> list[U]:
    """The results of `compute` for items, in their order: every process computes its share, and all get every
    result."""
    size = world()[1]
    if size == 1:
        return compute(list(items))
    gathered: list[Any] = [None] * len(items)
    for rank, found in enumerate(all_gather_object(to_device(compute(rank_slice(items)), "cpu"))):
        gathered[rank::size] = to_device(found, device)
    return gathered


def broadcast_from_first(compute: Callable[[], T]) -> T:
    """The result of `compute` on the first process, for all processes."""
    rank, size = world()
    if size == 1:
        return compute()
    found = [compute() if rank == 0 else None]
    dist.broadcast_object_list(found, src=0)
    return found[0]  # type: ignore[return-value]


def all_reduce_gradients(parameters: Iterable[Any]) -> None:
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


def all_reduce_sum(value: Tensor) -> Tensor:
    """The sum of a number over the processes."""
    if world()[1] > 1:
        dist.all_reduce(value)
    return value


def to_device(value: Any, device: Any) -> Any:
    """Tensors, however nested in lists, tuples and dictionaries, on a device."""
    if isinstance(value, dict):
        return {name: to_device(part, device) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_device(part, device) for part in value)
    return value.to(device) if isinstance(value, Tensor) else value
