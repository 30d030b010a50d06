"""What a stage's list of code holds: all that its script can import from here, and nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.steps.configure import import_closures


@pytest.fixture(scope="module")
def closures(root: Path) -> dict[str, dict[str, str]]:
    """Return the closures of this checkout."""
    return import_closures(root)


def test_every_stage_has_its_script_and_its_step(closures: dict[str, dict[str, str]], root: Path) -> None:
    """By path from the checkout's root, whatever that is."""
    assert set(closures) == {path.stem for path in (root / "stages").glob("[!_]*.py")}
    for stage, files in closures.items():
        assert {f"stages/{stage}.py", f"pipeline/steps/{stage}.py", "pipeline/runtime/errors.py"} <= files.keys()
        assert list(files) == sorted(files)


def test_imports_inside_functions_count(closures: dict[str, dict[str, str]]) -> None:
    """FastSAM is imported where it was chosen; an edit there must rerun `segment`."""
    assert "pipeline/segmentation/contained_ultralytics.py" in closures["segment"]


def test_what_a_script_cannot_import_is_not_listed(closures: dict[str, dict[str, str]], root: Path) -> None:
    """Editing figures trains nothing; empty package markers stand in no list."""
    assert not any(file.startswith("pipeline/reporting/") for file in closures["train"])
    assert not any(file.startswith("pipeline/training/") for file in closures["pair"])
    assert all((root / file).stat().st_size for files in closures.values() for file in files)


def test_an_edit_changes_the_lists_of_those_that_import_the_file(
    closures: dict[str, dict[str, str]], root: Path, tmp_path: Path
) -> None:
    """And no other list, in another checkout at another path."""
    for package in ("pipeline", "stages"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    edited = "pipeline/training/optimizer.py"
    with (tmp_path / edited).open("a") as file:
        file.write("# edited\n")
    code = (
        "from pathlib import Path; from pipeline.steps.configure import record_code;"
        "record_code(root=Path(), code=Path('code'))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)  # noqa: S603
    before = tmp_path / "before"
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", code.replace("'code'", f"'{before}'")], cwd=root, check=True
    )
    lists = {path.stem: path.read_bytes() for path in (tmp_path / "code").glob("*.json")}
    assert lists.keys() == closures.keys() - {"configure"}
    changed = {stage for stage, content in lists.items() if content != (before / f"{stage}.json").read_bytes()}
    assert changed == {stage for stage, files in closures.items() if edited in files} - {"configure"}
    assert "train" in changed
    assert "pair" not in changed
