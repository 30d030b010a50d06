"""What a study cost, as a table and as the report's appendix."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.steps import cost
from pipeline.steps.cost import study_cost, write_cost
from tools.readme_figures import with_time


def record(stage: str, total: int, **other: Any) -> dict[str, Any]:
    """Return a record of a finished stage."""
    work = {"seconds": 2.0, "amount": 500, "unit": "sample"}
    return {
        "stage": stage, "total": float(total), "done": True, "work": work, "peak_bytes": 2_000_000_000,
        "child_peak_bytes": 0, "device": "CPU, 2 cores", "machine": "vm", "ended": "2026-11-30T03:44:50+00:00",
    } | other  # fmt: skip


def test_the_last_finished_run_of_each_stage_counts() -> None:
    """Stages of other variants stand apart, and those without a record are counted."""
    records = [record("train@a", 100), record("train@old", 9), record("train@a", 60), record("train@b", 5, done=False)]
    found = study_cost(records, ["train@a", "train@b"])
    missing = "1 stage not run on this machine; 9 s for 1 stage of other variants"
    assert found.summary == f"1 min 0 s for 1 of 2 stages on CPU, 2 cores; {missing}"
    assert [row[:4] for row in found.rows] == [
        ("train@a", "1 min 0 s", "250.0 samples/s", "2.00GB"),
        ("train@old", "9 s", "250.0 samples/s", "2.00GB"),
    ]


def test_readme_says_what_the_graph_took_once_every_stage_has_a_record() -> None:
    """Not before, since a part of the stages is no graph."""
    text = "<!-- time: make figures -->old\ntext<!-- end of time -->"
    records = [record("train@a", 100), record("report", 60)]
    assert with_time(text, records, ["train@a", "report", "summary"]) == text
    assert "The graph takes 2 min 40 s on CPU, 2 cores." in with_time(text, records, ["train@a", "report"])


def test_names_are_text_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a record is markup."""
    monkeypatch.setattr(cost, "read_records", lambda: [record("train@a", 1, machine="<script>")])
    monkeypatch.setattr(cost, "current_stages", lambda _: {"train@a": None})
    write_cost(tmp_path / "data/cost.html")
    text = (tmp_path / "data/cost.html").read_text()
    assert "&lt;script&gt;" in text
    assert "<script" not in text
