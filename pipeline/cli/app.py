"""Commands for a person: `python -m pipeline --help`."""

import typer

from pipeline.cli.propose import propose, take
from pipeline.cli.report import report
from pipeline.cli.show import show

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(show)
app.command()(report)
app.command()(propose)
app.command()(take)


@app.callback()
def describe() -> None:
    """Look at what the RveRNet pipeline made. The pipeline itself is run by `dvc repro`."""
