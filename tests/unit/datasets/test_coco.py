"""A COCO data set becomes samples like any other; their masks are its objects."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from pipeline.acquisition.archive import use_native_decryption
from pipeline.datasets.problems import ProblemKind
from pipeline.imaging.decode import read_label_map
from pipeline.runtime.errors import DatasetError
from tests.coco_folder import NAMES, SIZE, CocoFolder, box_mask, indexed, masks_of, polygon, rle
from tests.raw_folder import RawFolder, labels_of, noise, save

TRAIN, VAL, TEST = "train/_annotations.coco.json", "valid/_annotations.coco.json", "test/_annotations.coco.json"


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CocoFolder:
    """Make an empty data set."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return CocoFolder(tmp_path / "raw")


@pytest.fixture
def meals(coco: CocoFolder) -> CocoFolder:
    """Make three photos: overlapping bread and rice in all forms of a mask, a crowd, and a box without mask."""
    bread, rice = box_mask(2, 3, 10, 8), box_mask(8, 5, 12, 9)
    coco.add(TRAIN, "a.png", (1, polygon(2, 3, 10, 8)), (2, rle(rice, compressed=True)), (1, polygon(20, 1, 5, 5)))
    coco.add(TRAIN, "b.png", (7, rle(bread, compressed=False)))
    coco.add(TRAIN, "b2.png", (7, rle(bread, compressed=True)), iscrowd=1)
    coco.add(VAL, "c.png", (1, rle(bread, compressed=True)), (2, []), (2, polygon(0, 0, 30, 20)))
    coco.write()
    return coco


def test_a_category_in_a_photo_is_a_sample_and_overlaps_stay(meals: CocoFolder) -> None:
    """Polygons, compressed and uncompressed RLE give the same pixels; both of two objects have those they share."""
    samples, summary = indexed(meals.path)
    assert [sample.sample_id for sample in samples] == [
        *("train/a/1", "train/a/2", "train/b/7"),
        *("test/c/1", "test/c/2"),
    ]
    masks = masks_of(meals.path)
    bread, rice = box_mask(2, 3, 10, 8), box_mask(8, 5, 12, 9)
    expected = {
        "train/a/1": bread | box_mask(20, 1, 5, 5), "train/a/2": rice, "train/b/7": bread,
        "test/c/1": bread, "test/c/2": np.ones(SIZE, np.bool_),
    }  # fmt: skip
    assert masks.keys() == expected.keys()
    for name, mask in expected.items():
        np.testing.assert_array_equal(masks[name], mask, err_msg=name)
    assert [(sample.mask_area, sample.components) for sample in samples[:2]] == [(105, 2), (108, 1)]
    counts = {kind: group.count for kind, group in summary.problems.items()}
    assert counts == {"crowd": 1, "object_without_mask": 1, "photo_without_objects": 1}
    left_out = "Left out for problems: 1 crowd, 1 object_without_mask, 1 photo_without_objects."
    assert left_out in summary.data_card


def test_masks_are_those_of_pycocotools(coco: CocoFolder) -> None:
    """Slanted polygons with fractions and several parts, read by COCO's own reader."""
    parts = [[1.5, 2.25, 20.75, 4, 11, 17.5], [22, 3, 28.9, 6, 25, 12.2, 21, 9]]
    coco.add(TRAIN, "a.png", (1, parts), (2, parts[1:]))
    coco.add(VAL, "b.png", (1, parts[:1]))
    indexed(coco.write())
    masks, theirs = masks_of(coco.path), COCO(coco.path / TRAIN)
    for number, name in ((1, "train/a/1"), (2, "train/a/2")):
        np.testing.assert_array_equal(masks[name], theirs.annToMask(theirs.anns[number]).astype(np.bool_))


def test_each_object_may_be_a_sample(meals: CocoFolder) -> None:
    """`index.unit: object`; ids end with the number of the annotation."""
    samples, _ = indexed(meals.path, unit="object")
    assert [sample.sample_id for sample in samples] == [
        *("train/a/1-1", "train/a/1-3", "train/a/2-2", "train/b/7-4"),
        *("test/c/1-1", "test/c/2-3"),
    ]
    np.testing.assert_array_equal(masks_of(meals.path)["train/a/1-3"], box_mask(20, 1, 5, 5))


