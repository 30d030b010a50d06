"""What the page says about runs under other seeds."""

from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from pipeline.evaluation.repetitions import Contrast, Repetitions, Spread
from pipeline.reporting.grid import GridRun
from pipeline.reporting.results import read_record
from pipeline.reporting.seed_charts import TITLES, contrast_chart, spread_chart


class SeedEvidence(NamedTuple):
    """Repetitions with their pictures."""

    repetitions: Repetitions
    spread: Markup
    """Every run by seed."""
    contrast: Markup | None
    """Differences by seed; None for a single run, or runs of different class sets."""

    def label(self, run: str) -> str:
        """Return how a person names a run."""
        return label_of(run)

    def title(self, entry: Spread | Contrast) -> str:
        """Return how a person names a score."""
        return TITLES[entry.score]


def label_of(run: str) -> str:
    """Return how a person names a run, with its class set unless that is all."""
    found = GridRun.parse(run)
    return found.label if found.classes == "all" else f"{found.label}, {found.classes}"


def read_seed_evidence(path: Path | None) -> SeedEvidence | None:
    """Read the output of stage `repeats`; None where it did not run, or nothing was repeated.

    Raises:
        ManifestError: If the file is damaged.
    """
    if path is None or not path.exists():
        return None
    found = read_record(Repetitions, path, "repeats")
    if not found.seeds:
        return None
    contrast = contrast_chart(found.contrasts, label_of) if found.contrasts else None
    return SeedEvidence(found, spread_chart(found.spreads, label_of), contrast)
