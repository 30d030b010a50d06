"""What a person sees of a stage: bars on a terminal and lines in a log, and one line instead of a traceback."""

import gc
import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias, TypeVar

from tqdm import tqdm

from pipeline.runtime import vector_width as processor  # noqa: F401 - every stage imports this module first, before numpy
from pipeline.runtime.errors import PipelineError, printable, without_secrets
from pipeline.runtime.resources import full_disk_named
from pipeline.runtime.resumable import stage_lock

T = TypeVar("T")

SECONDS_BETWEEN_LOG_LINES = 30.0
DELAY = 1.0
"""Seconds for which work goes on before it is shown."""
LOG_LINE = "{desc}: {n_fmt} of {total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
ByteReport: TypeAlias = Callable[[int, int | None], None]
"""Takes the bytes done so far and the bytes in all, None where nobody knows."""


class _LogLines(tqdm):  # type: ignore[type-arg]
    """Says now and then in a line of its own what a bar would show; nothing of it is drawn over or erased."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:  # noqa: ARG002 - as tqdm calls it
        """Print a line."""
        print(str(self), file=self.fp, flush=True)

    def clear(self, nolock: bool = False) -> None:  # noqa: FBT001, FBT002 - as tqdm calls it
        """Leave what is printed."""

    def close(self) -> None:
        """Print no more."""
        self.last_print_t = float("-inf")  # nothing was shown that would have to be erased
        super().close()


def progress(items: Iterable[T], *, total: int | None, what: str, unit: str) -> Iterator[T]:
    """Pass `items` on under a bar with count, rate and time left; quiet when over within a second."""
    with counter(total, what=what, unit=unit) as bar:
        for item in items:
            yield item
            bar.update()


def _bar(**options: Any) -> "tqdm[Any]":
    """Return a bar on a terminal, and elsewhere its lines."""
    if sys.stderr.isatty():
        return tqdm(delay=DELAY, dynamic_ncols=True, mininterval=0.1, maxinterval=1, leave=False, **options)
    interval = SECONDS_BETWEEN_LOG_LINES
    return _LogLines(delay=DELAY, mininterval=interval, maxinterval=2 * interval, bar_format=LOG_LINE, **options)


def end_bars() -> None:
    """Take unfinished bars off the terminal, so that what is printed next has a line of its own."""
    for bar in sorted(getattr(tqdm, "_instances", ()), key=lambda bar: -abs(bar.pos)):
        bar.close()


@contextmanager
def byte_progress(what: str) -> Iterator[ByteReport]:
    """Lend a function that moves a bar of bytes, rate and time left to where the work stands."""
    with _bar(desc=what, unit="B", unit_scale=True) as bar:

        def report(done: int, total: int | None) -> None:
            if bar.total != total or done < bar.n:
                # What an earlier run brought is not this run's rate.
                bar.total, bar.initial, bar.n, bar.last_print_n = total, done, done, done
                bar.start_t = bar.last_print_t = time.time()
            bar.update(done - bar.n)

        yield report


def note(message: str) -> None:
    """Print lines without tearing a progress bar; no secret of a URL, and nothing that drives the terminal."""
    shown = "\n".join(map(printable, without_secrets(message).split("\n")))
    if sys.stderr.isatty():
        tqdm.write(shown, file=sys.stderr)
    else:
        print(shown, file=sys.stderr, flush=True)


def counter(total: int | None, *, what: str, unit: str, done: int = 0) -> "tqdm[Any]":
    """Return a bar to be told of progress by `update(n)`; for loops whose steps count for more than one unit."""
    return _bar(total=total, initial=done, desc=what, unit=f" {unit}")


def run_stage(main: Callable[[], None]) -> None:
    """Call `main`; end the process with status 1 and one line if the user or the machine is at fault.

    That is a `PipelineError`, a file that cannot be opened or written, a full disk, or want of memory.
    """
    gc.freeze()  # modules and classes stay for good: the collector need not look at them
    gc.enable()  # see `stages`
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what an old code page lacks, and bytes of names that are no text
            stream.reconfigure(errors="backslashreplace")
    try:
        with stage_lock(), full_disk_named():
            main()
    except PipelineError as error:
        _end(f"error: {error}")
    except OSError as error:
        if error.filename is None:
            raise
        name = printable(without_secrets(str(error.filename)))
        _end(f"error: {name}: {error.strerror}; mend that and run the same command again")
    except MemoryError:
        _end("error: not enough memory; close other programs, or lower runtime.workers or the batch")
    except KeyboardInterrupt:
        _end("interrupted; run the same command again to go on", status=130)


def _end(message: str, *, status: int = 1) -> NoReturn:
    end_bars()
    print(message, file=sys.stderr)
    sys.exit(status)
