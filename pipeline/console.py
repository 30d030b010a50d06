"""What a person sees of a stage: progress bars, and one line instead of a traceback."""

import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from tqdm import tqdm

from pipeline import processor  # noqa: F401 - every stage imports this module first, before numpy
from pipeline.errors import PipelineError, printable
from pipeline.space import full_disk_named
from pipeline.url_secrets import without_secrets
from pipeline.workspace import stage_claimed

T = TypeVar("T")

SECONDS_BETWEEN_LOG_LINES = 5.0
ByteReport: TypeAlias = Callable[[int, int | None], None]
"""Takes the bytes done so far and the bytes in all, None where nobody knows."""


def progress(items: Iterable[T], *, total: int | None, what: str, unit: str) -> Iterator[T]:
    """Pass `items` on under a bar with count, rate and time left; quiet when over within a second."""
    yield from tqdm(items, total=total, desc=what, unit=f" {unit}", leave=False, **bar_options())


def bar_options() -> dict[str, Any]:
    """Return what every bar of this project shares: a log file gets a line now and then instead of a film."""
    interval = 0.1 if sys.stderr.isatty() else SECONDS_BETWEEN_LOG_LINES
    return {"delay": 1, "dynamic_ncols": True, "mininterval": interval, "maxinterval": 10 * interval}


@contextmanager
def byte_progress(what: str) -> Iterator[ByteReport]:
    """Lend a function that moves a bar of bytes, rate and time left to where the work stands."""
    with tqdm(desc=what, unit="B", unit_scale=True, leave=False, **bar_options()) as bar:

        def report(done: int, total: int | None) -> None:
            if bar.total != total or done < bar.n:
                # What an earlier run brought is not this run's rate.
                bar.total, bar.initial, bar.n, bar.last_print_n = total, done, done, done
                bar.start_t = bar.last_print_t = time.time()
            bar.update(done - bar.n)

        yield report


def note(message: str) -> None:
    """Print lines without tearing a progress bar; no secret of a URL, and nothing that drives the terminal."""
    tqdm.write("\n".join(map(printable, without_secrets(message).split("\n"))), file=sys.stderr)


def counter(total: int, *, what: str, unit: str, done: int = 0) -> "tqdm[Any]":
    """Return a bar to be told of progress by `update(n)`; for loops whose steps count for more than one unit."""
    return tqdm(total=total, initial=done, desc=what, unit=f" {unit}", leave=False, **bar_options())


def run_stage(main: Callable[[], None]) -> None:
    """Call `main`; end the process with status 1 and one line if the user or the machine is at fault.

    That is a `PipelineError`, a file that cannot be opened or written, a full disk, or want of memory.
    """
    gc.freeze()  # modules and classes stay for good: the collector need not look at them
    gc.enable()  # see `stages`
    try:
        with stage_claimed(), full_disk_named():
            main()
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        name = printable(without_secrets(str(error.filename)))
        print(f"error: {name}: {error.strerror}; mend that and run the same command again", file=sys.stderr)
        sys.exit(1)
    except MemoryError:
        print("error: not enough memory; close other programs, or lower runtime.workers or the batch", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
