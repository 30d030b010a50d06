"""Commands for a person: `python -m pipeline --help`."""

import typer

from pipeline.cli.export import export
from pipeline.cli.predict import predict
from pipeline.cli.propose import propose, take
from pipeline.cli.report import report
from pipeline.cli.serve import serve
from pipeline.cli.show import show

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for command in (predict, serve, export, show, report, propose, take):
    app.command()(command)


@app.callback(epilog="Exit codes: 0 done, 1 refused (one line says why), 2 wrong usage, 130 interrupted.")
def describe() -> None:
    """Use and look at what the RveRNet pipeline made. The pipeline itself is run by `dvc repro`."""
