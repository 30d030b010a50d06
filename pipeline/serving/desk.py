"""What the page does when a visitor does something: from one state of a photo to the next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from pipeline.datasets.prompts import Prompt
from pipeline.errors import DatasetError
from pipeline.prediction.run import Run
from pipeline.segmentation.source import MaskSource
from pipeline.serving.samples import SamplePhoto
from pipeline.serving.sitting import Sitting, box_between, corner_or_box, explain, judge, mark, paint, sit_down, start

Way: TypeAlias = Literal["box", "click"]
"""What a click on the photo is: a corner of a box, or the food itself."""
Edge: TypeAlias = Literal["left", "top", "right", "bottom"]
"""Edges of a box, in the order in which they are given."""
PERCENT = 100


@dataclass(frozen=True, slots=True)
class Desk:
    """Runs, a mask source and sample photos behind a page."""

    runs: tuple[Run, ...]
    source: MaskSource
    samples: tuple[SamplePhoto, ...]

    @property
    def ways(self) -> tuple[Way, ...]:
        """Ways of marking that the mask source can answer, the first one first chosen."""
        return ("box",) if self.source.name == "grabcut" else ("click", "box")

    def arrive(self, upload: bytes) -> Sitting:
        """Take a new photo.

        Raises:
            PhotoError: If the bytes are no picture, damaged or too large.
        """
        return sit_down(upload)

    def take_sample(self, number: int) -> Sitting:
        """Take a sample photo; where it has a box, answer at once.

        Raises:
            DatasetError: If there is no such sample.
        """
        if not 0 <= number < len(self.samples):
            raise DatasetError(f"There are {len(self.samples)} samples")
        sample = self.samples[number]
        begun = start(sample.photo)
        return begun if sample.prompt is None else self._answer(begun, sample.prompt)

    def click(self, sitting: Sitting, way: Way, x: float, y: float) -> Sitting:
        """Take a click on the photo: the food itself, or a corner of a box around it.

        Args:
            sitting: What was done before.
            way: What the click is.
            x: Place in [0, 1] from the photo's left edge to its right one.
            y: Place in [0, 1] from top to bottom.

        Raises:
            DatasetError: If the box has no inside, or the mask source takes no clicks.
        """
        rows, columns = sitting.shown.shape[:2]
        column, row = sitting.at(x * columns, y * rows)
        if way == "click":
            return self._answer(sitting, Prompt("point", (float(column), float(row))))
        waiting, prompt = corner_or_box(sitting, column, row)
        return waiting if prompt is None else self._answer(waiting, prompt)

    def type_box(self, sitting: Sitting, edges: Sequence[float | None]) -> Sitting:
        """Take a box from its edges in percent of the photo: left, top, right, bottom.

        Raises:
            DatasetError: If a number is missing or outside the photo, or the box has no inside.
        """
        for name, edge in zip(get_args(Edge), edges, strict=True):
            if edge is None or not math.isfinite(edge):
                raise DatasetError("Give all four numbers")
            if not 0 <= edge <= PERCENT:
                raise DatasetError(f"{name} is {edge:g}; the photo goes from 0 to {PERCENT} percent")
        rows, columns = sitting.shown.shape[:2]
        left, top, right, bottom = (edge / PERCENT for edge in edges if edge is not None)
        corners = sitting.at(left * columns, top * rows), sitting.at(right * columns, bottom * rows)
        return self._answer(sitting, box_between(*corners))

    def paint(self, sitting: Sitting, painting: bytes) -> Sitting:
        """Take what was painted over the photo, as a PNG of the shown photo's size, as the food.

        Raises:
            DatasetError: If nothing is painted, or the bytes are no such PNG.
        """
        return judge(paint(sitting, painting), self.runs)

    def explain(self, sitting: Sitting) -> Sitting:
        """Show where each branch of each run looked.

        Raises:
            DatasetError: If nothing was judged yet.
        """
        return explain(sitting)

    def _answer(self, sitting: Sitting, prompt: Prompt) -> Sitting:
        return judge(mark(sitting, prompt, self.source), self.runs)
