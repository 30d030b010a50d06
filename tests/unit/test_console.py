"""A user's mistake ends in one line, not in a traceback."""

import pytest

from pipeline.console import progress, run_stage
from pipeline.errors import DatasetError


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
