"""Answers as text, JSON and CSV."""

import csv
import io
import json
from collections.abc import Iterator

from pipeline.inference.formats import FoodRecord, Format, PhotoAnswer, PhotoRecord, format_records

FOOD = FoodRecord(
    region="box 1,2,3,4",
    found_by="grabcut",
    score=0.5,
    status="ok",
    remark="",
    area_share=0.25,
    top=(PhotoAnswer(category='a "b", c', probability=0.75), PhotoAnswer(category="d", probability=0.25)),
    known=None,
    pictures={"overlay": "out/x-1-overlay.png", "roi": "out/x-1-roi.png"},
)
RECORDS = (
    PhotoRecord(photo="x.jpg", run="tiny+none-all", temperature=1.5, threshold=0.5, foods=(FOOD, FOOD), error=None),
    PhotoRecord(
        photo="y, z.jpg", run="tiny+none-all", temperature=1.5, threshold=0.5, foods=(), error='y, z.jpg: "damaged"'
    ),
)


def listing(kind: Format, records: tuple[PhotoRecord, ...] = RECORDS) -> str:
    """Return a whole listing."""
    return "\n".join(format_records(iter(records), kind, top=3))


def test_json_is_one_list_that_reads_back() -> None:
    """Empty, one or several photos."""
    for number in range(3):
        parsed = [PhotoRecord.model_validate_json(json.dumps(entry)) for entry in json.loads(listing("json"))]
        assert parsed == list(RECORDS)
        assert len(json.loads(listing("json", RECORDS[:number]))) == number


def test_csv_has_a_line_for_every_food_and_every_refused_photo() -> None:
    """Quotes and commas survive; columns of missing ranks are empty."""
    rows = list(csv.DictReader(io.StringIO(listing("csv"))))
    assert [row["photo"] for row in rows] == ["x.jpg", "x.jpg", "y, z.jpg"]
    assert (rows[0]["category_1"], rows[0]["probability_2"], rows[0]["category_3"]) == ('a "b", c', "0.25", "")
    assert (rows[2]["error"], rows[2]["region"], rows[0]["error"]) == ('y, z.jpg: "damaged"', "", "")
    assert all(None not in row and None not in row.values() for row in rows)


def test_text_leaves_refusals_to_the_error_output() -> None:
    """And says where pictures are, and what stands in for a mask."""
    text = listing("text")
    assert "y, z.jpg" not in text
    assert text.count("75.00%") == 2
    assert "pictures: out/x-1-overlay.png out/x-1-roi.png" in text
    empty = FOOD.model_copy(update={"status": "empty", "remark": "grabcut found nothing there"})
    text = listing("text", (RECORDS[0].model_copy(update={"foods": (empty,)}),))
    assert "score 0.50; grabcut found nothing there)" in text
    unknown = FOOD.model_copy(update={"known": False})
    text = listing("text", (RECORDS[0].model_copy(update={"foods": (unknown,)}),))
    assert 'not a known food; nearest: a "b", c, d' in text
    assert "%  " not in text
    assert "no food found" in listing("text", (RECORDS[0].model_copy(update={"foods": ()}),))


def test_every_answer_of_a_run_on_drawings_says_so() -> None:
    """As text with each food, in the other forms by a field; its data set and test score go with them."""
    about = {"trained_on": "demo", "drawings_only": True, "test_top1": 0.75, "test_top1_interval": (0.5, 1.0)}
    drawn = tuple(record.model_copy(update=about) for record in RECORDS)
    assert listing("text", drawn).count("caution: this run knows drawings only") == 2
    assert "caution" not in listing("text")
    assert [record["drawings_only"] for record in json.loads(listing("json", drawn))] == [True, True]
    (row, *_) = csv.DictReader(io.StringIO(listing("csv", drawn)))
    told = ("trained_on", "drawings_only", "test_top1", "test_top1_low", "test_top1_high")
    assert tuple(row[name] for name in told) == ("demo", "True", "0.75", "0.5", "1.0")


def test_lines_come_photo_by_photo() -> None:
    """Nothing waits for the last photo."""
    seen = []

    def records() -> Iterator[PhotoRecord]:
        for record in RECORDS:
            seen.append(record.photo)
            yield record

    lines = format_records(records(), "csv", top=1)
    next(lines)
    next(lines)
    assert seen == ["x.jpg"]
