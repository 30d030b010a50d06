"""What the page says about a student that another model taught."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import JsonValue

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.distillation import DistillationSummary, Scores, compare_students
from pipeline.evaluation.predictions import read_predictions
from pipeline.reporting.results import Stored, read_record
from pipeline.reporting.run_files import RunFiles

SUMMARY, PREDICTIONS, CARD = "summary.json", "predictions.parquet", "run.json"
TEACHER, STUDENT, UNDISTILLED = "teacher", "student", "undistilled"


class TaughtRecord(Stored):
    """What the report shows of the student's `run.json`."""

    distillation: dict[str, JsonValue]
    """Who taught it and how."""


class LessonEvidence(NamedTuple):
    """Teacher, student, and the same backbone without a teacher where the study has that run."""

    summary: DistillationSummary
    how: Mapping[str, JsonValue]
    """Kind, alpha and temperature."""
    samples: int
    """Test samples."""
    runs: Mapping[str, str]
    """Name of the run by its part: `teacher`, `undistilled`, `student`."""
    scores: Mapping[str, Scores]
    """By part."""
    gains: Mapping[str, Scores]
    """Student minus the other, by the other's part."""

    def as_json(self) -> dict[str, Any]:
        """Return everything as the report's `results.json` has it."""
        said = {"scores": self.scores, "student_gains": self.gains}
        numbers = {
            key: {
                part: {score: interval._asdict() for score, interval in found.items()} for part, found in parts.items()
            }
            for key, parts in said.items()
        }
        return {"runs": self.runs, "how": self.how, "samples": self.samples, **numbers}


def read_lesson_evidence(
    folder: Path | None, files: RunFiles, made: Sequence[str], ambiguous: Sequence[str], bootstrap: Bootstrap
) -> LessonEvidence | None:
    """Read the output of stage `distill`; None where it did not run, or nobody teaches.

    Args:
        folder: Output of the stage for one teacher.
        files: Where the study's runs lie.
        made: Names of those that were evaluated.
        ambiguous: Names of the ambiguous pair.
        bootstrap: How photos are resampled.

    Raises:
        EvaluationError: If the runs were judged on different samples.
        ManifestError: If a file is absent or damaged.
    """
    if folder is None or not (folder / SUMMARY).exists():
        return None
    stage = f"distill@{folder.name}"
    summary = read_record(DistillationSummary, folder / SUMMARY, stage)
    if summary.teacher is None or summary.student is None:
        return None
    tables = {TEACHER: read_predictions(folder / TEACHER / PREDICTIONS)}
    runs = {TEACHER: summary.teacher}
    if summary.undistilled in made and summary.undistilled is not None:
        tables[UNDISTILLED], runs[UNDISTILLED] = files.predictions(summary.undistilled), summary.undistilled
    tables[STUDENT], runs[STUDENT] = read_predictions(folder / STUDENT / PREDICTIONS), summary.student
    scores, changes = compare_students(tables, ambiguous, bootstrap)
    return LessonEvidence(
        summary=summary,
        how=read_record(TaughtRecord, folder / STUDENT / CARD, stage).distillation,
        samples=len(tables[STUDENT].sample_ids),
        runs=runs,
        scores=scores,
        gains={first: change for (first, second), change in changes.items() if second == STUDENT},
    )
