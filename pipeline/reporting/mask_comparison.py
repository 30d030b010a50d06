"""What the page says about masks of another source than annotation: agreement, and what it does to runs."""

from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image as Pillow

from pipeline.evaluation.mask_agreement import AgreementGroup, AgreementSummary, ShownSample, TransferSummary
from pipeline.params.base import Section
from pipeline.reporting.grid import GridRun
from pipeline.reporting.pictures import Picture, picture
from pipeline.reporting.results import read_record

SUMMARY, PICTURES = "summary.json", "pictures"
CATEGORY = "category"

SummaryT = TypeVar("SummaryT", bound=Section)


class MaskEvidence(NamedTuple):
    """Both comparisons; None where a stage did not run."""

    agreement: AgreementSummary | None
    transfer: TransferSummary | None
    pictures: tuple[tuple[ShownSample, Picture], ...]
    """Best, median and worst samples."""

    @property
    def compared(self) -> bool:
        """Tell whether there is anything but annotation."""
        return bool(self.agreement and self.agreement.samples)

    @property
    def random(self) -> bool:
        """Tell whether the weights were drawn at random, so that no number says anything."""
        return bool(self.agreement and self.agreement.weights == "random")

    def groups(self, *, categories: bool) -> tuple[AgreementGroup, ...]:
        """Return the groups by category, lowest IoU first, or all others."""
        found = self.agreement.groups if self.agreement else ()
        chosen = tuple(group for group in found if (group.by == CATEGORY) == categories)
        return tuple(sorted(chosen, key=lambda group: group.iou.value)) if categories else chosen

    def label(self, run: str) -> str:
        """Return how a person names a run."""
        return GridRun.parse(run).label


def read_mask_evidence(agreement: Path | None, transfer: Path | None) -> MaskEvidence:
    """Read the outputs of stages `agreement` and `transfer` for one source, as far as they ran.

    Raises:
        ManifestError: If a file is damaged.
    """
    found = _read(AgreementSummary, agreement, "agreement")
    pictures = tuple((sample, _picture(sample, agreement)) for sample in found.shown) if found and agreement else ()
    return MaskEvidence(found, _read(TransferSummary, transfer, "transfer"), pictures)


def _read(schema: type[SummaryT], folder: Path | None, stage: str) -> SummaryT | None:
    if folder is None or not (folder / SUMMARY).exists():
        return None
    return read_record(schema, folder / SUMMARY, f"{stage}@{folder.name}")


def _picture(sample: ShownSample, folder: Path) -> Picture:
    with Pillow.open(folder / PICTURES / sample.file) as file:
        pixels = np.asarray(file.convert("RGB"))
    return picture(pixels, f"{sample.category} of {sample.sample_id}: annotation against the other mask")
