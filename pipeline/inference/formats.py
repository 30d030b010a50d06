"""Predictions as records of photos, foods and categories, and as text, JSON or CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from pipeline.evaluation.rejection import UNKNOWN, Rejection
from pipeline.inference.prediction import DRAWINGS_ONLY, Prediction
from pipeline.inference.regions import Region
from pipeline.params.base import Section
from pipeline.runtime.errors import printable
from pipeline.runtime.escaping import printable_json, spreadsheet

Format: TypeAlias = Literal["text", "json", "csv"]
DIGITS = 6


class PhotoAnswer(Section):
    """One category with its probability."""

    category: str
    probability: float
    """In [0, 1]."""


class FoodRecord(Section):
    """Prediction of one region of a photo; the first fields are those of `Region`."""

    region: str
    found_by: str
    score: float
    status: str
    remark: str
    area_share: float
    """Share of the photo that the region covers, in [0, 1]."""
    top: tuple[PhotoAnswer, ...]
    """Best first."""
    known: bool | None
    """Whether the first one's probability reaches the threshold of `PhotoRecord`; null if there is none."""
    pictures: dict[str, str]
    """Path by kind of picture; empty if none were requested."""


class PhotoRecord(Section):
    """One photo."""

    photo: str
    """Path or URL as given."""
    run: str
    temperature: float
    """Calibration: the logits are divided by this."""
    threshold: float | None
    """Probability below which a food is not named, from the validation split; null if none could be chosen."""
    trained_on: str | None = None
    """Data set of the run; null where its record does not say."""
    drawings_only: bool = False
    """Whether that is the demo, so that answers on photos mean nothing."""
    test_top1: float | None = None
    """Share in [0, 1] of right answers on the test split; null if the run was not evaluated."""
    test_top1_interval: tuple[float, float] | None = None
    """Its 95 % interval."""
    foods: tuple[FoodRecord, ...]
    """In the order requested or found; empty if the photo was refused."""
    error: str | None
    """Why the photo was refused; null if it was not."""


def food_record(
    region: Region, prediction: Prediction, rejection: Rejection | None, *, top: int, pictures: dict[str, str]
) -> FoodRecord:
    """Return the record of one region with its `top` most probable categories and the paths of its pictures."""
    guesses = prediction.top(top)
    return FoodRecord(
        region=region.label,
        found_by=region.found_by,
        score=round(region.score, DIGITS),
        status=region.status,
        remark=region.remark,
        area_share=round(float(region.mask.mean()), DIGITS),
        top=tuple(
            PhotoAnswer(category=guess.category, probability=round(guess.probability, DIGITS)) for guess in guesses
        ),
        known=rejection.accepts(guesses[0].probability) if rejection else None,
        pictures=pictures,
    )


def format_records(records: Iterator[PhotoRecord], kind: Format, *, top: int) -> Iterator[str]:
    """Yield lines of output, each as soon as its photo is done.

    `json` is a list of objects, closed even if an error ends the work; `csv` has one line per food, with columns for
    `top` categories, or one for a refused photo.
    """
    match kind:
        case "text":
            yield from map(printable, _text(records))
        case "json":
            yield from _json(records)
        case "csv":
            yield from _csv(records, top)


def _text(records: Iterator[PhotoRecord]) -> Iterator[str]:
    for record in records:
        for food in record.foods:
            facts = f"{food.area_share:.1%} of the photo, mask by {food.found_by}, score {food.score:.2f}"
            yield f"{record.photo}: {food.region} ({'; '.join(filter(None, (facts, food.remark)))})"
            if food.known is False:
                yield f"  {UNKNOWN}; nearest: {', '.join(answer.category for answer in food.top)}"
            else:
                yield from (f"  {answer.probability:7.2%}  {answer.category}" for answer in food.top)
            if record.drawings_only:
                yield f"  caution: {DRAWINGS_ONLY}"
            if food.pictures:
                yield f"  pictures: {' '.join(food.pictures.values())}"
        if not record.foods and record.error is None:
            yield f"{record.photo}: no food found"


def _json(records: Iterator[PhotoRecord]) -> Iterator[str]:
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


def _csv(records: Iterator[PhotoRecord], top: int) -> Iterator[str]:
    ranks = [f"{name}_{rank}" for rank in range(1, top + 1) for name in ("category", "probability")]
    yield _line([*COLUMNS, *ranks, *RUN_COLUMNS, "test_top1_low", "test_top1_high", "error"])
    for record in records:
        about = [getattr(record, name) for name in RUN_COLUMNS]
        ending = [*about, *(record.test_top1_interval or ("", "")), record.error]
        for food in record.foods:
            facts = [getattr(food, name) for name in COLUMNS[1:]]
            guesses = [cell for answer in food.top for cell in (answer.category, answer.probability)]
            yield _line([record.photo, *facts, *guesses, *[""] * (2 * top - len(guesses)), *ending])
        if not record.foods:
            yield _line([record.photo, *[""] * (len(COLUMNS) - 1 + 2 * top), *ending])


def _line(cells: Sequence[str | float | bool | None]) -> str:
    buffer = io.StringIO()
    shown = (printable(cell) if isinstance(cell, str) else "" if cell is None else cell for cell in cells)
    csv.writer(buffer, lineterminator="").writerow(map(spreadsheet, shown))
    return buffer.getvalue()
