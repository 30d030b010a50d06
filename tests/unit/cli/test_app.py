"""The command line as a whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.runtime.errors import ParamsError
from tests.meal import write_meal
from tests.small_run import write_small_run

pytestmark = pytest.mark.slow

COMMANDS = {"predict", "serve", "export", "show", "report", "propose", "take", "mirror", "doctor", "plan", "cost"} | {
    "label"
}
LINES, COLUMNS = 30, 80


def test_help_lists_every_command_on_one_screen() -> None:
    """80 columns, with the exit codes."""
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": str(COLUMNS), "TERM": "dumb"}, prog_name="rvernet")
    lines = result.stdout.rstrip().splitlines()
    listed = {line.strip("│ ").split()[0] for line in lines if line.startswith("│ ") and line[2] != " "}
    assert listed >= COMMANDS
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    assert "Exit codes: 0 done, 1 refused, 2 wrong usage, 130 interrupted." in result.stdout


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    """Without loading what it needs to run."""
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def shell(root: Path, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the script as a shell would."""
    return subprocess.run(  # noqa: S603
        [sys.executable, str(root / "rvernet"), *arguments],
        env=os.environ | env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_exit_codes_are_as_documented(root: Path, tmp_path: Path) -> None:
    """1 for a refusal, with one line and no trace; 2 for wrong usage."""
    refused = shell(root, "export", "--format", "onnx", "--out", str(tmp_path / "x"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: --format onnx exports a run")
    assert refused.stderr.count("\n") == 1
    assert shell(root, "export").returncode == 2
    assert shell(root, "--help").returncode == 0


def test_the_shell_completes_commands_options_and_values(root: Path) -> None:
    """As bash asks, through the script."""
    asked = {"_RVERNET_COMPLETE": "complete_bash", "COMP_CWORD": "1", "COMP_WORDS": "rvernet pre"}
    assert shell(root, **asked).stdout.split() == ["predict"]
    asked |= {"COMP_CWORD": "3", "COMP_WORDS": "rvernet predict --format "}
    assert shell(root, **asked).stdout.split() == ["text", "json", "csv", "coco"]


def test_an_interrupt_ends_with_130(root: Path) -> None:
    """As a shell expects of Ctrl+C, without a trace."""
    code = (
        "import signal, sys; import pipeline.cli.predict as command; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # a test runner in the background ignores it
        "command.check_run = lambda _: signal.raise_signal(signal.SIGINT); "
        "from pipeline.cli.app import app; from pipeline.runtime.console import run_stage; run_stage(app)"
    )
    arguments = ["predict", "x.jpg", "--run", "x", "--box", "0,0,9,9"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=root, check=False, capture_output=True)  # noqa: S603
    assert done.returncode == 130
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "a.jpg", "--run", "x", "--mask", "URL"],
        ["predict", "a.jpg", "--run", "URL", "--all"],
        ["show", "--out", "x.png", "--shards", "URL"],
        ["propose", "URL"],
    ],
)
def test_a_url_in_the_place_of_a_path_is_named_as_typed(arguments: list[str]) -> None:
    """With both slashes, without its secrets, and with what to do instead."""
    typed = ["https://me:pw@example.org/a/b?token=T" if text == "URL" else text for text in arguments]
    result = CliRunner().invoke(app, typed)
    assert isinstance(result.exception, ParamsError)
    assert str(result.exception).startswith("https://example.org/a/b: ")
    assert "fetch it" in str(result.exception)


def test_a_device_that_is_not_there_is_not_blamed_on_the_parameters(tmp_path: Path) -> None:
    """It was typed here."""
    run = write_small_run(tmp_path / "run", ("roi",))
    photo = str(write_meal(tmp_path).photo)
    result = CliRunner().invoke(app, ["predict", photo, "--run", str(run), "--box", "1,1,2,2", "--device", "mps"])
    assert isinstance(result.exception, ParamsError)
    assert str(result.exception).startswith("device: 'mps' is not on this machine; choose auto,")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["predict", "a.jpg", "--run", "x", "--mask", ""], "--mask"),
        (["predict", "a.jpg", "--run", "x", "--all", "--out="], "--out"),
        (["predict", "a.jpg", "--run", "", "--all"], "--run"),
        (["predict", "", "--run", "x", "--all"], "argument"),
        (["serve", "--run", "x", "--beside", ""], "--beside"),
        (["export", "--format", "hf", "--out", ""], "--out"),
        (["propose", ""], "argument"),
        (["report", "--out", ""], "--out"),
    ],
)
def test_an_empty_value_is_not_the_folder_one_is_in(arguments: list[str], named: str) -> None:
    """As `--out "$unset"` gives; a path would take it for `.`."""
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ParamsError)
    assert str(result.exception).startswith(f"{named} '': an empty value")
