"""Photos to start with: plates that the demo draws, since no real photo may be published, or a visitor's own folder."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from pipeline.acquisition.layout import note_ignored
from pipeline.arrays import Image
from pipeline.datasets.layout import is_utf8
from pipeline.datasets.prompts import Prompt
from pipeline.demo.categories import CATEGORY_IDS, CHILI_PASTE, KETCHUP, SAUCE
from pipeline.demo.menu import menu
from pipeline.demo.scene import Dice, render
from pipeline.imaging.components import regions_by_value
from pipeline.imaging.decode import read_photo
from pipeline.prediction.photos import photos_in

SEED, SPLIT = 0, "test"
DIPS = (KETCHUP, CHILI_PASTE, SAUCE)
"""One plate with each; two of these look alike, and only what lies around tells them apart."""
MARGIN = 2
"""Pixels between a sauce and the box that a person would draw around it."""
MOST = 6
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
    photos = photos_in(folder)
    named = [path for path in photos if is_utf8(path)]
    note_ignored([path.name for path in set(photos) - set(named)], "whose names are not UTF-8; rename them")
    return tuple(_own(named[:MOST]))


def _own(paths: Sequence[Path]) -> Iterator[SamplePhoto]:
    for path in paths:
        yield SamplePhoto(path.stem, read_photo(path), None)
