"""`docs/architecture.md` shows the package as it is: its rooms, its files, and three ways through them."""

import ast
import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
WAYS = {
    "From a Parquet file to a training batch": 9,
    "From the output of `perturb` to a cell of Table 11": 7,
    "From `-S roi=deit` to the backbone": 8,
}
"""The most files of a way by its heading."""


def files_of(way: str) -> list[str]:
    """Return the files of a way, in order."""
    return re.findall(r"^\d+\. `([\w/]+\.py)`", PAGE.partition(f"### {way}\n")[2].partition("\n#")[0], re.MULTILINE)


def imports_of(file: str) -> set[str]:
    """Return the files of this project that a file imports."""
    nodes = [node for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.ImportFrom)]
    modules = [[f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)] for node in nodes]
    return {f"{module.replace('.', '/')}.py" for module in chain(*modules)}


def test_every_file_has_its_line() -> None:
    """In the order of the folders, without those that are empty."""
    folders = PAGE.partition("## The files\n")[2]
    listed = re.findall(r"^\| `([\w/]+\.py)` \| \S", folders, re.MULTILINE)
    present = [path for path in (ROOT / "pipeline").rglob("*.py") if path.stat().st_size]
    assert sorted(listed) == sorted(str(path.relative_to(ROOT / "pipeline")) for path in present)


def test_the_drawing_has_the_layers_of_the_import_contract() -> None:
    """Every room, in the order of pyproject.toml; `runtime` lies in several layers and is one row."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [re.findall(r"[\w.]+", layer.replace("pipeline.", "")) for layer in contracts[0]["layers"]]
    rows = [line[:35] for line in PAGE.partition("```text\n")[2].partition("```")[0].splitlines()]
    drawn = [name for row in rows for name in re.findall(r"[\w.]+", row)]
    assert [name for name in drawn if "runtime" not in name] == [
        name for name in chain(*layers) if "runtime" not in name
    ]
    folders = {path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py")}
    assert folders <= set(drawn)


@pytest.mark.parametrize(("way", "most"), WAYS.items())
def test_a_way_is_short_and_holds_together(way: str, most: int) -> None:
    """Its files exist, are few, and each is joined with the others by imports."""
    files = files_of(way)
    assert 1 < len(files) <= most
    assert len(set(files)) == len(files)
    joined, left = {files[0]}, set(files[1:])
    while reached := {
        file for file in left if imports_of(file) & joined or any(file in imports_of(other) for other in joined)
    }:
        joined |= reached
        left -= reached
    assert left == set()
