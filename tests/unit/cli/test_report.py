"""Command `report`: a person with a few runs gets a report too."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.reporting.grid import GridRun, in_paper_order
from pipeline.runtime.errors import ManifestError, ParamsError
from tests.unit.reporting.study import StudyFolder, build_study

pytestmark = pytest.mark.slow

THREE = ("mobilenetv2+mobilenetv2-all", "mobilenetv2+none-all", "none+mobilenetv2-all")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Return a study of three runs, one of them never perturbed."""
    study = build_study(tmp_path_factory.mktemp("study"), runs=THREE)
    shutil.rmtree(study.perturbations / THREE[1])
    return study


def report(study: StudyFolder, out: Path, *arguments: str) -> str:
    """Run the command and return the page."""
    command = ["report", "--data", str(study.path / "data"), "--out", str(out), *arguments]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    return (out / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole(three: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the report on all three."""
    out = tmp_path_factory.mktemp("whole")
    report(three, out)
    return out


def cells(out: Path, number: int) -> dict[tuple[str, ...], tuple[str, float | None]]:
    """Return status and our number of a table's first column, by runs."""
    tables = json.loads((out / "results.json").read_text(encoding="utf-8"))["tables"]
    first = [row["cells"][0] for row in tables[str(number)]["rows"]]
    return {tuple(cell["runs"]): (cell["status"], cell["ours"]) for cell in first}


def test_all_runs_that_were_made_are_reported(three: StudyFolder, whole: Path) -> None:
    """Their cells have numbers that `evaluate` knows; all others say that the run was not made."""
    assert "3 classifiers" in (whole / "index.html").read_text(encoding="utf-8")
    metrics = json.loads((three.evaluations / THREE[0] / "metrics.json").read_text())
    found = cells(whole, 4)
    assert found[THREE[0],] == ("other setting", pytest.approx(metrics["macro_f1"], abs=1e-6))
    assert {status for runs, (status, _) in found.items() if runs[0] not in THREE} == {"not run"}
    assert all(ours is None for status, ours in found.values() if status == "not run")


def test_a_group_needs_all_its_runs(whole: Path) -> None:
    """MobileNetV2 on the ROI is a mean of two runs in Table 5; one of them was not made."""
    assert cells(whole, 5) == dict.fromkeys(cells(whole, 5), ("not run", None))


def test_a_run_that_was_not_perturbed_has_its_plain_numbers(whole: Path) -> None:
    """Table 10: plain top-1 is there, permuted top-1 is not."""
    tables = json.loads((whole / "results.json").read_text(encoding="utf-8"))["tables"]
    row = next(row for row in tables["10"]["rows"] if row["cells"][0]["runs"] == [THREE[1]])
    assert [cell["status"] for cell in row["cells"]] == ["other setting", "not run", "not run"]


def test_one_run_without_a_partner_makes_a_page(three: StudyFolder, tmp_path: Path) -> None:
    """The main comparison was not run, and the page says how to run it."""
    page = report(three, tmp_path, "--run", THREE[2])
    assert "Not run: whether the surroundings help" in page
    assert "1 classifier on" in page


def test_the_same_runs_make_the_same_bytes(three: StudyFolder, whole: Path, tmp_path: Path) -> None:
    """Found or named, in whatever order; every file of the folder."""
    report(three, tmp_path, *(word for run in reversed(THREE) for word in ("--run", run)))
    first, second = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*.*")} for f in (whole, tmp_path))
    assert first == second
    assert len(first) >= 3 + 3 * 11


def test_a_run_that_was_not_made_is_refused_by_name(three: StudyFolder, tmp_path: Path) -> None:
    """With the command that makes it."""
    with pytest.raises(ManifestError, match=r"run `dvc repro evaluate@vit\+vit-all`"):
        report(three, tmp_path, "--run", "vit+vit-all")


def test_nothing_to_report_says_how_to_begin(three: StudyFolder, tmp_path: Path) -> None:
    """Not an empty page."""
    empty = StudyFolder(tmp_path)
    (tmp_path / "data").mkdir()
    assert three
    with pytest.raises(ParamsError, match="no run was evaluated"):
        report(empty, tmp_path / "out")


def test_runs_outside_the_paper_come_last() -> None:
    """By name, each once."""
    names = ["vit+none-all", "convnext+none-all", "mobilenetv2+vit-all", "vit+none-all"]
    assert in_paper_order(names) == tuple(
        map(GridRun.parse, ("mobilenetv2+vit-all", "vit+none-all", "convnext+none-all"))
    )


def test_without_photos_neither_photos_nor_shards_are_read(three: StudyFolder, whole: Path, tmp_path: Path) -> None:
    """The same numbers; the page says what is left out."""
    page = (whole / "index.html").read_text(encoding="utf-8")
    manifest = three.shards / "annotation/manifest.json"
    away = tmp_path / "data"
    shutil.copytree(three.path / "data", away, ignore=shutil.ignore_patterns("raw", "*-*.parquet"))
    assert (away / manifest.relative_to(three.path / "data")).is_file()
    bare = report(StudyFolder(tmp_path), tmp_path / "bare", "--no-photos")
    first, second = (json.loads((out / "results.json").read_text()) for out in (whole, tmp_path / "bare"))
    assert first == second
    assert "Made without photos" in bare
    assert "Made without photos" not in page
    assert [name for name in ("examples", "samples") if f'<section id="{name}"' in bare] == []
    assert [name for name in ("examples", "samples") if f'<section id="{name}"' in page] == ["examples", "samples"]
    drawn = {path.stem for path in (tmp_path / "bare/figures").glob("*.svg")}
    assert drawn
    assert drawn < {path.stem for path in (whole / "figures").glob("*.svg")}
