"""Notebooks are stored without what they showed."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_outputs_are_stripped(path: Path) -> None:
    """Neither pictures nor numbers of one machine, nor the order in which somebody ran the cells."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
