"""Train one run with several processes, one per device.

The samples of a step are those of the plan, whatever the number of processes. Each process takes its shard of every
micro-batch; gradients and metrics are summed over all, so every process takes the same step.
"""

import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn

from pipeline.models.device import pick_device
from pipeline.params.runtime import RuntimeParams
from pipeline.runtime.errors import ParamsError, TrainingError
from pipeline.runtime.parallel import end_with_parent
from pipeline.runtime.resumable import DVC_STAGE, LOCK_HOLDER, resumable_dir
from pipeline.training.dataset import MicroBatch
from pipeline.training.losses import NonFiniteLossError

LOCAL_RANK = "LOCAL_RANK"  # variable in which torchrun numbers the processes of a machine

Value = TypeVar("Value")


class DistributedContext(NamedTuple):
    """This process among those that train together."""

    rank: int  # from 0; rank 0 keeps checkpoints and writes the run
    world_size: int

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def shard(self, micro_batch: MicroBatch) -> MicroBatch:
        """Return this process's part of a micro-batch; empty where there are more processes than samples."""
        if self.world_size == 1:
            return micro_batch
        rows, hflip = micro_batch
        own = None if hflip is None else torch.tensor_split(hflip, self.world_size)[self.rank]
        return MicroBatch(torch.tensor_split(rows, self.world_size)[self.rank], own)

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.world_size > 1:
            distributed.all_reduce(values)
        return values

    def all_gather(self, value: Value) -> list[Value]:
        """Return the values of all processes by rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        distributed.all_gather_object(values, value)
        return values

    def broadcast(self, value: Value) -> Value:
        """Return rank 0's value: tensors, numbers, text and containers of them; nothing else is unpickled."""
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
        """Copy rank 0's batch statistics to all processes; weights are equal anyway."""
        if self.world_size > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, 0)


def current_context() -> DistributedContext:
    """Return this process's rank and world size; (0, 1) without a process group."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return DistributedContext(0, 1)
    return DistributedContext(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def work_dir(stage: str, identity: str, output: Path, context: DistributedContext) -> Iterator[tuple[Path, Path]]:
    """Yield the folder for unfinished work, and the output; ranks above 0 get temporary ones."""
    if context.is_main:
        with resumable_dir(stage, identity) as folder:
            yield folder, output
        return
    with tempfile.TemporaryDirectory() as folder_name:
        yield Path(folder_name), Path(folder_name) / "output"


def launch(devices: int) -> None:
    """Start this command once per device of this machine, and wait for all.

    Raises:
        TrainingError: If one of the processes failed.
    """
    # Imported here, since it takes a second.
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: PLC0415

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    os.environ[LOCK_HOLDER] = os.environ.get(DVC_STAGE, "")
    spec: Any = sys.modules["__main__"].__spec__
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id="run",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-m", spec.name, *sys.argv[1:])
    except ChildFailedError as error:
        first = min(error.failures)
        raise TrainingError(
            f"process {first} of {devices} ended with status {error.failures[first].exitcode}; its own line is above; "
            "run the same command again to go on from the last checkpoint"
        ) from error


@contextmanager
def process_group(settings: RuntimeParams) -> Iterator[None]:
    """Join the process group while the block runs; ranks above 0 print only their own errors."""
    if LOCK_HOLDER in os.environ:
        end_with_parent()  # the launcher
    # Of dimensions of size 1, such as a class token has; their strides mean nothing.
    warnings.filterwarnings("ignore", "Grad strides do not match")
    gpu = pick_device(settings.device).type == "cuda"
    if gpu:
        local, present = int(os.environ[LOCAL_RANK]), torch.cuda.device_count()
        if local >= present:
            raise ParamsError(
                f"params.yaml: runtime.devices: process {local + 1} of this machine finds {present} GPUs; lower it, or "
                "set runtime.device to cpu"
            )
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if gpu else "gloo")
    context = current_context()
    try:
        with nullcontext() if context.is_main else redirect_stderr(Path(os.devnull).open("w", encoding="utf-8")):
            yield
    except TrainingError as error:
        if not context.is_main and isinstance(error.__cause__, NonFiniteLossError):
            # Every rank has this error; wait until rank 0 has printed it, which the launcher would end otherwise.
            try:
                distributed.barrier()
            except RuntimeError:
                sys.exit(1)
        raise
    distributed.destroy_process_group()
