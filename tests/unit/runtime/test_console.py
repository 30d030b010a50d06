"""A user's mistake ends in one line, not in a traceback."""

import os
import pty
import re
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.runtime import console
from pipeline.runtime.console import byte_progress, note, progress, run_stage
from pipeline.runtime.errors import DatasetError, counted
from pipeline.runtime.vector_width import core_count


def test_a_pipeline_error_becomes_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    """The message goes to stderr, without a traceback."""

    def main() -> None:
        raise DatasetError("photo 7 is gone; put it back")

    with pytest.raises(SystemExit) as caught:
        run_stage(main)
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: photo 7 is gone; put it back\n"


def test_what_a_hostile_file_put_into_a_message_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences and line breaks are shown, not obeyed."""

    def main() -> None:
        raise DatasetError("b\x1b[2J\nok: all is well")

    with pytest.raises(SystemExit):
        run_stage(main)
    assert capsys.readouterr().err == "error: b\\x1b[2J\\nok: all is well\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "data/raw"), "error: data/raw: Permission denied; mend that"),
        (MemoryError(), "error: not enough memory"),
        (OSError(28, "No space left on device"), "the file system is full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "are needed; make room"),
    ],
)
def test_what_the_machine_refuses_is_one_line(
    error: Exception, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file, memory, or room on the disk, whatever library says so."""

    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        run_stage(main)
    assert caught.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_a_programming_error_keeps_its_traceback() -> None:
    """Only errors raised on purpose are shortened."""

    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_stage(main)


def test_an_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Control-C ends with the shell's status for it."""

    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_stage(main)
    assert caught.value.code == 130
    assert "same command again" in capsys.readouterr().err


def test_progress_passes_every_item_on() -> None:
    """The bar changes nothing about the items."""
    assert list(progress(iter("abc"), total=3, what="letters", unit="letter")) == ["a", "b", "c"]


def fail_halfway(stage: str = "work") -> None:
    """Fail in the middle of work that shows two bars."""
    with byte_progress("fetch") as report:
        report(10**6, 10**7)
        for number in progress(range(10), total=10, what=stage, unit="piece"):
            report((1 + number) * 10**6, 10**7)
            time.sleep(0.11)  # bars move ten times a second
            if number == 4:
                note("one line from in between")
                raise DatasetError("photo 7 is gone; put it back")


def test_progress_in_a_log_is_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Short ones, nothing drawn over another, and the error has one of its own."""
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LOG_LINES", 0.0)
    monkeypatch.setattr(console, "DELAY", 0.0)
    with pytest.raises(SystemExit):
        run_stage(fail_halfway)
    text = capsys.readouterr().err
    lines = text.splitlines()
    assert "\r" not in text
    assert text.endswith("\n")
    assert max(map(len, lines)) < 120
    assert sum(line.startswith("work: 3 of 10 [") for line in lines) == 1
    assert sum(line.startswith("fetch: ") for line in lines) >= 5
    assert lines[-2:] == ["one line from in between", "error: photo 7 is gone; put it back"]


def test_short_work_is_silent_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """A line is worth its while only for work that lasts."""
    assert sum(progress(range(1000), total=1000, what="numbers", unit="number")) == 499500
    assert capsys.readouterr().err == ""


def test_an_error_on_a_terminal_is_not_glued_to_a_bar(root: Path) -> None:
    """The bar is erased first."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    script = (
        "from pipeline.runtime import console; from tests.unit.runtime.test_console import fail_halfway\n"
        "console.DELAY = 0.0\nconsole.run_stage(fail_halfway)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, stderr=theirs, check=False)  # noqa: S603
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the end of a terminal nobody writes to
        while block := os.read(ours, 1 << 16):
            shown += block
    os.close(ours)
    assert done.returncode == 1
    assert b"work:" in shown
    assert on_screen(shown.decode()) == ["one line from in between", "error: photo 7 is gone; put it back"]


def on_screen(text: str) -> list[str]:
    """Return the lines that are seen once a terminal has obeyed what was written to it."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[A|[\r\n]|[^\x1b\r\n]+", text):
        match piece:
            case "\x1b[A":
                row -= 1
            case "\r":
                column = 0
            case "\n":
                row, column = row + 1, 0
                lines += [""] * (row == len(lines))
            case _:
                lines[row] = lines[row][:column].ljust(column) + piece + lines[row][column + len(piece) :]
                column += len(piece)
    return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_what_an_encoding_lacks_is_written_as_escapes(root: Path, encoding: str) -> None:
    """As on Windows into a file: no name of a food or a file ends the command."""
    script = "from pipeline.runtime.console import run_stage\n"
    script += "run_stage(lambda: print('na\\u00efve \\u2192 \\u9905 \\udcff'))"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script],
        cwd=root,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    )
    assert done.stdout.rstrip() == "na\u00efve \u2192 \u9905 \udcff".encode(encoding, errors="backslashreplace")


def test_a_system_without_affinity_counts_its_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS."""
    assert 1 <= core_count() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity")
    assert core_count() == os.cpu_count()


LINUX = {
    "sched_getaffinity": {"vector_width.py"},
    "posix_fallocate": {"dataset.py"},
    "prctl": {"parallel.py"},
    "mallopt": {"resources.py"},
    "/sys/": {"resources.py"},
    "/proc/": {"resources.py", "times.py", "vector_width.py", "measure.py", "row.py"},
    "fcntl|O_TMPFILE|memfd_|pidfd|fadvise|sendfile|copy_file_range|/dev/shm|REUSEPORT|eventfd|inotify": set(),
}
"""What Linux alone has, or has differently, and the files that know what to do without."""


@pytest.mark.parametrize("name", LINUX)
def test_what_linux_alone_has_is_asked_for_only_where_there_is_a_fallback(name: str, root: Path) -> None:
    """The pipeline runs on macOS, too."""
    files = (path for folder in ("pipeline", "stages", "tools", "benchmarks") for path in (root / folder).rglob("*.py"))
    assert {path.name for path in files if re.search(name, path.read_text(encoding="utf-8"))} == LINUX[name]


@pytest.mark.parametrize(("number", "said"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1234, "1,234 files")])
def test_one_file_is_no_files(number: int, said: str) -> None:
    """Messages count in English."""
    assert counted(number, "file") == said
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(2, "entry", "entries") == "2 entries"
