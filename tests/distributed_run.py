"""`python -m tests.distributed_run FOLDER`: train a run by one process and by several, and kill some of them.

FOLDER holds `shards`, `weights` and `params.json`. All processes are forks, so that torch is imported once. Prints the
exit statuses of those that were to fail.
"""

import importlib
import os
import signal
import socket
import sys
from pathlib import Path

import torch

from pipeline.params.model import TrainParams
from pipeline.params.runtime import RuntimeParams
from pipeline.runtime import resumable
from pipeline.runtime.console import run_stage
from pipeline.runtime.lazy_compiler import load_compiler
from pipeline.training.checkpoint import CheckpointCallback
from pipeline.training.launch import run_distributed
from tests.training_data import train_as_told

RUNTIME = RuntimeParams(workers=1, device="cpu", checkpoint_minutes=0.0)
"""A checkpoint after every step."""


def together(
    folder: Path, output: str, *, world: int, roi: str = "tiny", dies_after: int = 0, **changes: object
) -> list[int]:
    """Train by `world` processes; return how each ended.

    Args:
        folder: Where everything lies.
        output: Name of the run's folder.
        world: Processes.
        roi: Backbone of the ROI branch.
        dies_after: Optimiser steps after which the first process is killed; 0 for never.
        changes: Of the parameters in `params.json`.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(world):
        child = os.fork()
        if child == 0:
            places = {
                "RANK": rank,
                "LOCAL_RANK": rank,
                "WORLD_SIZE": world,
                "MASTER_ADDR": "localhost",
                "MASTER_PORT": port,
            }
            os.environ.update({name: str(value) for name, value in places.items()})
            os._exit(_status(folder, output, roi, dies_after if rank == 0 else 0, changes))
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _status(folder: Path, output: str, roi: str, dies_after: int, changes: dict[str, object]) -> int:
    torch.set_num_threads(1)
    if dies_after:
        _die(dies_after)
    params = TrainParams.model_validate_json((folder / "params.json").read_bytes()).model_copy(update=changes)

    def main() -> None:
        train_as_told(folder, output, params, roi=roi, runtime=RUNTIME)

    try:
        run_stage(run_distributed(main, lambda: RUNTIME))
    except SystemExit as end:
        return int(end.code or 0)
    except RuntimeError:  # of gloo, when the first process is gone
        return 1
    return 0


def _die(after: int) -> None:
    real, left = CheckpointCallback.on_step_end, iter(range(after - 1))

    def on_step_end(*args: object) -> None:
        real(*args)  # type: ignore[arg-type]
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    CheckpointCallback.on_step_end = on_step_end  # type: ignore[method-assign, assignment]


def main(folder: Path) -> None:
    """Train every run that `test_ranks` compares."""
    os.environ["DVC_ROOT"] = str(folder)
    importlib.import_module("pandas")  # pyarrow would, in every fork
    load_compiler()  # DistributedDataParallel would, too
    resumable._stage_code("train")  # every first process finds the hashes of all code there
    for world in (1, 3):
        together(folder, f"by {world}", world=world)
        together(folder, f"shared by {world}", world=world, share_branches=True)
    print(together(folder, "interrupted", world=2, dies_after=3), flush=True)  # noqa: T201
    together(folder, "interrupted", world=1)
    together(folder, "dropping", world=2, roi="dropping")
    together(folder, "dropping again", world=2, roi="dropping", dies_after=4)
    together(folder, "dropping again", world=2, roi="dropping")
    print(together(folder, "diverging", world=2, learning_rate=1e30, optimizer="sgd"), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