@pytest.mark.parametrize("ids", [(2, 2), (2, None), ("x", 2), (True, 1)])
def test_objects_whose_ids_are_not_unique_are_numbered_in_order(coco: CocoFolder, ids: tuple[object, ...]) -> None:
    """No two objects of a photo become one sample, whatever their annotations are called."""
    for file in (TRAIN, VAL):
        coco.add(file, "a.png", (1, polygon(1, 1, 4, 4)), (1, polygon(20, 1, 4, 4)))
        for record, number in zip(coco.files[file]["annotations"], ids, strict=True):
            record["id"] = number
    samples, _ = indexed(coco.write(), unit="object")
    assert [sample.sample_id for sample in samples if sample.split == "train"] == ["train/a/1-1", "train/a/1-2"]


def test_label_maps_have_no_objects(tmp_path: Path) -> None:
    """Connected parts of a label map are no objects."""
    raw = RawFolder(tmp_path / "raw")
    raw.add("train", "a", labels_of(1))
    with pytest.raises(DatasetError, match="label maps do not tell objects .* set index.unit to category"):
        indexed(raw.path, unit="object")


def test_ids_may_be_any_300_whole_numbers(coco: CocoFolder) -> None:
    """0, negative and sparse ids are numbered in ascending order; a name of another category's parent alone is none."""
    coco.names = {5 * number - 5: f"food {number}" for number in range(300)} | {2**31 - 1: "last"}
    for number, category in enumerate(coco.names):
        coco.add((TRAIN, VAL)[number % 2], f"{number}.png", (category, polygon(number % 20, 1, 4, 4)), size=(9, 25))
    samples, summary = indexed(coco.write())
    assert {sample.category_id: sample.target for sample in samples} == {
        category: target for target, category in enumerate(sorted(coco.names))
    }
    assert [each.id for each in summary.categories] == sorted(coco.names)
    assert len(summary.categories) == 301


def test_the_parent_of_all_categories_is_no_category(coco: CocoFolder) -> None:
    """Roboflow writes one of id 0 without any object."""
    coco.add(TRAIN, "a.png", (1, polygon(0, 0, 5, 5)))
    coco.add(VAL, "b.png", (1, polygon(0, 0, 5, 5)))
    coco.write()
    for file in (TRAIN, VAL):
        content = json.loads((coco.path / file).read_text())
        parent = {"id": 0, "name": "Food", "supercategory": "none"}
        content["categories"] = [parent, *(each | {"supercategory": "food"} for each in content["categories"])]
        (coco.path / file).write_text(json.dumps(content))
    assert [each.name for each in indexed(coco.path)[1].categories] == list(NAMES.values())


@pytest.mark.parametrize(
    ("files", "test", "expected", "said"),
    [
        ((TRAIN, VAL), "auto", ["train/t", "test/v"], "val is the test split."),
        ((TRAIN, TEST), "auto", ["train/t", "test/t"], "test is the test split."),
        (
            (TRAIN, VAL, TEST),
            "auto",
            ["train/t", "validation/v", "test/t"],
            "test is the test split, val the validation",
        ),
        ((TRAIN, VAL, TEST), "test", ["train/t", "validation/v", "test/t"], "index.test: val would test on it"),
        ((TRAIN, VAL, TEST), "val", ["train/t", "test/v"], "val is the test split, test is not used (index.test: test"),
    ],
)
def test_each_split_has_its_part_and_the_data_card_says_which(
    coco: CocoFolder, files: tuple[str, ...], test: str, expected: list[str], said: str
) -> None:
    """A split `val` is tested on where there is no other one, and else validates."""
    for file in files:
        coco.add(file, f"{file[0]}.png", (1, polygon(0, 0, 5, 5)))
    samples, summary = indexed(coco.write(), test=test, validation=0.5)
    assert [sample.photo_id for sample in samples] == expected
    assert [sample.split for sample in samples] == [name.partition("/")[0] for name in expected]
    assert any(said in each for each in summary.data_card)


def test_a_test_split_that_is_not_there_is_refused(coco: CocoFolder) -> None:
    """The message names those that are."""
    coco.add(TRAIN, "a.png", (1, polygon(0, 0, 5, 5)))
    with pytest.raises(DatasetError, match=r"index.test is val, but the splits are train \(1 photo\)"):
        indexed(coco.write(), test="val")


