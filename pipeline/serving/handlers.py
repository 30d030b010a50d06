"""What the page does when a visitor does something: from one state of a photo to the next."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

from pipeline.acquisition.source import note_ignored
from pipeline.arrays import Image
from pipeline.datasets.layout import is_utf8
from pipeline.datasets.prompts import Prompt
from pipeline.demo.foods import CATEGORY_IDS, CHILI_PASTE, KETCHUP, SAUCE, menu
from pipeline.demo.scene import Dice, render
from pipeline.imaging.components import regions_by_value
from pipeline.imaging.decode import read_photo
from pipeline.inference.inputs import photos_in_folder
from pipeline.inference.predictor import Run
from pipeline.runtime.errors import DatasetError
from pipeline.segmentation.mask_source import MaskSource
from pipeline.serving.session import (
    MarkedPhoto,
    box_between,
    corner_or_box,
    explain,
    load_upload,
    mark,
    paint,
    predict,
    start,
)

# Photos to start with: plates that the demo draws, since no real photo may be published, or a visitor's own folder.


SEED, SPLIT = 0, "test"
DIPS = (KETCHUP, CHILI_PASTE, SAUCE)
"""One plate with each; two of these look alike, and only what lies around tells them apart."""
MARGIN = 2
"""Pixels between a sauce and the box that a person would draw around it."""
MAX_SAMPLES = 6
"""Photos of a folder that are offered."""


class SamplePhoto(NamedTuple):
    """A photo that the page offers."""

    caption: str
    photo: Image
    prompt: Prompt | None
    """Box to begin with; None where the visitor marks the food."""


def drawn_samples() -> tuple[SamplePhoto, ...]:
    """Return one drawn plate for each sauce of the demo, from its test split, with a box around the sauce."""
    return tuple(_drawn(dip) for dip in DIPS)


def _drawn(dip: str) -> SamplePhoto:
    position = next(number for number in count() if menu(SEED, SPLIT, number).dip == dip)
    scene = render(menu(SEED, SPLIT, position), Dice.of(SEED, SPLIT, position))
    region, (height, width) = regions_by_value(scene.label_map)[CATEGORY_IDS[dip]], scene.label_map.shape
    corners = (
        max(0, region.x0 - MARGIN),
        max(0, region.y0 - MARGIN),
        min(width - 1, region.x1 + MARGIN),
        min(height - 1, region.y1 + MARGIN),
    )
    return SamplePhoto(dip, scene.photo, Prompt("box", tuple(map(float, corners))))


def samples_from(folder: Path) -> tuple[SamplePhoto, ...]:
    """Return the first photos of a folder.

    Raises:
        ParamsError: If it holds none.
        PhotoError: If one is damaged.
    """
    photos = photos_in_folder(folder)
    named = [path for path in photos if is_utf8(path)]
    note_ignored([path.name for path in set(photos) - set(named)], "whose names are not UTF-8; rename them")
    return tuple(_own(named[:MAX_SAMPLES]))


def _own(paths: Sequence[Path]) -> Iterator[SamplePhoto]:
    for path in paths:
        yield SamplePhoto(path.stem, read_photo(path), None)


Way: TypeAlias = Literal["box", "click"]
"""What a click on the photo is: a corner of a box, or the food itself."""
Edge: TypeAlias = Literal["left", "top", "right", "bottom"]
"""Edges of a box, in the order in which they are given."""
PERCENT = 100


@dataclass(frozen=True, slots=True)
class PageController:
    """Runs, a mask source and sample photos behind a page."""

    runs: tuple[Run, ...]
    source: MaskSource
    samples: tuple[SamplePhoto, ...]

    @property
    def ways(self) -> tuple[Way, ...]:
        """Ways of marking that the mask source can answer, the first one first chosen."""
        return ("box",) if self.source.name == "grabcut" else ("click", "box")

    def take_photo(self, upload: bytes) -> MarkedPhoto:
        """Take a new photo.

        Raises:
            PhotoError: If the bytes are no picture, damaged or too large.
        """
        return load_upload(upload)

    def take_sample(self, number: int) -> MarkedPhoto:
        """Take a sample photo; where it has a box, answer at once.

        Raises:
            DatasetError: If there is no such sample.
        """
        if not 0 <= number < len(self.samples):
            raise DatasetError(f"There are {len(self.samples)} samples")
        sample = self.samples[number]
        begun = start(sample.photo)
        return begun if sample.prompt is None else self._answer(begun, sample.prompt)

    def click(self, marked: MarkedPhoto, way: Way, x: float, y: float) -> MarkedPhoto:
        """Take a click on the photo: the food itself, or a corner of a box around it.

        Args:
            marked: What was done before.
            way: What the click is.
            x: Place in [0, 1] from the photo's left edge to its right one.
            y: Place in [0, 1] from top to bottom.

        Raises:
            DatasetError: If the box has no inside, or the mask source takes no clicks.
        """
        rows, columns = marked.shown.shape[:2]
        column, row = marked.at(x * columns, y * rows)
        if way == "click":
            return self._answer(marked, Prompt("point", (float(column), float(row))))
        waiting, prompt = corner_or_box(marked, column, row)
        return waiting if prompt is None else self._answer(waiting, prompt)

    def type_box(self, marked: MarkedPhoto, edges: Sequence[float | None]) -> MarkedPhoto:
        """Take a box from its edges in percent of the photo: left, top, right, bottom.

        Raises:
            DatasetError: If a number is missing or outside the photo, or the box has no inside.
        """
        for name, edge in zip(get_args(Edge), edges, strict=True):
            if edge is None or not math.isfinite(edge):
                raise DatasetError("Give all four numbers")
            if not 0 <= edge <= PERCENT:
                raise DatasetError(f"{name} is {edge:g}; the photo goes from 0 to {PERCENT} percent")
        rows, columns = marked.shown.shape[:2]
        left, top, right, bottom = (edge / PERCENT for edge in edges if edge is not None)
        corners = marked.at(left * columns, top * rows), marked.at(right * columns, bottom * rows)
        return self._answer(marked, box_between(*corners))

    def paint(self, marked: MarkedPhoto, painting: bytes) -> MarkedPhoto:
        """Take what was painted over the photo, as a PNG of the shown photo's size, as the food.

        Raises:
            DatasetError: If nothing is painted, or the bytes are no such PNG.
        """
        return predict(paint(marked, painting), self.runs)

    def explain(self, marked: MarkedPhoto) -> MarkedPhoto:
        """Show where each branch of each run looked.

        Raises:
            DatasetError: If nothing was judged yet.
        """
        return explain(marked)

    def _answer(self, marked: MarkedPhoto, prompt: Prompt) -> MarkedPhoto:
        return predict(mark(marked, prompt, self.source), self.runs)
