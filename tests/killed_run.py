"""`python -m tests.killed_run FOLDER SEED [LIVES]`: train a run once undisturbed, and once killed again and again.

FOLDER holds `shards`, `weights` and `params.json`; it gets `whole` and `killed`, whose bytes must be equal. Every life
is a fork, so that torch and what training imports on demand are imported once; it ends by SIGKILL between two steps, in
the middle of writing a checkpoint, or between an epoch's last step and its test, as a generator decides. Prints how
each life ended.
"""

import importlib
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from pipeline.params.model import TrainParams
from pipeline.params.runtime import RuntimeParams
from pipeline.runtime import resumable
from pipeline.training.checkpoint import CheckpointCallback
from tests.training_data import train_as_told

Death = Literal["step", "write", "test"]
DEATHS: tuple[Death, ...] = ("step", "write", "test")
LIVES = 8
NEVER, ALWAYS = 1e9, 0.0
"""Minutes between checkpoints: only at the end of epochs, or after every step."""


def train_in(folder: Path, output: str, minutes: float) -> None:
    """Train the run, or go on with it."""
    params = TrainParams.model_validate_json((folder / "params.json").read_bytes())
    runtime = RuntimeParams(workers=1, device="cpu", checkpoint_minutes=minutes)
    train_as_told(folder, output, params, roi="dropping", runtime=runtime)


def die_at(death: Death, count: int) -> None:
    """Let this process kill itself when it comes to a place for the `count`-th time."""
    remaining = iter(range(count - 1))

    def dying(real: Callable[..., object], *, after: bool) -> Callable[..., object]:
        def call(*args: object) -> object:
            last = next(remaining, None) is None
            if last and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    match death:
        case "step":
            CheckpointCallback.on_step_end = dying(CheckpointCallback.on_step_end, after=True)  # type: ignore[method-assign]
        case "write":
            os.fsync = dying(os.fsync, after=False)  # type: ignore[assignment]
        case "test":
            CheckpointCallback.on_train_epoch_end = dying(CheckpointCallback.on_train_epoch_end, after=True)  # type: ignore[method-assign]


def live(life: Callable[[], None]) -> bool:
    """Run a function in a process of its own; return whether it came to its end.

    Raises:
        RuntimeError: If it ended otherwise than by SIGKILL.
    """
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        life()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if status != 0:
        raise RuntimeError(f"a life ended with status {status}")
    return True


def main(folder: Path, seed: int, lives: int = LIVES) -> None:
    """Train both runs; the last life is not cut short."""
    os.environ["DVC_ROOT"] = str(folder)
    for module in ("pandas", "timm.optim"):  # of pyarrow, and of parameter groups
        importlib.import_module(module)
    resumable._stage_code("train")  # lives find the hashes of all code there
    generator = random.Random(seed)  # noqa: S311 - to choose deaths
    live(lambda: train_in(folder, "whole", NEVER))
    for number in range(lives):
        death, count = DEATHS[number % len(DEATHS)], generator.randint(1, 3)
        minutes = generator.choice((NEVER, ALWAYS))

        def life(death: Death = death, count: int = count, minutes: float = minutes) -> None:
            die_at(death, count)
            train_in(folder, "killed", minutes)

        if live(life):
            return
        print(death)  # noqa: T201 - for the test that runs this
    live(lambda: train_in(folder, "killed", NEVER))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
