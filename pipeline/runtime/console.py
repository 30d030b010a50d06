"""Progress bars on a terminal, lines in a log, and one line instead of a traceback."""

import gc
import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias, TypeVar

from tqdm import tqdm

from pipeline.runtime import vector_width  # noqa: F401 - first of all, before numpy
from pipeline.runtime.errors import PipelineError, printable, without_secrets
from pipeline.runtime.resources import catch_disk_full
from pipeline.runtime.resumable import stage_lock
from pipeline.runtime.times import count_work, stage_times

T = TypeVar("T")
SECONDS_BETWEEN_LOG_LINES = 30.0
DELAY = 1.0  # seconds before a bar appears
LOG_LINE = "{desc}: {n_fmt} of {total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
ByteReport: TypeAlias = Callable[[int, int | None], None]  # takes the bytes done and the bytes in all, None if unknown


class _Bar(tqdm):  # type: ignore[type-arg]
    """Progress bar whose count enters the record of times."""

    def close(self) -> None:
        """Count what was done, once."""
        if not self.disable:
            count_work(int(self.n - self.initial), self.unit, float(self.format_dict["elapsed"]))
        super().close()


class _LogLines(_Bar):
    """Print the state of a bar as a line now and then, for logs; nothing is overwritten or erased."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:  # noqa: ARG002 - as tqdm calls it
        print(str(self), file=self.fp, flush=True)

    def clear(self, nolock: bool = False) -> None:  # noqa: FBT001, FBT002 - as tqdm calls it
        """Erase nothing."""

    def close(self) -> None:
        self.last_print_t = float("-inf")  # tqdm then has nothing to erase
        super().close()


def progress(
    items: Iterable[T], *, total: int | None, what: str, unit: str, count: Callable[[T], int] = lambda _: 1
) -> Iterator[T]:
    """Yield `items` under a bar with count, rate and time left; nothing is shown if it takes less than a second.

    `count` tells how many of the unit an item is, such as the samples of a batch.
    """
    with progress_bar(total, what=what, unit=unit) as bar:
        for item in items:
            yield item
            bar.update(count(item))


def _bar(**options: Any) -> "tqdm[Any]":
    """Return a bar on a terminal, lines elsewhere."""
    if sys.stderr.isatty():
        return _Bar(delay=DELAY, dynamic_ncols=True, mininterval=0.1, maxinterval=1, leave=False, **options)
    interval = SECONDS_BETWEEN_LOG_LINES
    return _LogLines(delay=DELAY, mininterval=interval, maxinterval=2 * interval, bar_format=LOG_LINE, **options)


@contextmanager
def byte_progress(what: str) -> Iterator[ByteReport]:
    """Yield a function that updates a bar of bytes, rate and time left."""
    with _bar(desc=what, unit="B", unit_scale=True) as bar:

        def report(done: int, total: int | None) -> None:
            if bar.total != total or done < bar.n:
                # Bytes of an earlier run do not count for the rate.
                bar.total, bar.initial, bar.n, bar.last_print_n = total, done, done, done
                bar.start_t = bar.last_print_t = time.time()
            bar.update(done - bar.n)

        yield report


def note(message: str) -> None:
    """Print lines to the standard error, above any progress bar; secrets of URLs and control characters are removed."""
    shown = "\n".join(map(printable, without_secrets(message).split("\n")))
    if sys.stderr.isatty():
        tqdm.write(shown, file=sys.stderr)
    else:
        print(shown, file=sys.stderr, flush=True)


def progress_bar(total: int | None, *, what: str, unit: str, done: int = 0) -> "tqdm[Any]":
    """Return a bar that the caller advances by `update(n)`, for loops whose steps count for several units."""
    return _bar(total=total, initial=done, desc=what, unit=f" {unit}")


def run_stage(main: Callable[[], None]) -> None:
    """Call `main`; exit with status 1 and one line on an error that the user can act on.

    These are a `PipelineError`, a file that cannot be opened or written, a full disk, and too little memory.
    """
    gc.freeze()  # modules and classes are never freed: the collector skips them
    gc.enable()  # see `stages`
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # characters that the code page lacks, and undecodable bytes of names
            stream.reconfigure(errors="backslashreplace")
    try:
        with stage_times(), stage_lock(), catch_disk_full():
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
    # Unfinished bars are removed from the terminal, so that the message starts on its own line.
    for bar in sorted(getattr(tqdm, "_instances", ()), key=lambda bar: -abs(bar.pos)):
        bar.close()
    print(message, file=sys.stderr)
    sys.exit(status)
