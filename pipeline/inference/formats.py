"""Predictions as records of photos, foods and categories, and as text, JSON, CSV or COCO's JSON."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

from pycocotools import mask as mask_api

from pipeline.datasets.objects import encode_rle
from pipeline.evaluation.rejection import UNKNOWN, percent
from pipeline.imaging.components import region_of
from pipeline.inference.prediction import DRAWINGS_ONLY, Prediction
from pipeline.inference.regions import Region
from pipeline.params.base import Section
from pipeline.runtime.errors import printable
from pipeline.runtime.escaping import printable_json, spreadsheet

Format: TypeAlias = Literal["text", "json", "csv", "coco"]
LISTINGS: dict[str, Format] = {"predictions.json": "json", "predictions.csv": "csv", "coco.json": "coco"}
"""Files with all answers, by name."""
DIGITS = 6


class PhotoAnswer(Section):
    """One category with its probability."""

    category: str
    probability: float  # in [0, 1]


class FoodRecord(Section):
    """Prediction of one region of a photo; the first fields are those of `Region`."""

    region: str
    found_by: str
    score: float
    status: str
    remark: str
    area_share: float  # share of the photo that the region covers, in [0, 1]
    box: tuple[int, int, int, int]  # x0, y0, x1, y1 of the region in pixels, inclusive, as `--box` takes them
    mask_rle: str  # mask at the size of the photo, in COCO's compressed run-length encoding
    top: tuple[PhotoAnswer, ...]  # best first
    known: bool | None  # whether the first one reaches the threshold of `PhotoRecord`; null if there is none
    pictures: dict[str, str]  # path by kind of picture; empty if none were requested


class PhotoRecord(Section):
    """One photo."""

    photo: str  # path or URL as given
    size: tuple[int, int] | None = None  # height and width in pixels; null if the photo was refused
    run: str
    temperature: float  # calibration: the logits are divided by this
    threshold: float | None  # probability below which a food is not named, by validation; null if none could be chosen
    trained_on: str | None = None  # data set of the run; null where its record does not say
    drawings_only: bool = False  # whether that is the demo, so that answers on photos mean nothing
    test_top1: float | None = None  # share in [0, 1] of right answers on the test split; null if not evaluated
    test_top1_interval: tuple[float, float] | None = None  # its 95 % interval
    foods: tuple[FoodRecord, ...] = ()  # in the order requested or found; empty if the photo was refused
    picture: str | None = None  # path of the photo with all foods and a legend; null if none was requested
    error: str | None = None  # why the photo was refused; null if it was not


def food_record(
    region: Region, prediction: Prediction, *, known: bool | None, top: int, pictures: dict[str, str]
) -> FoodRecord:
    """Return the record of one region with its `top` most probable categories and the paths of its pictures."""
    found = region_of(region.mask)
    return FoodRecord(
        region=region.label,
        found_by=region.found_by,
        score=round(region.score, DIGITS),
        status=region.status,
        remark=region.remark,
        area_share=round(float(region.mask.mean()), DIGITS),
        box=(found.x0, found.y0, found.x1, found.y1),
        mask_rle=encode_rle(region.mask).decode("ascii"),
        top=tuple(
            PhotoAnswer(category=guess.category, probability=round(guess.probability, DIGITS))
            for guess in prediction.top(top)
        ),
        known=known,
        pictures=pictures,
    )


def format_records(
    records: Iterable[PhotoRecord], kind: Format, *, top: int, class_names: Sequence[str]
) -> Iterator[str]:
    """Yield lines of output, each as soon as its photo is done, but for `coco`, which is one line at the end.

    `json` is a list of objects, closed even if an error ends the work; `csv` has one line per food, with columns for
    `top` categories, or one for a refused photo; `coco` has no refused photos. `class_names` are those of the run.
    """
    match kind:
        case "text":
            yield from map(printable, _text(records))
        case "json":
            yield from _json(records)
        case "csv":
            yield from _csv(records, top)
        case "coco":
            yield printable_json(coco(list(records), class_names))


def _text(records: Iterable[PhotoRecord]) -> Iterator[str]:
    for record in records:
        for food in record.foods:
            facts = f"{percent(food.area_share, 1)} of the photo, mask by {food.found_by}, score {food.score:.2f}"
            yield f"{record.photo}: {food.region} ({'; '.join(filter(None, (facts, food.remark)))})"
            if food.known is False:
                yield f"  {UNKNOWN}; nearest: {', '.join(answer.category for answer in food.top)}"
            else:
                yield from (f"{percent(answer.probability, 2):>10}  {answer.category}" for answer in food.top)
            if record.drawings_only:
                yield f"  caution: {DRAWINGS_ONLY}"
            if food.pictures:
                yield f"  pictures: {' '.join(food.pictures.values())}"
        if record.picture is not None:
            yield f"{record.photo}: picture: {record.picture}"
        if not record.foods and record.error is None:
            yield f"{record.photo}: no food found"


def _json(records: Iterable[PhotoRecord]) -> Iterator[str]:
    before, end = "[", "[]"
    try:
        for record in records:
            yield before + printable_json(record.model_dump(mode="json"))
            before, end = ",", "]"
    except (Exception, KeyboardInterrupt):
        yield end  # the records so far stay readable
        raise
    yield end


RUN_COLUMNS = ("run", "temperature", "threshold", "trained_on", "drawings_only", "test_top1")
COLUMNS = ("photo", "region", "found_by", "score", "status", "remark", "area_share", "known")
EDGES = ("x0", "y0", "x1", "y1")


def _csv(records: Iterable[PhotoRecord], top: int) -> Iterator[str]:
    ranks = [f"{name}_{rank}" for rank in range(1, top + 1) for name in ("category", "probability")]
    yield _line([*COLUMNS, *EDGES, *ranks, *RUN_COLUMNS, "test_top1_low", "test_top1_high", "error"])
    for record in records:
        about = [getattr(record, name) for name in RUN_COLUMNS]
        ending = [*about, *(record.test_top1_interval or ("", "")), record.error]
        for food in record.foods:
            facts = [getattr(food, name) for name in COLUMNS[1:]]
            guesses = [cell for answer in food.top for cell in (answer.category, answer.probability)]
            yield _line([record.photo, *facts, *food.box, *guesses, *[""] * (2 * top - len(guesses)), *ending])
        if not record.foods:
            yield _line([record.photo, *[""] * (len(COLUMNS) + len(EDGES) - 1 + 2 * top), *ending])


def _line(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    shown = (printable(cell) if isinstance(cell, str) else "" if cell is None else cell for cell in cells)
    csv.writer(buffer, lineterminator="").writerow(map(spreadsheet, shown))
    return buffer.getvalue()


def coco(records: Sequence[PhotoRecord], class_names: Sequence[str]) -> dict[str, Any]:
    """Return the foods as COCO's objects: ids of categories are places in `class_names` from 1, then that of `UNKNOWN`.

    Masks are run-length encoded, pixel by pixel; `score` is the probability of the category, of an unknown one 0.
    """
    ids = {name: number for number, name in enumerate([*class_names, UNKNOWN], 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for record in records:
        if record.size is None:
            continue
        height, width = record.size
        images.append({"id": len(images) + 1, "file_name": record.photo, "height": height, "width": width})
        for food in record.foods:
            unknown = food.known is False
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": len(images),
                    "category_id": ids[UNKNOWN if unknown else food.top[0].category],
                }
                | coco_mask(food.box, food.mask_rle, record.size)
                | {"score": 0.0 if unknown else food.top[0].probability}
            )
    categories = [coco_category(number, name) for name, number in ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco_mask(box: tuple[int, int, int, int], mask_rle: str, size: tuple[int, int]) -> dict[str, Any]:
    """Return what COCO's annotation says of a mask; box and encoding as of `FoodRecord`, height and width in pixels."""
    (x0, y0, x1, y1), mask = box, {"size": list(size), "counts": mask_rle}
    return {
        "bbox": [x0, y0, x1 - x0 + 1, y1 - y0 + 1],
        "area": int(mask_api.area(mask)),
        "segmentation": mask,
        "iscrowd": 0,
    }


def coco_category(number: int, name: str) -> dict[str, Any]:
    """Return COCO's category of a food."""
    return {"id": number, "name": name, "supercategory": "food"}
