"""Commands for a person: `python -m pipeline --help`."""

import functools
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from pipeline.cli.export import export
from pipeline.cli.mirror import mirror
from pipeline.cli.predict import predict
from pipeline.cli.propose import propose, take
from pipeline.cli.report import report
from pipeline.cli.serve import serve
from pipeline.cli.show import show
from pipeline.errors import ParamsError

COMMANDS: dict[Callable[..., None], str] = {
    predict: "Say what the foods of photos are.",
    serve: "Open a page to try runs on photos.",
    export: "Write runs and shards in the formats of others.",
    show: "Write a contact sheet of samples.",
    report: "Write the report of the runs that were made.",
    propose: "Show numbered masks of photos without mask or prompts.",
    take: "Add proposals you picked to prompts.csv.",
    mirror: "Copy photos, masks and shards to object storage.",
}
"""What each command is for, short enough for all to stand on one screen."""
URL = re.compile(r"([a-z][a-z0-9+.-]+:)/+", re.IGNORECASE)
"""Beginning of a URL, as a path holds it."""


def on_this_machine(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that refuses a URL where it takes a path, before the path loses one of its slashes."""

    @functools.wraps(command)
    def checked(*args: object, **options: object) -> None:
        for name, value in options.items():
            for path in value if isinstance(value, list) else [value]:
                if isinstance(path, Path) and (url := URL.match(str(path))):
                    typed = f"{url[1]}//{str(path)[url.end() :]}"
                    raise ParamsError(
                        f"{typed}: {name} is a file or folder of this machine; fetch it, and give its path"
                    )
        command(*args, **options)

    return checked


class Command(TyperCommand):
    """A command that refuses empty values: `--out "$unset"` would be the folder one is in."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what was typed.

        Raises:
            ParamsError: If a value is empty.
        """
        for before, value in pairwise(["", *args]):
            if not value or re.fullmatch(r"--[a-z-]+=", value):
                name = value.rstrip("=") or (before if before.startswith("-") else "argument")
                raise ParamsError(f"{name} '': an empty value, as an unset variable of a shell gives; name one")
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for command, purpose in COMMANDS.items():
    app.command(cls=Command, short_help=purpose)(on_this_machine(command))


@app.callback(
    help="Use what the RveRNet pipeline has made; `dvc repro` runs the pipeline itself. "
    "Exit codes: 0 done, 1 refused, 2 wrong usage, 130 interrupted."
)
def describe() -> None:
    """Stand for all commands, and leave them a line more of the screen than an epilog would."""
