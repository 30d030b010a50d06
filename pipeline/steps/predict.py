"""Say what the foods of photos are, photo by photo; a photo that cannot be read costs the others nothing."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.arrays import Image
from pipeline.inference.formats import FoodRecord, PhotoRecord, food_record
from pipeline.inference.inputs import PhotoSource, open_photo, short_names
from pipeline.inference.pictures import explaining_pictures, heat_pictures, write_picture
from pipeline.inference.predictor import Run
from pipeline.inference.regions import Region, RegionFinder
from pipeline.runtime.console import progress
from pipeline.runtime.errors import DatasetError, MachineError, printable
from pipeline.runtime.resources import is_disk_full

REGIONS_PER_BATCH = 64
"""Regions of a photo that pass the model together, so that memory is bounded however many there are."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What is to come out for every food."""

    top: int
    """Categories listed."""
    pictures: Path | None
    """Folder for pictures; None draws none."""
    heat: bool
    """Whether to draw where each branch looked."""


def predict_photos(
    run: Run, finder: RegionFinder, photos: Sequence[PhotoSource], wanted: OutputOptions
) -> Iterator[PhotoRecord]:
    """Yield one record a photo, in order, under a progress bar; one that is refused has an error instead.

    Args:
        run: Who answers.
        finder: Says where the foods are.
        photos: Files and URLs; `-` is the standard input.
        wanted: What is to come out.

    A photo is refused for what concerns it alone: it is absent, damaged or unreadable, its region cannot be had, or its
    pictures cannot be written under its name. What no other photo will escape ends the work. Either way no picture of
    that photo stays.

    Raises:
        EvaluationError: If a logit or a heat map is not finite.
        ModelError: If Grad-CAM cannot look into a backbone.
        OSError: If the disk is full, or the folder of pictures cannot be made.
    """
    if wanted.pictures is not None:
        wanted.pictures.mkdir(parents=True, exist_ok=True)
    named = zip(photos, short_names(photos), strict=True)
    for photo, name in progress(named, total=len(photos), what=f"predict {run.name}", unit="photos"):
        try:
            with _all_or_none() as drawn:
                foods, error = tuple(_foods(run, finder, photo, name, wanted, drawn)), None
        except (DatasetError, MachineError) as refusal:
            foods, error = (), str(refusal)
        except OSError as failure:
            if is_disk_full(failure):
                raise
            place = failure.filename or photo
            foods, error = (), printable(f"{photo}: {place}: {failure.strerror}; mend that or leave the photo out")
        shown = str(photo).encode(errors="backslashreplace").decode()  # bytes of a name that is no text
        yield PhotoRecord(photo=shown, run=run.name, temperature=run.temperature, foods=foods, error=error)


@contextmanager
def _all_or_none() -> Iterator[list[Path]]:
    """Lend a list for the pictures of a photo; remove them if it is refused, the one being written included."""
    drawn: list[Path] = []
    try:
        yield drawn
    except BaseException:
        for path in drawn:
            with suppress(OSError):  # a name that is too long was never written
                path.unlink(missing_ok=True)
        raise


def _foods(  # noqa: PLR0913, PLR0917 - what one photo is answered from
    run: Run, finder: RegionFinder, path: PhotoSource, name: str, wanted: OutputOptions, drawn: list[Path]
) -> Iterator[FoodRecord]:
    photo = open_photo(path, sys.stdin.buffer)
    regions = finder.find(photo, path)
    stems = [f"{name}-{number}" for number in range(1, len(regions) + 1)]
    for first in range(0, len(regions), REGIONS_PER_BATCH):
        part = slice(first, first + REGIONS_PER_BATCH)
        yield from _judged(run, photo, regions[part], stems[part], wanted, drawn)


def _judged(  # noqa: PLR0913, PLR0917 - as above
    run: Run, photo: Image, regions: Sequence[Region], stems: Sequence[str], wanted: OutputOptions, drawn: list[Path]
) -> Iterator[FoodRecord]:
    batch = run.views(photo, [region.mask for region in regions], names=[region.label for region in regions])
    predictions = run.predict_batch(batch)
    heat = heat_pictures(run, batch, predictions) if wanted.heat and wanted.pictures else ((),) * len(regions)
    for region, prediction, looked, stem in zip(regions, predictions, heat, stems, strict=True):
        pictures: dict[str, str] = {}
        if wanted.pictures is not None:
            shown = [
                *explaining_pictures(photo, region, prediction),
                *((f"heat_{h.branch}", h.picture) for h in looked),
            ]
            for kind, image in shown:
                drawn.append(wanted.pictures / f"{stem}-{kind}.png")
                pictures[kind] = write_picture(image, drawn[-1])
        yield food_record(region, prediction, top=wanted.top, pictures=pictures)
