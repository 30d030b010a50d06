"""Classify the foods of photos; a photo that cannot be read does not affect the others."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.inference.formats import FoodRecord, PhotoRecord, food_record
from pipeline.inference.inputs import PhotoSource, open_photo, short_names
from pipeline.inference.pictures import explaining_pictures, heat_pictures, write_picture
from pipeline.inference.predictor import Run
from pipeline.inference.regions import RegionFinder
from pipeline.runtime.console import progress
from pipeline.runtime.errors import DatasetError, MachineError, printable
from pipeline.runtime.resources import is_disk_full

REGIONS_PER_BATCH = 64
"""Regions per forward pass, so that memory is bounded."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Output of every food."""

    top: int
    """Number of categories."""
    pictures: Path | None
    """Folder for pictures; None for no pictures."""
    heat: bool
    """Whether to draw heat maps."""


def predict_photos(
    run: Run, finder: RegionFinder, photos: Sequence[PhotoSource], options: OutputOptions
) -> Iterator[PhotoRecord]:
    """Yield one record per photo, in order, under a progress bar.

    A photo whose file, regions or pictures fail gets a record with an error; errors that affect all photos end the
    work. Either way no picture of that photo stays.
    """
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    named = zip(photos, short_names(photos), strict=True)
    for photo, name in progress(named, total=len(photos), what=f"predict {run.name}", unit="photos"):
        try:
            foods, error = tuple(_predict_photo(run, finder, photo, name, options)), None
        except (DatasetError, MachineError) as refusal:
            foods, error = (), str(refusal)
        except OSError as failure:
            if is_disk_full(failure):
                raise
            place = failure.filename or photo
            foods, error = (), printable(f"{photo}: {place}: {failure.strerror}; mend that or leave the photo out")
        shown = str(photo).encode(errors="backslashreplace").decode()  # undecodable bytes of a name
        yield PhotoRecord(photo=shown, **run.facts.fields, foods=foods, error=error)


def _predict_photo(
    run: Run, finder: RegionFinder, path: PhotoSource, name: str, options: OutputOptions
) -> Iterator[FoodRecord]:
    """Yield the records of a photo; on any error, remove its pictures, also one that is half written."""
    photo = open_photo(path, sys.stdin.buffer)
    regions = finder.find(photo, path)
    drawn: list[Path] = []
    try:
        for first in range(0, len(regions), REGIONS_PER_BATCH):
            part = regions[first : first + REGIONS_PER_BATCH]
            batch = run.views(photo, [region.mask for region in part], names=[region.label for region in part])
            predictions = run.predict_batch(batch)
            heat_maps = (
                heat_pictures(run, batch, predictions) if options.heat and options.pictures else ((),) * len(part)
            )
            for number, (region, prediction, heat) in enumerate(
                zip(part, predictions, heat_maps, strict=True), start=first + 1
            ):
                pictures: dict[str, str] = {}
                if options.pictures is not None:
                    images = [
                        *explaining_pictures(photo, region, prediction),
                        *((f"heat_{branch.branch}", branch.picture) for branch in heat),
                    ]
                    for kind, image in images:
                        drawn.append(options.pictures / f"{name}-{number}-{kind}.png")
                        pictures[kind] = write_picture(image, drawn[-1])
                yield food_record(region, prediction, run.rejection, top=options.top, pictures=pictures)
    except BaseException:
        for picture in drawn:
            with suppress(OSError):  # a name that is too long was never written
                picture.unlink(missing_ok=True)
        raise
