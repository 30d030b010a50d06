"""Limits that keep every file readable in one sitting."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("pipeline", "stages", "tools") for path in (ROOT / folder).rglob("*.py") if path.stat().st_size
)
LONGEST_MODULE = 250
LONGEST_FUNCTION = 50


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_grows_into_a_hall(path: Path) -> None:
    """A module fits in 250 lines, a function in 50."""
    text = path.read_text()
    long = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert len(text.splitlines()) <= LONGEST_MODULE
    assert long == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_the_fields_terms(path: Path) -> None:
    """No net1, utils, helpers or cfg."""
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert not names & {"cfg", "net1", "net2", "utils", "helpers"}
    assert path.stem not in {"utils", "helpers", "cfg", "common", "misc"}
