"""Classify the foods of photos; a photo that cannot be read does not affect the others."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.inference import pictures as drawing
from pipeline.inference.formats import LISTINGS, FoodRecord, PhotoRecord, food_record, format_records
from pipeline.inference.inputs import PhotoSource, open_photo, short_names
from pipeline.inference.predictor import Run
from pipeline.inference.regions import RegionFinder
from pipeline.runtime.console import progress
from pipeline.runtime.errors import DatasetError, MachineError, printable
from pipeline.runtime.resources import is_disk_full

REGIONS_PER_BATCH = 64  # regions per forward pass, so that memory is bounded


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Output of every food."""

    top: int  # number of categories
    pictures: Path | None  # folder for pictures; None for no pictures
    views: bool  # whether to draw overlay, mask and both views of every food, beside all foods of a photo in one
    heat: bool  # whether to draw heat maps


def predict_photos(
    run: Run, finder: RegionFinder, photos: Sequence[PhotoSource], options: OutputOptions
) -> Iterator[PhotoRecord]:
    """Yield one record per photo, in order, under a progress bar.

    A photo whose file, regions or pictures fail gets a record with an error; errors that affect all photos end the
    work. Either way no picture of that photo stays. `LISTINGS` are written at the end, whatever ended the work.
    """
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    records: list[PhotoRecord] = []
    named = zip(photos, short_names(photos), strict=True)
    try:
        for photo, name in progress(named, total=len(photos), what=f"predict {run.name}", unit="photos"):
            shown = str(photo).encode(errors="backslashreplace").decode()  # undecodable bytes of a name
            try:
                found = _predict_photo(run, finder, photo, name, options)
            except (DatasetError, MachineError) as refusal:
                found = {"error": str(refusal)}
            except OSError as failure:
                if is_disk_full(failure):
                    raise
                what = f"{photo}: {failure.filename or photo}: {failure.strerror}; mend that or leave the photo out"
                found = {"error": printable(what)}
            records.append(PhotoRecord(photo=shown, **run.facts.fields, **found))
            yield records[-1]
    finally:
        if options.pictures is not None:
            for name, form in LISTINGS.items():
                lines = format_records(records, form, top=options.top, class_names=run.class_names)
                (options.pictures / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _predict_photo(
    run: Run, finder: RegionFinder, path: PhotoSource, name: str, options: OutputOptions
) -> dict[str, Any]:
    """Return what `PhotoRecord` holds of a photo; on any error, remove its pictures, also one that is half written."""
    photo = open_photo(path, sys.stdin.buffer)
    regions = finder.find(photo, path)
    drawn: list[Path] = []
    foods: list[FoodRecord] = []
    labelled: list[drawing.LabelledMask] = []
    picture: str | None = None
    try:
        for first in range(0, len(regions), REGIONS_PER_BATCH):
            part = regions[first : first + REGIONS_PER_BATCH]
            batch = run.views(photo, [region.mask for region in part], names=[region.label for region in part])
            predictions = run.predict_batch(batch)
            heat_wanted = options.heat and options.pictures
            heat_maps = drawing.heat_pictures(run, batch, predictions) if heat_wanted else ((),) * len(part)
            found = zip(part, predictions, heat_maps, strict=True)
            for number, (region, prediction, heat) in enumerate(found, start=first + 1):
                pictures: dict[str, str] = {}
                if options.pictures is not None:
                    images = list(drawing.explaining_pictures(photo, region, prediction)) if options.views else []
                    images += [(f"heat_{branch.branch}", branch.picture) for branch in heat]
                    for kind, image in images:
                        drawn.append(options.pictures / f"{name}-{number}-{kind}.png")
                        pictures[kind] = drawing.write_picture(image, drawn[-1])
                known = run.accepts(prediction)
                labelled.append(drawing.label_of(region.mask, prediction, known=known))
                foods.append(food_record(region, prediction, known=known, top=options.top, pictures=pictures))
        if options.pictures is not None:
            drawn.append(options.pictures / f"{name}-foods.png")
            picture = drawing.write_picture(drawing.label_foods(photo, labelled, run.facts.caution), drawn[-1])
    except BaseException:
        for file in drawn:
            with suppress(OSError):  # a name that is too long was never written
                file.unlink(missing_ok=True)
        raise
    height, width = photo.shape[:2]
    return {"size": (height, width), "foods": tuple(foods), "picture": picture}
