"""What to pull for a report without photos."""

from pathlib import Path

import pytest

from pipeline.runtime.errors import ManifestError
from tools.report_inputs import recorded, report_inputs


def test_no_shard_photo_or_heat_map_is_pulled() -> None:
    """Nor a model; of shards the small file alone; what git has or only DVC compares is not named."""
    deps = (
        "data/code/report.json", "pipeline/reporting/templates", "results/summary.json", "data/raw", "data/index",
        "data/shards/sam", "data/explanations/vit+none-all", "data/runs/vit+none-all", "data/settings",
        "data/repetitions.json", "data/evaluations/vit+none-all", "data/distilled/none", "data/probes",
    )  # fmt: skip
    assert list(report_inputs(deps)) == [
        "data/index", "data/shards/sam/manifest.json", "data/runs/vit+none-all/run.json",
        "data/runs/vit+none-all/history.csv", "data/runs/vit+none-all/validation.parquet", "data/settings",
        "data/repetitions.json",
        "data/evaluations/vit+none-all", "data/distilled/none/summary.json", "data/probes",
    ]  # fmt: skip


def test_a_student_comes_without_its_model() -> None:
    """Predictions of teacher and student, and the kind of distillation."""
    assert list(report_inputs(["data/distilled/vit"])) == [
        f"data/distilled/vit/{file}"
        for file in ("summary.json", "teacher/predictions.parquet", "student/predictions.parquet", "student/run.json")
    ]


def test_a_study_that_was_never_reported_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither without a record, nor with one that stops before the report."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestError, match="knows no report"):
        recorded()
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    with pytest.raises(ManifestError, match="knows no report"):
        recorded()
