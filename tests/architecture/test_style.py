"""Names are the field's."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("pipeline", "stages", "tools") for path in (ROOT / folder).rglob("*.py") if path.stat().st_size
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_the_fields_terms(path: Path) -> None:
    """No net1, utils, helpers or cfg."""
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert not names & {"cfg", "net1", "net2", "utils", "helpers"}
    assert path.stem not in {"utils", "helpers", "cfg", "common", "misc"}
