"""Whether one process trains or several do: only for several is torch's launcher imported, or any torch at all."""

import ctypes
import logging
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from pipeline.models.device import pick_device
from pipeline.params.runtime import RuntimeParams
from pipeline.runtime.errors import ParamsError, TrainingError
from pipeline.runtime.resumable import DVC_STAGE, LOCK_HOLDER, resumable_dir
from pipeline.training.distributed import DistributedContext, current_context
from pipeline.training.trainer import NonFiniteLossError

# How a run gets several processes: torchrun starts them, by hand or because `runtime.devices` asks for it.


LOCAL_RANK = "LOCAL_RANK"
"""Variable in which torchrun numbers the processes of a machine."""
PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""


@contextmanager
def process_group(settings: RuntimeParams) -> Iterator[None]:
    """Be one of several processes while the block runs; all but the first only tell of their own trouble."""
    if LOCK_HOLDER in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a launcher that is killed leaves nobody behind
    # Of dimensions of size 1, such as a class token has; their strides mean nothing.
    warnings.filterwarnings("ignore", "Grad strides do not match")
    distributed.init_process_group(_backend(settings))
    ranks = current_context()
    try:
        with nullcontext() if ranks.is_main else redirect_stderr(Path(os.devnull).open("w", encoding="utf-8")):
            yield
    except TrainingError as error:
        if not ranks.is_main and isinstance(error.__cause__, NonFiniteLossError):
            _await_first()
        raise
    distributed.destroy_process_group()


def _backend(settings: RuntimeParams) -> str:
    if pick_device(settings.device).type != "cuda":
        return "gloo"
    local, present = int(os.environ[LOCAL_RANK]), torch.cuda.device_count()
    if local >= present:
        raise ParamsError(
            f"params.yaml: runtime.devices: process {local + 1} of this machine finds {present} GPUs; lower it, or set "
            "runtime.device to cpu"
        )
    torch.cuda.set_device(local)
    return "nccl"


def _await_first() -> None:
    """All know the reason; the first one tells it, and is not to be ended before that by this one's end.

    Raises:
        SystemExit: Once the first one is gone.
    """
    try:
        distributed.barrier()
    except RuntimeError:
        sys.exit(1)


def launch(devices: int) -> None:
    """Start this very command once for each device of this machine, and wait for all.

    Raises:
        TrainingError: If one of them failed.
    """
    # Only here: it costs a second of import.
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
def work_dir(stage: str, identity: str, output: Path, ranks: DistributedContext) -> Iterator[tuple[Path, Path]]:
    """Lend the folder for unfinished work and the output; those of all processes but the first are thrown away."""
    if ranks.is_main:
        with resumable_dir(stage, identity) as folder:
            yield folder, output
        return
    with tempfile.TemporaryDirectory() as thrown_away:
        yield Path(thrown_away), Path(thrown_away) / "output"


WORLD_SIZE = "WORLD_SIZE"
"""Variable in which torchrun says how many processes there are."""


def run_distributed(main: Callable[[], None], runtime: Callable[[], RuntimeParams]) -> Callable[[], None]:
    """Return what does the work of `main` in as many processes as torchrun started or `runtime.devices` says.

    One process, the default, calls `main` and nothing else. Several call it each, with a process group between them.

    Raises:
        ParamsError: If there are fewer GPUs than processes.
        TrainingError: If one of the processes that were started here failed; its own line is above.
    """

    def work() -> None:
        settings, started = runtime(), int(os.environ.get(WORLD_SIZE, "1"))
        if max(started, settings.devices) == 1:
            main()
            return

        if started == 1:
            launch(settings.devices)
            return
        with process_group(settings):
            main()

    return work
