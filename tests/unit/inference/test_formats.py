"""Answers as text, JSON, CSV and COCO's JSON."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO

from pipeline.datasets.coco import read_coco
from pipeline.datasets.objects import encode_rle, mask_of
from pipeline.inference.formats import FoodRecord, Format, PhotoAnswer, PhotoRecord, format_records

CLASSES = ("d", 'a "b", c')
MASK = np.zeros((4, 4), np.bool_)
MASK[:2, 1:3] = True
FOOD = FoodRecord(
    region="box 1,2,3,4",
    found_by="grabcut",
    score=0.5,
    status="ok",
    remark="",
    area_share=0.25,
    box=(1, 0, 2, 1),
    mask_rle=encode_rle(MASK).decode(),
    top=(PhotoAnswer(category='a "b", c', probability=0.75), PhotoAnswer(category="d", probability=0.25)),
    known=None,
    pictures={"overlay": "out/x-1-overlay.png", "roi": "out/x-1-roi.png"},
)
RECORDS = (
    PhotoRecord(
        photo="x.jpg",
        run="tiny+none-all",
        temperature=1.5,
        threshold=0.5,
        size=(4, 4),
        foods=(FOOD, FOOD),
        picture=None,
        error=None,
    ),
    PhotoRecord(
        photo="y, z.jpg",
        run="tiny+none-all",
        temperature=1.5,
        threshold=0.5,
        size=None,
        foods=(),
        picture=None,
        error='y, z.jpg: "damaged"',
    ),
)


def listing(kind: Format, records: tuple[PhotoRecord, ...] = RECORDS) -> str:
    """Return a whole listing."""
    return "\n".join(format_records(records, kind, top=3, class_names=CLASSES))


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
    assert [rows[0][name] for name in ("known", "x0", "y0", "x1", "y1", "threshold")] == ["", "1", "0", "2", "1", "0.5"]
    assert (rows[2]["error"], rows[2]["region"], rows[0]["error"]) == ('y, z.jpg: "damaged"', "", "")
    assert all(None not in row and None not in row.values() for row in rows)


def test_coco_tools_read_the_objects(tmp_path: Path) -> None:
    """Every mask pixel by pixel, with its category; a food that is not named is of the last category."""
    unknown = FOOD.model_copy(update={"known": False})
    records = (*RECORDS, RECORDS[0].model_copy(update={"photo": "z.jpg", "foods": (unknown,)}))
    path = tmp_path / "coco.json"
    path.write_text(listing("coco", records))
    tool = COCO(path)
    assert [(each["id"], each["file_name"]) for each in tool.loadImgs(tool.getImgIds())] == [(1, "x.jpg"), (2, "z.jpg")]
    assert {each["id"]: each["name"] for each in tool.loadCats(tool.getCatIds())} == {
        1: "d",
        2: 'a "b", c',
        3: "not a known food",
    }
    objects = tool.loadAnns(tool.getAnnIds())
    assert [(each["image_id"], each["category_id"], each["score"]) for each in objects] == [
        (1, 2, 0.75),
        (1, 2, 0.75),
        (2, 3, 0.0),
    ]
    for each in objects:
        np.testing.assert_array_equal(tool.annToMask(each), MASK)
        assert (each["bbox"], each["area"]) == ([1, 0, 2, 2], 4)


def test_a_data_set_can_be_made_of_the_answers(tmp_path: Path) -> None:
    """Our own reader takes them beside the photos, for instance after a correction in an annotation program."""
    (tmp_path / "x.jpg").touch()
    (tmp_path / "coco.json").write_text(listing("coco", RECORDS[:1]))
    found = read_coco(tmp_path, ["coco.json", "x.jpg"])
    (photo,) = found.photos
    assert [found.names[each.category_id] for each in photo.objects] == ['a "b", c'] * 2
    np.testing.assert_array_equal(mask_of(photo.objects, (4, 4)), MASK)


def test_text_leaves_refusals_to_the_error_output() -> None:
    """And says where pictures are, and what stands in for a mask."""
    text = listing("text")
    assert "y, z.jpg" not in text
    assert text.count("75.00 %") == 2
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

    lines = format_records(records(), "csv", top=1, class_names=CLASSES)
    next(lines)
    next(lines)
    assert seen == ["x.jpg"]
