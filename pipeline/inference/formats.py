"""Predictions as records of photos, foods and categories, and as text, JSON or CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from pipeline.inference.prediction import Prediction
from pipeline.inference.regions import Region
from pipeline.params.base import Section
from pipeline.runtime.errors import printable
from pipeline.runtime.escaping import printable_json, spreadsheet

Format: TypeAlias = Literal["text", "json", "csv"]
DIGITS = 6


class PhotoAnswer(Section):
    """One category with its probability."""

    category: str
    """Category name."""
    probability: float
    """In [0, 1]."""


class FoodRecord(Section):
    """Prediction of one region of a photo."""

    region: str
    """Prompt or mask that the region came from."""
    found_by: str
    """Mask source, or `mask file`."""
    score: float
    """Confidence of the mask source in [0, 1]."""
    status: str
    """`ok`; `tiny`, a mask of few pixels; or `empty` if nothing was found and the box or pixel itself is taken."""
    remark: str
    """Caveat, for instance that the box was cut at the border; empty if none."""
    area_share: float
    """Share of the photo that the region covers, in [0, 1]."""
    top: tuple[PhotoAnswer, ...]
    """Best first."""
    pictures: dict[str, str]
    """Path by kind of picture; empty if none were requested."""


class PhotoRecord(Section):
    """One photo."""

    photo: str
    """Path or URL as given."""
    run: str
    """Name of the run."""
    temperature: float
    """Calibration: the logits are divided by this."""
    foods: tuple[FoodRecord, ...]
    """In the order requested or found; empty if the photo was refused."""
    error: str | None
    """Why the photo was refused; null if it was not."""


def food_record(region: Region, prediction: Prediction, *, top: int, pictures: dict[str, str]) -> FoodRecord:
    """Return the record of one region with its `top` most probable categories and the paths of its pictures."""
    return FoodRecord(
        region=region.label,
        found_by=region.found_by,
        score=round(region.score, DIGITS),
        status=region.status,
        remark=region.remark,
        area_share=round(float(region.mask.mean()), DIGITS),
        top=tuple(
            PhotoAnswer(category=guess.category, probability=round(guess.probability, DIGITS))
            for guess in prediction.top(top)
        ),
        pictures=pictures,
    )


def format_records(records: Iterator[PhotoRecord], kind: Format, *, top: int) -> Iterator[str]:
    """Yield lines of output, each as soon as its photo is done.

    Args:
        records: One record per photo.
        kind: `json` is a list of objects, closed even if an error ends the work; `csv` has one line per food, or one
            for a refused photo.
        top: Number of categories per food, for the columns of the CSV.
    """
    match kind:
        case "text":
            yield from (printable(line) for record in records for line in _text(record))
        case "json":
            yield from _json(records)
        case "csv":
            yield from _csv(records, top)


def _text(record: PhotoRecord) -> Iterator[str]:
    if record.error is not None:
        return
    for food in record.foods:
        facts = f"{food.area_share:.1%} of the photo, mask by {food.found_by}, score {food.score:.2f}"
        yield f"{record.photo}: {food.region} ({'; '.join(filter(None, (facts, food.remark)))})"
        yield from (f"  {answer.probability:7.2%}  {answer.category}" for answer in food.top)
        if food.pictures:
            yield f"  pictures: {' '.join(food.pictures.values())}"
    if not record.foods:
        yield f"{record.photo}: no food found"


def _json(records: Iterator[PhotoRecord]) -> Iterator[str]:
    before = "["
    try:
        for record in records:
            yield before + printable_json(record.model_dump(mode="json"))
            before = ","
    except (Exception, KeyboardInterrupt):
        yield "[]" if before == "[" else "]"  # the records so far stay readable
        raise
    yield "[]" if before == "[" else "]"


COLUMNS = ("photo", "region", "found_by", "score", "status", "remark", "area_share")


def _csv(records: Iterator[PhotoRecord], top: int) -> Iterator[str]:
    ranks = [f"{name}_{rank}" for rank in range(1, top + 1) for name in ("category", "probability")]
    yield _line([*COLUMNS, *ranks, "run", "temperature", "error"])
    for record in records:
        ending: list[str | float] = [record.run, record.temperature, record.error or ""]
        for food in record.foods:
            guesses: list[str | float] = []
            for answer in food.top:
                guesses += [answer.category, answer.probability]
            facts: list[str | float] = [food.region, food.found_by, food.score, food.status, food.remark]
            yield _line([record.photo, *facts, food.area_share, *guesses, *[""] * (2 * top - len(guesses)), *ending])
        if not record.foods:
            yield _line([record.photo, *[""] * (len(COLUMNS) - 1 + 2 * top), *ending])


def _line(cells: Sequence[str | float]) -> str:
    buffer = io.StringIO()
    shown = (printable(cell) if isinstance(cell, str) else cell for cell in cells)
    csv.writer(buffer, lineterminator="").writerow(map(spreadsheet, shown))
    return buffer.getvalue()