def test_without_a_split_one_is_drawn_by_photo(coco: CocoFolder) -> None:
    """Seeded and said; every tested category is trained on, and augmented copies of a photo stay together."""
    for number in range(40):
        coco.add("result.json", f"images/{number // 2}_jpg.rf.{number}.png", (1 + number // 2 % 2, polygon(0, 0, 5, 5)))
    coco.add("result.json", "images/rare.png", (7, polygon(0, 0, 5, 5)), (1, polygon(3, 3, 5, 5)))
    samples, summary = indexed(coco.write())
    test = {sample.photo_id.removeprefix("test/") for sample in samples if sample.split == "test"}
    assert len(test) == 12, "0.3 of 20 photos, two copies each"
    assert {name.partition("_jpg")[0] for name in test}.isdisjoint(
        sample.photo_id.removeprefix("train/").partition("_jpg")[0] for sample in samples if sample.split == "train"
    )
    assert summary.only_in_test == ()
    assert any("12 of 41 photos were drawn" in sentence for sentence in summary.data_card)
    again, other, more = (
        {s.photo_id for s in indexed(coco.path, **changed)[0] if s.split == "test"}
        for changed in ({}, {"seed": 1}, {"test_share": 0.6})
    )
    assert again == {f"test/{name}" for name in test} != other
    assert len(more) == 24
    originals = {split: set[str]() for split in ("train", "validation", "test")}
    for sample in indexed(coco.path, validation=0.4)[0]:
        originals[sample.split].add(sample.photo_id.partition("/")[2].partition("_jpg")[0])
    assert sum(map(len, originals.values())) == len(set[str]().union(*originals.values())) == 21
    assert originals["validation"]


def test_photos_are_found_where_they_lie(coco: CocoFolder) -> None:
    """COCO 2017 has folders of splits; others write paths of their own machine; equal names are told apart."""
    for split in ("train", "val"):
        coco.add(f"annotations/instances_{split}2017.json", f"../{split}2017/1.png", (1, polygon(0, 0, 5, 5)))
        coco.add(f"annotations/instances_{split}2017.json", f"../{split}2017/sub/2.png", (1, polygon(0, 0, 5, 5)))
    coco.add("annotations/captions_train2017.json", "../train2017/1.png")
    for records in coco.files.values():
        for image, name in zip(records["images"], ("1.png", "C:\\data\\sub\\2.png"), strict=False):
            image["file_name"] = name
    samples, _ = indexed(coco.write())
    assert {sample.sample_id: sample.photo_path for sample in samples} == {
        f"{split}/{stem.rpartition('/')[2]}/1": f"{folder}2017/{stem}.png"
        for split, folder in (("train", "train"), ("test", "val"))
        for stem in ("1", "sub/2")
    }


def turned(coco: CocoFolder, orientation: int) -> Path:
    """Make a photo with an EXIF rotation, annotated as it is stored; return the COCO file."""
    coco.add(TRAIN, "a.jpg", (1, polygon(2, 3, 10, 8)))
    coco.add(VAL, "b.png", (1, polygon(2, 3, 10, 8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise(*SIZE, seed=0)).save(coco.path / "train/a.jpg", exif=exif)
    return coco.write()


@pytest.mark.parametrize(("orientation", "turns"), [(6, -1), (8, 1)])
def test_an_annotation_of_the_photo_as_stored_is_turned_along(coco: CocoFolder, orientation: int, turns: int) -> None:
    """Width and height tell; the data card says so."""
    samples, summary = indexed(turned(coco, orientation))
    assert (samples[0].photo_height, samples[0].photo_width) == SIZE[::-1]
    expected = np.rot90(box_mask(2, 3, 10, 8), turns)
    np.testing.assert_array_equal(masks_of(coco.path)["train/a/1"], expected)
    assert (samples[0].x0, samples[0].y0) == (np.flatnonzero(expected.any(0))[0], np.flatnonzero(expected.any(1))[0])
    assert summary.problems["exif_ignored"].count == 1
    assert any("without the EXIF rotation" in sentence for sentence in summary.data_card)


def test_an_annotation_of_another_size_is_refused(coco: CocoFolder) -> None:
    """As a label map is."""
    coco.add(TRAIN, "a.png", (1, polygon(2, 3, 10, 8)))["height"] = 10**7
    with pytest.raises(DatasetError, match="is for 30 x 10000000 pixels, but the upright photo has 30 x 20"):
        indexed(coco.write())


Change = Callable[[dict[str, Any]], Any]
MALFORMED: dict[str, tuple[Change, str]] = {
    "image lacking": (lambda c: c["annotations"][0].update(image_id=9), "annotation 1 is of the image 9"),
    "category lacking": (lambda c: c["annotations"][0].update(category_id=9), "has the category 9, which `categories`"),
    "no id": (lambda c: c["images"][0].pop("id"), "not in COCO's format: a record lacks 'id'"),
    "no lists": (lambda c: c.pop("categories"), "lacks one of the lists images, annotations, categories"),
    "records are text": (lambda c: c.update(annotations=["x"]), "not in COCO's format"),
    "name twice": (lambda c: c["categories"][1].update(name=" BREAD"), "give every category one id and one name"),
    "id of text": (lambda c: c["categories"][0].update(id="1"), "has the id '1', which is no whole number"),
    "odd polygon": (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4, 5]]), "which are no pairs"),
    "polygon of text": (lambda c: c["annotations"][0].update(segmentation=[["a"] * 6]), "annotation 1: could not"),
    "flat polygon": (lambda c: c["annotations"][0].update(segmentation=[1, 2, 3, 4, 5, 6]), "no list of polygons"),
    "polygon elsewhere": (lambda c: c["annotations"][0].update(segmentation=polygon(1e9, 0, 5, 5)), "lies outside"),
    "endless polygon": (
        lambda c: c["annotations"][0].update(segmentation=[[0, 0, 29, 19] * 9999]), "too long an outline"
    ),
    "RLE of another size": (
        lambda c: c["annotations"][0].update(segmentation={"size": [9, 9], "counts": [81]}), r"its RLE is for \[9, 9\]"
    ),
    "short RLE": (
        lambda c: c["annotations"][0].update(segmentation={"size": [20, 30], "counts": [81]}), "not add up to 20 x 30"
    ),
    "long RLE": (
        lambda c: c["annotations"][0].update(segmentation={"size": [20, 30], "counts": "0" * 9 + "oooooo?" * 9}),
        "annotation 1: ",
    ),
    "RLE without counts": (
        lambda c: c["annotations"][0].update(segmentation={"size": [20, 30]}), "annotation 1: 'counts'"
    ),
    "photo absent": (lambda c: c["images"][0].update(file_name="z.png"), "names z.png, which is not there"),
    "photo twice": (lambda c: c["images"].append(c["images"][0] | {"id": 5}), "lists train/a.png, which"),
}  # fmt: skip


@pytest.mark.parametrize("change", MALFORMED)
def test_a_malformed_file_is_refused_in_one_line(coco: CocoFolder, change: str) -> None:
    """The line names the file and the annotation."""
    coco.add(TRAIN, "a.png", (1, polygon(0, 0, 5, 5)))
    coco.add(VAL, "b.png", (1, polygon(0, 0, 5, 5)))
    content = json.loads((coco.write() / TRAIN).read_text())
    MALFORMED[change][0](content)
    (coco.path / TRAIN).write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=MALFORMED[change][1]) as caught:
        indexed(coco.path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"images": NaN}', "\xff"])
