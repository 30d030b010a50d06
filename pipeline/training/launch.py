"""Run a stage in one process or several, as torchrun or `runtime.devices` says; without torch in one process."""

import os
from collections.abc import Callable

from pipeline.params.runtime import RuntimeParams

WORLD_SIZE = "WORLD_SIZE"  # variable in which torchrun gives the number of processes


def run_distributed(main: Callable[[], None], runtime: Callable[[], RuntimeParams]) -> Callable[[], None]:
    """Return a function that runs `main` in as many processes as torchrun started or `runtime.devices` asks for.

    With one process, the default, it only calls `main`. With several, each calls `main` inside a process group.

    Raises:
        ParamsError: If there are fewer GPUs than processes.
        TrainingError: If a process that was started here failed; its own message is above.
    """

    def work() -> None:
        settings, started = runtime(), int(os.environ.get(WORLD_SIZE, "1"))
        if max(started, settings.devices) == 1:
            main()
            return
        from pipeline.training.distributed import launch, process_group  # noqa: PLC0415 - torch takes seconds

        if started == 1:
            launch(settings.devices)
            return
        with process_group(settings):
            main()

    return work
