"""Answers painted into masks, as semantic maps beside published ones: FoodSAM's metric."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.datasets.foodseg103 import CATEGORIES, COUNTS
from pipeline.evaluation.metrics import DIGITS
from pipeline.evaluation.semantic_map import BACKGROUND, OVERLAPS, SemanticScores, read_overlaps, score_maps
from pipeline.runtime.escaping import write_csv

HEAD = ("answers", "masks", "miou", "macc", "aacc")
TRUE = "the true category"
"""What a perfect classifier answers."""


class Published(NamedTuple):
    """Scores on the test photos of FoodSeg103 in per cent, 103 foods and the background; None where none was found."""

    name: str
    miou: float
    macc: float | None
    aacc: float | None
    source: str


_AUTHORS, _FOODSAM = "README of github.com/LARC-CMU-SMU/FoodSeg103-Benchmark-v1", "README of github.com/jamesjg/FoodSAM"
PUBLISHED = (
    Published("CCNet, ResNet-50, ReLeM (2021)", 36.8, 47.4, None, _AUTHORS),
    Published("UperNet, Swin-S (2021)", 41.6, 53.6, None, _AUTHORS),
    Published("SETR-MLA, ViT-B/16 (2021)", 45.1, 57.44, 83.53, f"{_FOODSAM}, its baseline"),
    Published("FoodSAM: SAM's masks, SETR-MLA's vote (2023)", 46.42, 58.27, 84.10, f"{_FOODSAM}; arXiv 2308.05938"),
    Published("BEiT (2023)", 49.4, None, None, "abstract of Sinha et al., paperswithcode.com, June 2023"),
    Published("HDF, MambaVision (2026)", 52.25, None, None, "abstract of doi 10.3390/foods15030534"),
)
"""From the lowest mIoU to the highest."""


class SemanticRow(NamedTuple):
    """One classifier's answers in one source's masks."""

    answers: str
    """Run, or `TRUE`."""
    masks: str
    scores: SemanticScores


class SemanticMaps(NamedTuple):
    """Semantic maps of the test photos."""

    photos: int
    classes: int
    """Categories of the data set."""
    occurring: int
    """Those that the annotation of these photos has."""
    rows: tuple[SemanticRow, ...]
    published: tuple[Published, ...] = PUBLISHED

    @property
    def official(self) -> bool:
        """Whether there are as many photos and categories as in the release of FoodSeg103."""
        return (self.photos, self.classes) == (COUNTS["test"][0], len(CATEGORIES) - 1)

    @property
    def lines(self) -> list[tuple[object, ...]]:
        """Rows of the CSV file."""
        return [(r.answers, r.masks, *(round(score, DIGITS) for score in r.scores)) for r in self.rows]

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `results.json`."""
        ours = [dict(zip(HEAD, line, strict=True)) for line in self.lines]
        counts = {"photos": self.photos, "categories": self.classes, "occurring": self.occurring}
        return counts | {"rows": ours, "published": [published._asdict() for published in self.published]}

    def write(self, folder: Path) -> None:
        """Write `semantic_maps.csv`."""
        write_csv(folder / "semantic_maps.csv", HEAD, self.lines)


def read_semantic_maps(
    agreement: Path | None, predictions: Mapping[str, Mapping[str, str]], categories: Sequence[str]
) -> SemanticMaps | None:
    """Paint predictions into the masks that stage `agreement` laid on the annotation; None where it did not.

    Args:
        agreement: Output of the stage for one source.
        predictions: Category by sample_id, by the run or model.
        categories: Category by class index.

    Raises:
        ManifestError: If the table is damaged.
    """
    if agreement is None or not (agreement / OVERLAPS).exists():
        return None
    overlaps = read_overlaps(agreement / OVERLAPS)
    if not overlaps:
        return None
    index = {name: place for place, name in enumerate(categories)}
    true = {overlap.sample_id: overlap.target for overlap in overlaps}
    painted = {TRUE: true} | {n: {i: index[name] for i, name in found.items()} for n, found in predictions.items()}
    sources = sorted({overlap.masks for overlap in overlaps}, key=lambda source: (source != agreement.name, source))
    of_source = {source: [overlap for overlap in overlaps if overlap.masks == source] for source in sources}
    return SemanticMaps(
        photos=len({overlap.photo_id for overlap in overlaps}),
        classes=len(categories),
        occurring=len({overlap.truth for overlap in overlaps} - {BACKGROUND}),
        rows=tuple(
            SemanticRow(name, source, score_maps(found, given, len(categories)))
            for source, found in of_source.items()
            for name, given in painted.items()
        ),
    )
