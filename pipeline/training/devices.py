"""Whether one process trains or several do: only for several is torch's launcher imported, or any torch at all."""

import os
from collections.abc import Callable

from pipeline.params.runtime import RuntimeParams

WORLD_SIZE = "WORLD_SIZE"
"""Variable in which torchrun says how many processes there are."""


def on_devices(main: Callable[[], None], runtime: Callable[[], RuntimeParams]) -> Callable[[], None]:
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
        from pipeline.training.launch import joined, launch  # noqa: PLC0415 - torch; see above

        if started == 1:
            launch(settings.devices)
            return
        with joined(settings):
            main()

    return work
