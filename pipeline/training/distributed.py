"""The processes that train one run together, one a device; torch's process group is where they are found.

A step's samples are those of the plan, whatever the number of processes. Each takes its share of every pass, gradients
and figures are summed over all, so that everybody moves the same weights by the same amount.
"""

import io
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn

from pipeline.training.dataset import MicroBatch

Value = TypeVar("Value")


class DistributedContext(NamedTuple):
    """This process among those that train together."""

    rank: int
    """From 0; the first one keeps checkpoints and writes the run."""
    world_size: int
    """Processes in all; 1 for a run that is trained by one."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes what all of them make."""
        return self.rank == 0

    def shard(self, micro_batch: MicroBatch) -> MicroBatch:
        """Return this process's part of a micro-batch, which is empty where there are more processes than samples."""
        if self.world_size == 1:
            return micro_batch
        rows, hflip = micro_batch
        mine = None if hflip is None else torch.tensor_split(hflip, self.world_size)[self.rank]
        return MicroBatch(torch.tensor_split(rows, self.world_size)[self.rank], mine)

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.world_size > 1:
            distributed.all_reduce(values)
        return values

    def all_gather(self, value: Value) -> list[Value]:
        """Return everybody's value by rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        distributed.all_gather_object(values, value)
        return values

    def broadcast(self, value: Value) -> Value:
        """Return the first process's value: tensors, numbers, text and containers of them; no other pickle is read."""
        if self.world_size == 1:
            return value
        buffer, device = io.BytesIO(), torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")
        if self.is_main:
            torch.save(value, buffer)
        size = torch.tensor(buffer.tell(), device=device)
        distributed.broadcast(size, 0)
        content = torch.zeros(int(size), dtype=torch.uint8, device=device)
        if self.is_main:
            content.copy_(torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8))
        distributed.broadcast(content, 0)
        received = io.BytesIO(content.cpu().numpy().tobytes())
        return value if self.is_main else torch.load(received, map_location="cpu", weights_only=True)

    def sync_buffers(self, model: nn.Module) -> None:
        """Give everybody the first process's batch statistics; weights are equal anyway."""
        if self.world_size > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, 0)


def current_context() -> DistributedContext:
    """Return this process's place in the process group, or alone if there is none."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return DistributedContext(0, 1)
    return DistributedContext(distributed.get_rank(), distributed.get_world_size())
