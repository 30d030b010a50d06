"""The notebook runs from top to bottom in a checkout whose graph has run."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.e2e.checkout import Checkout

pytestmark = pytest.mark.e2e


def test_every_cell_of_the_notebook_runs(study: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On the small study, without the network; it leaves the checkout as it is."""
    for name, value in {**study.env, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    data = study.folder / "data"
    before = sorted(data.rglob("*"))
    notebook = nbformat.read(study.folder / "notebooks/quickstart.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(study.folder / "notebooks")}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert len(pictures) == 3
    assert "truth:" in printed
    assert "gain of the surroundings:" in printed
    assert study.call("git", "status", "--porcelain") == ""
    assert sorted(data.rglob("*")) == before
