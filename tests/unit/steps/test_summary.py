"""Stage summary on a small study."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.reporting.grid import GRID_RUNS
from pipeline.runtime.errors import ManifestError, ParamsError
from pipeline.steps.summary import summarise
from tests.unit.reporting.study import VARIANT, StudyFolder, build_study


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Return a study that tests must not change."""
    return build_study(tmp_path_factory.mktemp("study"))


def write(study: StudyFolder, results: Path, variant: str = VARIANT) -> dict[str, object]:
    """Run the stage and return summary.json."""
    summarise(
        variant=variant,
        evaluations=study.evaluations,
        perturbations=study.perturbations,
        runs=study.runs,
        results=results,
    )
    values: dict[str, object] = json.loads((results / "summary.json").read_text())
    return values


def test_the_summary_lists_the_papers_runs_then_the_variant(built: StudyFolder, tmp_path: Path) -> None:
    """In the paper's order, with the numbers of evaluate."""
    summary = write(built, tmp_path)
    runs = summary["runs"]
    assert isinstance(runs, dict)
    assert list(runs) == [*(run.name for run in GRID_RUNS), VARIANT]
    metrics = json.loads((built.evaluations / VARIANT / "metrics.json").read_text())
    assert {name: runs[VARIANT][name] for name in ("top1", "macro_f1", "ece")} == {
        name: metrics[name] for name in ("top1", "macro_f1", "ece")
    }


def test_the_variant_is_one_flat_row(built: StudyFolder, tmp_path: Path) -> None:
    """`dvc exp show` makes a column of every key."""
    write(built, tmp_path)
    row = json.loads((tmp_path / "variant.json").read_text())
    assert row["run"] == VARIANT
    assert not any(isinstance(value, dict | list) for value in row.values())


def test_a_variant_of_the_grid_is_listed_once(built: StudyFolder, tmp_path: Path) -> None:
    """A run of the paper is not counted twice."""
    summary = write(built, tmp_path, "vit+vit-all")
    assert summary["variant"] == "vit+vit-all"
    assert len(summary["runs"]) == len(GRID_RUNS)  # type: ignore[arg-type]


def test_runs_of_earlier_variants_do_not_get_in(built: StudyFolder, tmp_path: Path) -> None:
    """What else lies in the folders changes no byte."""
    write(built, tmp_path / "before")
    stale = built.evaluations / "mixer+mixer-all"
    shutil.copytree(built.evaluations / VARIANT, stale)
    write(built, tmp_path / "after")
    shutil.rmtree(stale)
    for name in ("summary.json", "variant.json"):
        assert (tmp_path / "before" / name).read_bytes() == (tmp_path / "after" / name).read_bytes()


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("evaluations/vit+none-all/metrics.json", "evaluate"),
        ("perturbations/vit+none-all/metrics.json", "perturb"),
        ("runs/vit+none-all/history.csv", "train"),
    ],
)
def test_an_absent_result_names_the_stage_to_run(built: StudyFolder, tmp_path: Path, file: str, stage: str) -> None:
    """As a command, for exactly that run."""
    path = built.path / "data" / file
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        with pytest.raises(ManifestError, match=rf"run `dvc repro {stage}@vit\+none-all`"):
            write(built, tmp_path)
    finally:
        hidden.rename(path)


def test_a_name_that_is_no_run_is_refused(built: StudyFolder, tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(ParamsError, match="expected <roi>"):
        write(built, tmp_path, "vit")
