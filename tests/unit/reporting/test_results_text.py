"""`results.json`, read back."""

import json
from typing import Any

import pytest

from pipeline.reporting.paper.published import read_paper
from tests.unit.reporting.study import VARIANT, StudyFolder, build_study
from tests.unit.steps.test_report import write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Return a study with its report in `page`."""
    study = build_study(tmp_path_factory.mktemp("study"))
    write(study, study.path / "page")
    return study


@pytest.fixture(scope="module")
def results(built: StudyFolder) -> dict[str, Any]:
    """Return the file's content."""
    text = (built.path / "page/results.json").read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values


def test_every_run_has_the_numbers_of_evaluate(built: StudyFolder, results: dict[str, Any]) -> None:
    """Twenty runs and the variant, with F1 intervals around the values."""
    assert len(results["runs"]) == 21
    assert results["variant"] == VARIANT
    for name, run in results["runs"].items():
        metrics = json.loads((built.evaluations / name / "metrics.json").read_text())
        for score in ("top1", "macro_f1", "ambiguous_f1"):
            low, high = run[f"{score}_interval"]
            assert run[score] == metrics[score]
            assert low <= run[score] <= high


def test_cells_have_the_numbers_of_their_runs(results: dict[str, Any]) -> None:
    """In the paper's unit; without a difference, since the data are others, as every table says."""
    for table in results["tables"].values():
        assert "4 train photos (paper: 4,983)" in table["setting"]
        for cell in (cell for row in table["rows"] for cell in row["cells"] if cell["score"] in {"top1", "macro_f1"}):
            run = results["runs"][cell["runs"][0]]
            scale = 100 if cell["score"] == "top1" else 1
            if not cell["detail"]:
                assert cell["ours"] == pytest.approx(scale * run[cell["score"]], abs=1e-4 * scale)
            assert cell["difference"] is None
            assert cell["status"]


def test_changes_are_those_of_perturb(built: StudyFolder, results: dict[str, Any]) -> None:
    """Of the first seed; Table 10's printed decline is beside our change."""
    for row in results["tables"]["10"]["rows"]:
        change = row["cells"][2]
        metrics = json.loads((built.perturbations / change["runs"][0] / "metrics.json").read_text())
        first = next(entry for entry in metrics["entries"] if entry["kind"] == "permutation")
        assert change["ours"] == pytest.approx(100 * first["change_top1"], abs=1e-3)


def test_a_group_is_the_mean_of_the_rows_it_names(results: dict[str, Any]) -> None:
    """Ours as the paper's: Tables 5 to 7 from 11 and 12."""
    singles = {
        (cell["runs"][0], cell["detail"]): cell["ours"]
        for number in ("11", "12")
        for row in results["tables"][number]["rows"]
        for cell in row["cells"]
        if cell["score"] == "change"
    }
    for number in ("5", "6", "7"):
        for cell in (cell for row in results["tables"][number]["rows"] for cell in row["cells"]):
            members = [singles[run, cell["detail"]] for run in cell["runs"]]
            assert cell["ours"] == pytest.approx(sum(members) / len(members), abs=1e-4)


def test_provenance_and_conventions_are_there(results: dict[str, Any]) -> None:
    """Enough to tell what a number is and what it was made from."""
    assert results["provenance"]["paper"]["arxiv"] == read_paper().provenance["arxiv"]
    assert results["provenance"]["runs"]["vit+vit-all"]["weights_sha256"]
    assert {"top1", "macro_f1", "ambiguous_f1", "change_top1"} <= results["conventions"].keys()
    assert results["intervals"]["confidence"] == 0.95
    assert not results["paper_checks"]["pair_f1_caps"]["agrees"]


def test_confusions_and_calibration_add_up(results: dict[str, Any]) -> None:
    """Every sample is in one bin and one category."""
    for run in results["runs"].values():
        assert sum(part["samples"] for part in run["reliability"]["filled"]) == run["samples"]
        assert sum(row["samples"] for row in run["per_class"]) == run["samples"]


def test_nothing_of_this_machine_is_in_any_file(built: StudyFolder) -> None:
    """No path; and tables are there in three forms, gains in two."""
    files = sorted((built.path / "page").rglob("*.*"))
    assert len([file for file in files if file.parent.name == "tables"]) == 3 * 11 + 2
    for file in files:
        assert str(built.path).encode() not in file.read_bytes()