def test_what_is_no_json_is_refused(coco: CocoFolder, text: str) -> None:
    """Cut, nested without end, no numbers, not UTF-8."""
    coco.add(TRAIN, "a.png", (1, polygon(0, 0, 5, 5)))
    (coco.write() / TRAIN).write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match="no readable JSON"):
        indexed(coco.path)


def test_unusable_objects_are_left_out_if_the_user_says_so(coco: CocoFolder) -> None:
    """Under `skip`, the photo keeps its other objects."""
    coco.add(TRAIN, "a.png", (1, polygon(1e9, 0, 5, 5)), (2, polygon(0, 0, 5, 5)), (9, polygon(0, 0, 5, 5)))
    coco.add(VAL, "b.png", (1, polygon(0.2, 0.2, 0.1, 0.1)), (2, polygon(0, 0, 5, 5)))
    samples, summary = indexed(coco.write(), on_error="skip")
    assert [sample.sample_id for sample in samples] == ["train/a/2", "test/b/2"]
    assert summary.problems[ProblemKind.OBJECT_UNUSABLE].count == 2
    assert summary.problems[ProblemKind.OBJECT_WITHOUT_MASK].count == 1, "too small for a pixel"


class TestConvertedFoodSeg103:
    """Part of the real data set, once in its own layout and once as COCO."""

    PHOTOS = 24

    @pytest.fixture
    def folders(self, shared: Path, tmp_path: Path) -> tuple[Path, Path]:
        """Return both, of the same photos."""
        official = tmp_path / "official/raw"
        with zipfile.ZipFile(shared / "data/FoodSeg103-mini.zip") as archive:
            use_native_decryption()
            names = archive.namelist()
            archive.setpassword(b"LARCdataset9947")
            top = next(name for name in names if name.endswith("category_id.txt")).removesuffix("category_id.txt")
            wanted = [f"{top}category_id.txt"]
            for split in ("train", "test"):
                stems = archive.read(f"{top}ImageSets/{split}.txt").decode().split()[: self.PHOTOS]
                (official / "ImageSets").mkdir(parents=True, exist_ok=True)
                (official / f"ImageSets/{split}.txt").write_text("\n".join(stems))
                stems = [stem.partition(".")[0] for stem in stems]
                wanted += [name for name in names if f"_dir/{split}/" in name and Path(name).stem in stems]
            for name in wanted:
                path = official / name.removeprefix(top)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
        coco = tmp_path / "coco/raw"
        convert(official, coco)
        return official, coco

    def test_samples_and_masks_are_the_same(
        self, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """All fields but those that say where the annotation lies, and all pixels."""
        monkeypatch.setenv("DVC_ROOT", str(tmp_path))
        rows, masks = [], []
        for raw in folders:
            samples, _ = indexed(raw)
            assert len({sample.photo_id for sample in samples}) == 2 * self.PHOTOS
            other = {"photo_path", "label_map_path", "mask_value", "label_map_sha256", "rle"}
            rows.append([{k: getattr(s, k) for k in s.__slots__ if k not in other} for s in samples])
            masks.append(masks_of(raw))
        assert rows[0] == rows[1]
        assert masks[0].keys() == masks[1].keys()
        for name, mask in masks[0].items():
            np.testing.assert_array_equal(masks[1][name], mask, err_msg=name)


def convert(official: Path, folder: Path) -> None:
    """Write a data set of label maps as COCO."""
    names = [line.split(maxsplit=1) for line in (official / "category_id.txt").read_text().splitlines()]
    coco = CocoFolder(folder, {int(number): name for number, name in names if number != "0"})
    for split, file in (("train", TRAIN), ("test", TEST)):
        for label_map in sorted((official / "Images/ann_dir" / split).iterdir()):
            ids = read_label_map(label_map)
            found = [
                (value, rle(ids == value, compressed=value % 2 == 0)) for value in np.unique(ids).tolist() if value
            ]
            name = f"{label_map.stem}.jpg"
            coco.add(file, name, *found, size=(ids.shape[0], ids.shape[1]))
            (folder / split / name).write_bytes((official / "Images/img_dir" / split / name).read_bytes())
    coco.write()


def test_a_label_map_of_the_photo_as_stored_is_turned_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four photos of FoodSeg103 have a rotation and label maps that fit the turned photo; other tools ignore it."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    raw = RawFolder(tmp_path / "raw")
    labels = labels_of(1, 2, 7, height=8, width=10)
    labels[:, 0] = 0
    raw.add("test", "c", labels_of(1, 2))
    exif = Image.Exif()
    exif[0x0112] = 6
    for stem, label_map in (("upright", np.rot90(labels, -1)), ("stored", labels)):
        raw.add("train", stem, label_map)
        Image.fromarray(noise(8, 10, 1)).save(raw.photo("train", stem), "JPEG", exif=exif)
    samples, summary = indexed(raw.path)
    masks = masks_of(raw.path)
    for value in (1, 2, 7):
        np.testing.assert_array_equal(masks[f"train/stored/{value}"], np.rot90(labels == value, -1))
        np.testing.assert_array_equal(masks[f"train/upright/{value}"], np.rot90(labels == value, -1))
    both = [[(s.x0, s.y0, s.x1, s.y1) for s in samples if stem in s.photo_id] for stem in ("stored", "upright")]
    assert both[0] == both[1]
    (found,) = summary.problems["exif_ignored"].findings
    assert found.file == "Images/ann_dir/train/stored.png"


def test_label_maps_of_16_bits_have_ids_over_255(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And category_id.txt names them."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    raw = RawFolder(tmp_path / "raw", "0 background\n1 bread\n300 rice\n65535 sauce\n")
    for split in ("train", "test"):
        raw.add(split, split, labels_of(1))
        wide = labels_of(1, 2, 3).astype(np.uint16)
        wide[1:3] = np.array([[300], [65535]])
        Image.fromarray(wide).save(raw.label_map(split, split))
    samples, _ = indexed(raw.path)
    assert [sample.sample_id for sample in samples if sample.split == "test"] == [
        *("test/test/1", "test/test/300", "test/test/65535"),
    ]
    assert [int(mask.argmax()) // 10 for name, mask in masks_of(raw.path).items() if "test" in name] == [0, 1, 2]


def test_yolo_and_labelme_give_the_masks_of_coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same outlines in three formats: categories are numbered by each format's own rule."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    height, width = SIZE
    outline = [2, 3, 12, 3, 14.2, 11, 2, 11]
    points = [outline[place : place + 2] for place in range(0, 8, 2)]
    coco = CocoFolder(tmp_path / "coco/raw", {0: "rice", 1: "bread"})
    yolo, labelme = tmp_path / "yolo/raw", tmp_path / "labelme/raw"
    for folder in ("images", "labels"):
        for split in ("train", "val"):
            (yolo / folder / split).mkdir(parents=True)
    for file, split in ((TRAIN, "train"), (VAL, "val")):
        coco.add(file, "a.png", (1, [outline]), (0, polygon(20, 1, 5, 5)))
        (labelme / split).mkdir(parents=True)
        for path in (yolo / "images" / split, labelme / split):
            save(noise(height, width, 3), path / "a.png")
        bread = " ".join(f"{x / width:.9f} {y / height:.9f}" for x, y in points)
        rice = " ".join(f"{x / width:.9f} {y / height:.9f}" for x, y in ((20, 1), (25, 1), (25, 6), (20, 6)))
        (yolo / "labels" / split / "a.txt").write_text(f"1 {bread}\n\n0 {rice}\n0 0.5 0.5 0.1 0.1\n")
        shapes = [
            {"label": "Bread", "points": points, "shape_type": "polygon"},
            {"label": "rice", "points": [[20, 1], [25, 1], [25, 6], [20, 6]]},
            {"label": "rice", "points": [[20, 1], [25, 1]], "shape_type": "rectangle"},
        ]
        content = {
            "shapes": shapes,
            "imagePath": "a.png",
            "imageHeight": height,
            "imageWidth": width,
            "imageData": None,
        }
        (labelme / split / "a.json").write_text(json.dumps(content))
    (yolo / "data.yaml").write_text("train: images/train\nnames:\n  0: rice\n  1: bread\n")
    found = {}
    for raw in (coco.write(), yolo, labelme):
        samples, summary = indexed(raw)
        masks = masks_of(raw)
        found[raw.parent.name] = {(s.split, s.category): masks[s.sample_id].tolist() for s in samples}
        boxes = summary.problems.get(ProblemKind.OBJECT_WITHOUT_MASK)
        assert (boxes.count if boxes else 0) == (0 if raw == coco.path else 2)
    assert len(found["coco"]) == 4
    assert found["coco"] == found["yolo"] == found["labelme"]


@pytest.mark.parametrize("name", ["Data.YAML", "Classes.TXT"])
def test_names_of_yolo_are_found_in_any_case(tmp_path: Path, name: str) -> None:
    """Windows does not tell them apart."""
    for split in ("train", "val"):
        for folder in ("images", "labels"):
            (tmp_path / "raw" / folder / split).mkdir(parents=True)
        save(noise(*SIZE, 3), tmp_path / "raw/images" / split / "a.png")
        (tmp_path / "raw/labels" / split / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    (tmp_path / "raw" / name).write_text("names: [rice]\n" if name.endswith("YAML") else "rice\n")
    samples, _ = indexed(tmp_path / "raw")
    assert {(sample.split, sample.category) for sample in samples} == {("train", "rice"), ("test", "rice")}


@pytest.mark.parametrize("side", [20.0, [20], "20", True])
def test_a_size_of_labelme_that_is_no_number_of_pixels_is_refused_in_one_line(tmp_path: Path, side: object) -> None:
    """With the name of the file."""
    folder = tmp_path / "raw/train"
    folder.mkdir(parents=True)
    save(noise(*SIZE, 3), folder / "a.png")
    content = {"shapes": [], "imageHeight": side, "imageWidth": SIZE[1]}
    (folder / "a.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"train/a\.json: not in labelme's format .*no height or width"):
        indexed(tmp_path / "raw")
