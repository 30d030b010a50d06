"""Sphinx extension of the documentation site: the help of every command, and links to pages outside `docs/`.

`docs/conf.py` loads it; `make docs` builds the site. Nothing is copied: help comes from the parsers of
`python -m pipeline`, targets from the Makefile.
"""

import re
from pathlib import Path
from typing import Any

import typer
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pipeline.cli.app import app

ROOT = Path(__file__).parents[1]
TARGET = re.compile(r"^([a-z]+):.*?## (.*)$", re.MULTILINE)
SHOWN_BY = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "params.yaml": "parameters.md",
}
"""Files of the repository's root, and the pages of `docs/reference` that show them."""


def cell(text: str) -> str:
    """Return text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def command_help(name: str, command: Any) -> str:
    """Return a command's usage, help and options as Markdown."""
    context = typer.Context(command, info_name=f"python -m pipeline {name}")
    records = filter(None, (parameter.get_help_record(context) for parameter in command.params))
    rows = [f"| `{cell(option)}` | {cell(text)} |" for option, text in records if option != "--help"]
    usage = command.get_usage(context).removeprefix("Usage: ")
    options = "\n".join(["| option | |", "|---|---|", *rows])
    return f"## {name}\n\n```\n{usage}\n```\n\n{command.help}\n\n{options}\n"


class CommandHelp(SphinxDirective):
    """`command-help`: a section for every command of `python -m pipeline`."""

    def run(self) -> list[Node]:
        """Return the sections."""
        commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        text = "\n".join(command_help(name, command) for name, command in commands.items())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


class MakeTargets(SphinxDirective):
    """`make-targets`: a table of the targets of the Makefile."""

    def run(self) -> list[Node]:
        """Return the table."""
        targets = TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8"))
        rows = [f"| `make {name}` | {cell(purpose)} |" for name, purpose in targets]
        return self.parse_text_to_nodes("\n".join(["| target | |", "|---|---|", *rows]))


def redirect_links(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Point a page's links at files of the root to the pages of the site that show them."""
    up = "../" * docname.count("/")
    for file, page in SHOWN_BY.items():
        source[0] = source[0].replace(f"](../{up}{file}", f"]({up}reference/{page}")


def redirect_included(_app: Sphinx, _path: Path, _parent: str, source: list[str]) -> None:
    """Likewise in a file of the root itself, which a page of `docs/reference` includes."""
    for file, page in SHOWN_BY.items():
        source[0] = source[0].replace(f"]({file}", f"]({page}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register directives and the link rewriting."""
    app.add_directive("command-help", CommandHelp)
    app.add_directive("make-targets", MakeTargets)
    app.connect("source-read", redirect_links)
    app.connect("include-read", redirect_included)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
