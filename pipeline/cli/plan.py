"""Commands `plan` and `cost`: what the study will take, and what it took."""

import sys
from shutil import get_terminal_size
from textwrap import TextWrapper
from typing import Annotated

import typer


def plan(
    change: Annotated[
        list[str] | None,
        typer.Option("--set-param", "-S", help="A change of params.yaml to plan with: roi=deit; repeat for more."),
    ] = None,
) -> None:
    """Say what `dvc repro` will run and why, how long it takes, what it downloads, and whether the disk has room.

    With -S: what `dvc exp run` with the same would do. Nothing of the checkout changes. Exit code 1 if it cannot fit.
    """
    from pipeline.steps.plan import plan_study  # noqa: PLC0415 - what it imports takes a second

    found = plan_study(change or [])
    columns = get_terminal_size().columns
    terminal = TextWrapper(columns, subsequent_indent=" " * 13, break_long_words=False, break_on_hyphens=False)
    for line in found.lines:  # a terminal breaks words; a file and a pipe get one line each
        typer.echo(terminal.fill(line) if sys.stdout.isatty() else line)
    if not found.fits:
        raise typer.Exit(1)


def cost() -> None:
    """Say what the stages took on this machine, and write data/cost.html, the appendix of the report."""
    from pipeline.steps.cost import HEAD, PAGE, write_cost  # noqa: PLC0415 - see `plan`

    found = write_cost()
    widths = [max(map(len, column)) for column in zip(HEAD, *found.rows, strict=True)]
    for row in (HEAD, *found.rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo(f"{found.summary}; {PAGE}")
