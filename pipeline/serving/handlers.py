"""Actions of a visitor: each returns the next state of a photo."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

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
from pipeline.inference.regions import ProposedRegions, Region, box_between
from pipeline.runtime.errors import DatasetError
from pipeline.segmentation.mask_source import MaskSource
from pipeline.serving import session
from pipeline.serving.session import MarkedPhoto

SEED, SPLIT = 0, "test"
DIPS = (KETCHUP, CHILI_PASTE, SAUCE)  # one sample each; two look alike and differ only in their surroundings
MARGIN = 2  # pixels between a sauce and the box around it
FIND_ADVICE = (
    "To find foods by itself the page needs weights: start it with --text food (SAM 3), or with --masks fastsam or sam "
    "and --mask-weights FILE. A label map of the photo, a PNG with one value a food, needs none."
)
MAX_SAMPLES = 6  # largest number of samples from a folder


class SamplePhoto(NamedTuple):
    """A photo that the page offers."""

    caption: str
    photo: Image
    prompt: Prompt | None  # initial box; None if the visitor marks the food


def drawn_samples() -> tuple[SamplePhoto, ...]:
    """Return one drawn plate for each sauce of the demo, from its test split, with a box around the sauce."""
    samples = []
    for dip in DIPS:
        position = next(number for number in count() if menu(SEED, SPLIT, number).dip == dip)
        scene = render(menu(SEED, SPLIT, position), Dice.of(SEED, SPLIT, position))
        region, (height, width) = regions_by_value(scene.label_map)[CATEGORY_IDS[dip]], scene.label_map.shape
        x1, y1 = min(width - 1, region.x1 + MARGIN), min(height - 1, region.y1 + MARGIN)
        box = box_between((max(0, region.x0 - MARGIN), max(0, region.y0 - MARGIN)), (x1, y1))
        samples.append(SamplePhoto(dip, scene.photo, box))
    return tuple(samples)


def samples_from(folder: Path) -> tuple[SamplePhoto, ...]:
    """Return the first photos of a folder."""
    photos = photos_in_folder(folder)
    named = [path for path in photos if is_utf8(path)]
    note_ignored([path.name for path in set(photos) - set(named)], "whose names are not UTF-8; rename them")
    return tuple(SamplePhoto(path.stem, read_photo(path), None) for path in named[:MAX_SAMPLES])


Way: TypeAlias = Literal["box", "click"]  # meaning of a click: a corner of a box, or the food itself
Step: TypeAlias = Literal["choose", "remove", "undo", "clear", "find"]  # what is done with the foods of a photo


@dataclass(frozen=True, slots=True)
class PageController:
    """Runs, a mask source and sample photos behind a page."""

    runs: tuple[Run, ...]
    source: MaskSource
    samples: tuple[SamplePhoto, ...]
    finder: ProposedRegions | None = None  # proposes the foods of a photo; None without such a source

    @property
    def ways(self) -> tuple[Way, ...]:
        """Ways of marking that the mask source supports, the default first."""
        return ("box",) if self.source.name == "grabcut" else ("click", "box")

    def take_sample(self, number: int) -> MarkedPhoto:
        """Open a sample photo, classified if it has a box; raise `DatasetError` if there is no such sample."""
        if not 0 <= number < len(self.samples):
            raise DatasetError(f"There are {len(self.samples)} samples")
        sample = self.samples[number]
        begun = session.start(sample.photo)
        return begun if sample.prompt is None else self._classify(begun, sample.prompt)

    def click(self, marked: MarkedPhoto, way: Way, x: float, y: float) -> MarkedPhoto:
        """Handle a click on the photo, at shares in [0, 1] from its left and top: the food, or a corner of a box."""
        rows, columns = marked.shown.shape[:2]
        column, row = marked.at(x * columns, y * rows)
        if way == "click":
            return self._classify(marked, Prompt("point", (float(column), float(row))))
        waiting, prompt = session.corner_or_box(marked, column, row)
        return waiting if prompt is None else self._classify(waiting, prompt)

    def type_box(self, marked: MarkedPhoto, edges: Sequence[float | None]) -> MarkedPhoto:
        """Mark a box by left, top, right and bottom in percent of the photo; a `DatasetError` if they make none."""
        shares = []
        for name, edge in zip(("left", "top", "right", "bottom"), edges, strict=True):
            if edge is None or not math.isfinite(edge):
                raise DatasetError("Give all four numbers")
            if not 0 <= edge <= 100:  # noqa: PLR2004 - percent
                raise DatasetError(f"{name} is {edge:g}; the photo goes from 0 to 100 percent")
            shares.append(edge / 100)
        (left, top, right, bottom), (rows, columns) = shares, marked.shown.shape[:2]
        corners = marked.at(left * columns, top * rows), marked.at(right * columns, bottom * rows)
        return self._classify(marked, box_between(*corners))

    def paint(self, marked: MarkedPhoto, painting: bytes) -> MarkedPhoto:
        """Mark what is painted on a PNG of the shown photo's size."""
        return session.predict(session.paint(marked, painting), self.runs)

    def change(self, marked: MarkedPhoto, step: Step, number: int) -> MarkedPhoto:
        """Change the foods of a photo; `number` is the index of the one to choose or remove."""
        match step:
            case "choose":
                return session.choose(marked, number)
            case "remove":
                return session.remove(marked, number)
            case "undo":
                return session.undo(marked)
            case "clear":
                return session.start(marked.photo)
            case "find":
                if self.finder is None:
                    raise DatasetError(FIND_ADVICE)
                return self._take(marked, self.finder.find(marked.photo, Path("photo")))

    def find_by_label_map(self, marked: MarkedPhoto, upload: bytes) -> MarkedPhoto:
        """Take the foods of a label map, a PNG of the photo's size."""
        return self._take(marked, session.read_plate(marked, upload))

    def _take(self, marked: MarkedPhoto, regions: Sequence[Region]) -> MarkedPhoto:
        if not regions:
            raise DatasetError("No food was found; mark one by a box")
        return session.predict(session.propose(marked, regions), self.runs)

    def _classify(self, marked: MarkedPhoto, prompt: Prompt) -> MarkedPhoto:
        return session.predict(session.mark(marked, prompt, self.source), self.runs)
