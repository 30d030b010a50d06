"""The report of a study; a process that writes it needs no torch."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.params.stages import ReportParams
from pipeline.steps.report import write_report

VARIANT = "deit+mobilenetv2-all"


@dataclass(frozen=True)
class StudyFolder:
    """Where everything lies."""

    path: Path

    def __getattr__(self, name: str) -> Path:
        """Return a folder of data: raw, index, runs and so on."""
        return self.path / "data" / name

    @property
    def results(self) -> Path:
        """Return the folder of the tracked results."""
        return self.path / "results"


def write_page(study: StudyFolder, report: Path, *, variant: str | None = VARIANT, **beyond: Path) -> str:
    """Run report alone; return the page."""
    write_report(
        ReportParams(samples=6, probed=("vit", "tiny"), seed=0),
        variant=variant,
        summary=study.results / "summary.json",
        index=study.index,
        raw=study.raw,
        shards=study.shards / "annotation",
        runs=study.runs,
        evaluations=study.evaluations,
        perturbations=study.perturbations,
        explanations=study.explanations,
        settings=study.settings,
        report=report,
        **beyond,
    )
    return (report / "index.html").read_text(encoding="utf-8")
