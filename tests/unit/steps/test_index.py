"""Laws of stage `index`, and every fault with its policy."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.acquisition.archive import use_native_decryption
from pipeline.datasets.index import Sample, read_categories, read_samples
from pipeline.datasets.problems import ProblemKind
from pipeline.datasets.statistics import IndexSummary
from pipeline.params.model import ClassSetParams
from pipeline.params.stages import IndexParams
from pipeline.runtime.errors import DatasetError, MachineError
from pipeline.steps.index import build_index
from tests.raw_folder import RawFolder, labels_of, noise, save
from tests.skips import LINUX_ONLY

SKIP = IndexParams(on_error="skip", tiny_area=15)
FAIL = IndexParams(on_error="fail", tiny_area=15)


def indexed(
    raw: RawFolder, params: IndexParams = FAIL, *, name: str = "index", workers: int = 1
) -> tuple[list[Sample], IndexSummary]:
    """Run the stage beside the data set; return both of its files."""
    index = raw.path.parent / name
    build_index(params, raw=raw.path, index=index, workers=workers)
    assert sorted(path.name for path in index.iterdir()) == ["samples.parquet", "summary.json"]
    return list(read_samples(index / "samples.parquet")), IndexSummary.model_validate_json(
        (index / "summary.json").read_bytes()
    )


@pytest.fixture
def raw(tmp_path: Path) -> RawFolder:
    """Return a data set of three photos and six samples."""
    folder = RawFolder(tmp_path / "raw")
    folder.add("train", "b", labels_of(7, 1, 1), seed=1)
    folder.add("train", "a", labels_of(2, height=6, width=20), seed=2)
    folder.add("test", "c", labels_of(0, 1, 2, 7), seed=3)
    return folder


def test_there_is_one_row_of_every_category_in_every_photo(raw: RawFolder) -> None:
    """Sorted by split, photo and category id; background is no food."""
    samples, _ = indexed(raw)
    assert [sample.sample_id for sample in samples] == [
        *("train/a/2", "train/b/1", "train/b/7"),
        *("test/c/1", "test/c/2", "test/c/7"),
    ]
    assert [sample.target for sample in samples] == [1, 0, 2, 0, 1, 2]


KILLED = """
import os, sys
from pathlib import Path
from pipeline.params.stages import IndexParams
from pipeline.steps import index
index.DatasetStats.add_flags = lambda *_: os._exit(9)
index.build_index(IndexParams(on_error="fail", tiny_area=15), raw=Path("raw"), index=Path("index"), workers=1)
"""
"""A scan that ends without a word between its two passes."""


def test_what_a_killed_scan_left_is_gone_after_the_next(raw: RawFolder, root: Path) -> None:
    """DVC knows the two files only, so the folder is not emptied for the stage."""
    env = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=raw.path.parent, env=env, check=False)  # noqa: S603
    assert done.returncode == 9
    assert [path.is_dir() for path in (raw.path.parent / "index").iterdir()] == [True]
    assert len(indexed(raw)[0]) == 6


def test_a_row_says_all_about_its_mask(raw: RawFolder) -> None:
    """Size, place, flags and where to find it."""
    samples, _ = indexed(raw)
    sauce = samples[2]
    assert (sauce.photo_path, sauce.label_map_path) == ("Images/img_dir/train/b.png", "Images/ann_dir/train/b.png")
    assert (sauce.category, sauce.category_id, sauce.mask_value) == ("sauce", 7, 7)
    assert (sauce.photo_height, sauce.photo_width, sauce.mask_area, sauce.mask_share) == (8, 10, 10, 0.125)
    assert (sauce.x0, sauce.y0, sauce.x1, sauce.y1, sauce.components) == (0, 0, 9, 0, 1)
    assert sauce.flags == ("tiny", "touches_border")
    assert samples[1].flags == ("touches_border",)


def test_what_only_the_data_can_tell_of_class_sets_is_said_once_and_kept(
    raw: RawFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the terminal and in the data card, here and not in the seventeenth training."""
    index = raw.path.parent / "index"
    asked = {"no_drinks": ClassSetParams(exclude=("beer",), ambiguous=())}
    build_index(FAIL, raw=raw.path, index=index, workers=1, class_sets=asked)
    sentence = "Class set 'no_drinks' excludes 'beer', which is no category of this data set."
    assert IndexSummary.model_validate_json((index / "summary.json").read_bytes()).data_card[-1] == sentence
    assert capsys.readouterr().err.count(sentence) == 1


def test_validation_is_drawn_from_train_by_photo(tmp_path: Path) -> None:
    """Whole photos with all their samples under their own ids, between train and test; equal photos on one side."""
    raw = RawFolder(tmp_path / "raw")
    for number in range(40):
        raw.add("train", f"{number:02d}", labels_of(1 + number % 2, 7), seed=number % 30)
    raw.add("test", "c", labels_of(1, 2), seed=99)
    drawn = FAIL.model_copy(update={"validation": 0.2})
    samples, summary = indexed(raw, drawn)
    photos = {split: {s.photo_id for s in samples if s.split == split} for split in ("train", "validation", "test")}
    assert [sample.split for sample in samples] == sorted(
        (sample.split for sample in samples), key=["train", "validation", "test"].index
    )
    assert photos["train"].isdisjoint(photos["validation"])
    assert photos["train"] | photos["validation"] == {f"train/{number:02d}" for number in range(40)}
    assert all(sample.sample_id == f"{sample.photo_id}/{sample.category_id}" for sample in samples)
    contents = {split: {s.photo_sha256 for s in samples if s.split == split} for split in photos}
    assert contents["train"].isdisjoint(contents["validation"])
    assert len(contents["validation"]) == 6
    assert summary.splits["validation"].photos == len(photos["validation"])
    assert [count.validation for count in summary.categories] == [
        sum(s.split == "validation" and s.category == count.name for s in samples) for count in summary.categories
    ]
    again, _ = indexed(raw, drawn, name="again")
    assert again == samples
    assert "validation" not in indexed(raw, name="none")[1].splits


def test_losses_are_said_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A category without a train sample, and a photo that was left out: nobody opens a file to learn of it."""
    raw = RawFolder(tmp_path / "raw")
    for split, name, category in (("train", "a", 2), ("test", "b", 1), ("test", "c", 2)):
        raw.add(split, name, labels_of(category), seed=category)
    damaged = next((raw.path / "Images/img_dir/test").glob("c.*"))
    damaged.write_bytes(damaged.read_bytes()[:-30])
    indexed(raw, SKIP)
    said = capsys.readouterr().err
    assert "Tested but never trained on, so that every run misses them: " in said
    assert "Left out for photo_unreadable: 1, first Images/img_dir/test/c." in said


def test_a_mask_of_the_whole_photo_is_flagged(raw: RawFolder) -> None:
    """Its extra-ROI is empty."""
    raw.add("test", "d", np.full((8, 10), 1), seed=9)
    samples, _ = indexed(raw)
    assert samples[-1].flags == ("touches_border", "whole_photo")


def test_categories_travel_with_the_table(raw: RawFolder) -> None:
    """Folded, in target order, without background."""
    indexed(raw)
    categories = read_categories(raw.path.parent / "index/samples.parquet")
    assert [(c.id, c.name, c.target) for c in categories] == [(1, "bread", 0), (2, "rice", 1), (7, "sauce", 2)]


def test_bytes_do_not_depend_on_workers_or_the_order_of_lists(raw: RawFolder) -> None:
    """Both files, over more photos than one task holds, of which some are drawn for validation."""
    drawn = SKIP.model_copy(update={"validation": 0.2})
    for number in range(70):
        raw.add("train", f"n{number}", labels_of(1 + number % 2, 7), seed=number % 60)
    raw.list_stem("train", "absent")
    indexed(raw, drawn, name="one", workers=1)
    indexed(raw, drawn, name="two", workers=2)
    listing = raw.path / "ImageSets/train.txt"
    listing.write_text("\r\n".join(reversed(listing.read_text().splitlines())) + "\r\n")
    indexed(raw, drawn, name="reversed")
    for name in ("samples.parquet", "summary.json"):
        assert len({(raw.path.parent / run / name).read_bytes() for run in ("one", "two", "reversed")}) == 1


def test_equal_photos_are_flagged_and_paired(raw: RawFolder) -> None:
    """Within a split and across, with the word whether their label maps agree."""
    raw.add("train", "b2", labels_of(7, 1, 1), seed=1)
    raw.add("test", "b3", labels_of(2), seed=1)
    samples, summary = indexed(raw)
    flagged = {sample.photo_id for sample in samples if "duplicate_photo" in sample.flags}
    assert flagged == {"train/b", "train/b2", "test/b3"}
    assert all(("duplicate_across_splits" in s.flags) == ("duplicate_photo" in s.flags) for s in samples)
    assert summary.duplicates.model_dump(mode="json") == {
        "within_train": 1,
        "within_test": 0,
        "across_splits": 1,
        "disagreeing": 1,
        "pairs": [
            {"first": "train/b", "second": "train/b2", "across_splits": False, "annotations_agree": True},
            {"first": "train/b", "second": "test/b3", "across_splits": True, "annotations_agree": False},
        ],
    }


def test_equal_photos_of_one_split_are_not_across(raw: RawFolder) -> None:
    """The second flag warns of leakage alone."""
    raw.add("train", "b2", labels_of(1), seed=1)
    samples, _ = indexed(raw)
    assert {flag for sample in samples for flag in sample.flags} == {"tiny", "touches_border", "duplicate_photo"}


def test_extra_photos_join_with_masks_and_prompts(raw: RawFolder) -> None:
    """New categories follow the highest id; a known name keeps its own."""
    folder = raw.add_extra("Chili Paste", "train", "two words", labels_of(0, 200, 200), seed=5)
    raw.add_extra("Chili Paste", "train", "clicked", None, seed=6)
    raw.add_extra("sauce", "test", "s", labels_of(1), seed=7)
    (folder / "prompts.csv").write_text("photo,kind,x0,y0,x1,y1\nclicked,point,3,4,,\nclicked.png,box,1,2,9,7\n")
    samples, summary = indexed(raw)
    by_id = {sample.sample_id: sample for sample in samples}
    masked, clicked = by_id["train/chili_paste-two_words/8"], by_id["train/chili_paste-clicked/8"]
    assert (masked.category, masked.mask_value, masked.mask_area, masked.target) == ("chili paste", None, 20, 3)
    assert masked.label_map_path == "extra/Chili Paste/train/two words.mask.png"
    assert (clicked.label_map_path, clicked.mask_area, clicked.components, clicked.flags) == (None, 0, 0, ("prompted",))
    assert (clicked.x0, clicked.y0, clicked.x1, clicked.y1) == (1, 2, 9, 7)
    assert json.loads(str(clicked.prompts)) == [{"point": [3.0, 4.0]}, {"box": [1.0, 2.0, 9.0, 7.0]}]
    assert by_id["test/sauce-s/7"].target == 2
    assert [(c.name, c.extra) for c in summary.categories if c.extra] == [("chili paste", True)]
    assert [sample.sample_id for sample in samples] == sorted(by_id, key=lambda i: (i.startswith("test"), i))


def test_the_summary_counts_what_the_table_holds(raw: RawFolder) -> None:
    """Numbers, and the same in sentences."""
    samples, summary = indexed(raw)
    train = summary.splits["train"]
    assert (train.photos, train.samples, train.photos_by_samples) == (2, 3, {1: 1, 2: 1})
    assert sum(split.samples for split in summary.splits.values()) == len(samples)
    assert {count.name: (count.train, count.test) for count in summary.categories} == {
        "bread": (1, 1),
        "rice": (1, 1),
        "sauce": (1, 1),
    }
    assert train.photo_width is not None
    assert (train.photo_width.minimum, train.photo_width.maximum, train.photo_width.mean) == (10, 20, 15)
    assert "Split train has 2 usable photos with 3 samples, 1.5 a photo." in summary.data_card
    assert (
        "Were extra-ROIs paired by photo, as the released code does, 1 of its samples (33.3%) would see their own food "
        "in theirs."
    ) in summary.data_card
    assert summary.data_card[-1] == "Nothing was left out for problems."


def test_where_the_photos_came_from_changes_no_index(raw: RawFolder) -> None:
    """Nor does the record that earlier versions kept among the photos."""
    before = indexed(raw)
    (raw.path / "source.json").write_text('{"name": "a.zip", "bytes": 1234, "sha256": "ab"}')
    assert indexed(raw) == before


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS: dict[str, tuple[ProblemKind, Callable[[RawFolder], object]]] = {
    "truncated photo": (ProblemKind.PHOTO_UNREADABLE, lambda raw: truncate(raw.photo("train", "b"))),
    "empty photo": (ProblemKind.PHOTO_UNREADABLE, lambda raw: raw.photo("train", "b").write_bytes(b"")),
    "web page": (ProblemKind.PHOTO_UNREADABLE, lambda raw: raw.photo("train", "b").write_text("<html>")),
    "folder as photo": (
        ProblemKind.PHOTO_UNREADABLE,
        lambda raw: (raw.photo("train", "b").unlink(), raw.photo("train", "b").mkdir()),
    ),
    "truncated label map": (ProblemKind.LABEL_MAP_UNREADABLE, lambda raw: truncate(raw.label_map("train", "b"))),
    "colours": (ProblemKind.LABEL_MAP_UNREADABLE, lambda raw: save(noise(8, 10, 0), raw.label_map("train", "b"))),
    "other size": (ProblemKind.SIZE_MISMATCH, lambda raw: save(labels_of(1, height=9), raw.label_map("train", "b"))),
    "turned": (
        ProblemKind.SIZE_MISMATCH,
        lambda raw: save(labels_of(1, height=10, width=8), raw.label_map("train", "b")),
    ),
    "unknown id": (ProblemKind.UNKNOWN_CATEGORY, lambda raw: save(labels_of(1, 5, 6), raw.label_map("train", "b"))),
    "empty label map": (ProblemKind.LABEL_MAP_EMPTY, lambda raw: save(labels_of(), raw.label_map("train", "b"))),
    "no photo": (ProblemKind.PHOTO_ABSENT, lambda raw: raw.photo("train", "b").unlink()),
    "no label map": (ProblemKind.LABEL_MAP_ABSENT, lambda raw: raw.label_map("train", "b").unlink()),
    "no files": (
        ProblemKind.FILES_ABSENT,
        lambda raw: (raw.photo("train", "b").unlink(), raw.label_map("train", "b").unlink()),
    ),
    "two photos": (ProblemKind.AMBIGUOUS_FILES, lambda raw: raw.photo("train", "b").with_suffix(".jpg").touch()),
    "both splits": (ProblemKind.IN_BOTH_SPLITS, lambda raw: raw.list_stem("test", "b")),
}


def test_clutter_is_no_photo_and_a_name_that_is_not_utf_8_is_noted(raw: RawFolder) -> None:
    """Neither stops the stage: no list can name them."""
    for name in ("._b.png", "Thumbs.db", os.fsdecode(b"caf\xe9.png")):
        (raw.photo("train", "b").parent / name).write_bytes(b"")
    _, summary = indexed(raw)
    (finding,) = summary.problems[ProblemKind.NOT_LISTED.value].findings
    assert finding.file.endswith("caf\\udce9.png")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_photo_without_food_can_be_told_from_damage(raw: RawFolder, fault: str) -> None:
    """`skip_empty` leaves out the one and stops at the other."""
    kind, break_it = FAULTS[fault]
    break_it(raw)
    lenient = SKIP.model_copy(update={"on_error": "skip_empty"})
    if kind is ProblemKind.LABEL_MAP_EMPTY:
        with pytest.raises(DatasetError, match="or set index.on_error to skip_empty to go on"):
            indexed(raw)
        samples, summary = indexed(raw, lenient)
        assert {sample.photo_id for sample in samples} == {"train/a", "test/c"}
        assert summary.problems[kind.value].left_out
    else:
        with pytest.raises(DatasetError, match="or set index.on_error to skip to go on"):
            indexed(raw, lenient)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_photo_at_fault_stops_or_is_left_out_and_listed(raw: RawFolder, fault: str) -> None:
    """`fail` names file and mend in one line; `skip` leaves out this photo alone and lists it."""
    kind, break_it = FAULTS[fault]
    break_it(raw)
    with pytest.raises(DatasetError, match=r"b.*; .*; or set index\.on_error to skip") as caught:
        indexed(raw)
    assert str(raw.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("; ") == 2  # what to do, and the policy: each once
    samples, summary = indexed(raw, SKIP)
    assert {sample.photo_id for sample in samples} == {"train/a", "test/c"}
    group = summary.problems[kind.value]
    assert (group.count, group.left_out) == (1, True)
    assert "b" in group.findings[0].file + group.findings[0].detail
    assert str(raw.path) not in summary.model_dump_json()
    assert any(f"1 {kind.value}" in sentence for sentence in summary.data_card)


def test_a_line_that_comes_twice_counts_once(raw: RawFolder) -> None:
    """The repetition is the problem, not the photo."""
    raw.list_stem("train", "b.png")
    with pytest.raises(DatasetError, match="lists b 2 times; remove the repeated line"):
        indexed(raw)
    samples, summary = indexed(raw, SKIP)
    assert len(samples) == 6
    assert summary.problems["listed_twice"].count == 1


def test_files_that_no_list_names_are_only_noted(raw: RawFolder) -> None:
    """Even with `fail`, since nothing that is asked for is missing."""
    save(noise(4, 4, 0), raw.photo("train", "zz"))
    (raw.path / "Images/img_dir/test" / os.fsdecode(b"\xff.jpg")).touch()
    samples, summary = indexed(raw)
    assert len(samples) == 6
    assert [f.file for f in summary.problems["not_listed"].findings] == [
        "Images/img_dir/test/\\udcff.jpg",
        "Images/img_dir/train/zz.png",
    ]
    assert summary.data_card[-1] == "Nothing was left out for problems. 2 files are not listed and not used."


def test_faults_of_extra_photos_are_listed(raw: RawFolder) -> None:
    """Empty and misfitting masks, clicks outside, names that collide with others."""
    folder = raw.add_extra("ketchup", "train", "empty", labels_of())
    raw.add_extra("ketchup", "train", "small", labels_of(1))
    save(labels_of(1, height=4), folder / "small.mask.png")
    raw.add_extra("ketchup", "train", "outside", None)
    (folder / "prompts.csv").write_text("photo,kind,x0,y0,x1,y1\noutside,point,10,3,,\n")
    raw.add_extra("ketchup", "train", "x y", labels_of(1), seed=11)
    raw.add_extra("ketchup", "train", "x_y", labels_of(1), seed=12)
    raw.add_extra("ketchup", "train", "bad", labels_of(1))
    truncate(folder / "bad.png")
    samples, summary = indexed(raw, SKIP)
    assert [s.photo_path for s in samples if s.category == "ketchup"] == ["extra/ketchup/train/x y.png"]
    assert {kind: group.findings[0].file.rpartition("/")[2] for kind, group in summary.problems.items()} == {
        "label_map_empty": "empty.mask.png",
        "photo_id_twice": "x_y.png",
        "photo_unreadable": "bad.png",
        "prompt_outside": "outside.png",
        "size_mismatch": "small.mask.png",
    }


def test_all_problems_of_a_kind_are_listed(raw: RawFolder) -> None:
    """The list in the summary is complete."""
    for number in range(50):
        raw.list_stem("test", f"absent{number:02}")
    _, summary = indexed(raw, SKIP)
    group = summary.problems["files_absent"]
    assert group.count == len(group.findings) == 50
    assert group.findings == tuple(sorted(group.findings, key=lambda finding: finding.detail))


def test_a_data_set_without_any_sample_is_refused(tmp_path: Path) -> None:
    """Even with `skip`; the message gives the first reason."""
    raw = RawFolder(tmp_path / "raw")
    with pytest.raises(DatasetError, match=r"no usable sample.*no photo is listed"):
        indexed(raw, SKIP)
    raw.add("train", "a", labels_of())
    with pytest.raises(DatasetError, match=r"no usable sample.*ann_dir/train/a\.png: no pixel but background"):
        indexed(raw, SKIP)


def test_a_fault_stops_all_workers(raw: RawFolder) -> None:
    """The message comes from the first fault in row order, as with one worker."""
    for number in range(70):
        raw.add("train", f"n{number:02}", labels_of(1), seed=number)
    for stem in ("n60", "n20"):
        truncate(raw.photo("train", stem))
    with pytest.raises(DatasetError, match=r"n20\.png"):
        indexed(raw, workers=2)
    assert not list((raw.path.parent / "index").iterdir())


def test_the_real_photos_give_one_row_of_every_pair(shared: Path, tmp_path: Path) -> None:
    """Counted here once more, without the library: distinct non-zero values of each label map, and their pixels."""
    use_native_decryption()
    with zipfile.ZipFile(shared / "data/FoodSeg103-mini.zip") as archive:
        archive.extractall(tmp_path, pwd=b"LARCdataset9947")
    raw = tmp_path / "FoodSeg103"
    build_index(FAIL, raw=raw, index=tmp_path / "index", workers=1)
    expected = {
        f"{path.parent.name}/{path.stem}/{value}": int(count)
        for path in (raw / "Images/ann_dir").rglob("*.png")
        for value, count in zip(*np.unique(np.asarray(Image.open(path)), return_counts=True), strict=True)
        if value
    }
    found = {sample.sample_id: sample.mask_area for sample in read_samples(tmp_path / "index/samples.parquet")}
    assert found == expected
    assert len(found) == 1704


def coloured(path: Path, *colours: tuple[int, int, int]) -> None:
    """Give a label map a palette."""
    with Image.open(path) as file:
        picture = file.convert("P")
    picture.putpalette([channel for colour in colours for channel in colour])
    picture.save(path)


BLACK, RED, GREEN, BLUE = (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ((BLACK, BLUE, GREEN), r"index 1 is #0000ff, in .*/a.png #ff0000"),
        ((BLACK, GREEN, RED), r"index 1 is #00ff00, in .*/a.png #ff0000"),
        ((BLACK, BLUE, RED), r"#ff0000 is index 2, in .*/a.png index 1"),
    ],
)
def test_palettes_that_contradict_each_other_are_refused(
    tmp_path: Path, second: tuple[tuple[int, int, int], ...], says: str
) -> None:
    """An index that is two colours, or a colour at two indices, is no category id, whatever the policy."""
    raw = RawFolder(tmp_path / "raw")
    raw.add("train", "a", labels_of(1), seed=1)
    raw.add("train", "b", labels_of(2) if "index 2" in says else labels_of(1, 2), seed=2)
    raw.add("test", "c", labels_of(1, 2), seed=3)
    coloured(raw.label_map("train", "a"), BLACK, RED)
    coloured(raw.label_map("train", "b"), *second)
    for params in (FAIL, SKIP):
        with pytest.raises(DatasetError, match=rf"b.png: palettes differ .*\({says}\); write .* 8 bit gray"):
            indexed(raw, params)


def test_palettes_that_agree_are_read_by_index(raw: RawFolder) -> None:
    """Longer and shorter tables, repeated colours, and entries that no pixel has, do not matter."""
    coloured(raw.label_map("train", "a"), BLACK, RED, GREEN)
    coloured(raw.label_map("test", "c"), BLACK, RED, GREEN, BLUE, BLUE, BLUE, BLUE, RED)
    coloured(raw.label_map("train", "b"), BLACK, RED, BLUE, GREEN, BLUE, BLUE, BLUE, RED)
    samples, _ = indexed(raw)
    assert [sample.category_id for sample in samples] == [2, 1, 7, 1, 2, 7]


def test_void_is_no_food_and_no_reason_to_leave_a_photo_out(raw: RawFolder) -> None:
    """255 by default; other values where asked for; a category cannot be void too."""
    raw.add("train", "v", labels_of(1, 255, 7), seed=8)
    samples, _ = indexed(raw)
    assert [s.category_id for s in samples if s.photo_id == "train/v"] == [1, 7]
    raw.add("train", "w", labels_of(1, 99), seed=9)
    with pytest.raises(DatasetError, match="unknown ids 99"):
        indexed(raw)
    samples, summary = indexed(raw, IndexParams(on_error="fail", tiny_area=15, void=(255, 99)))
    assert [s.category_id for s in samples if s.photo_id == "train/w"] == [1]
    assert summary.settings.void == (255, 99)
    with pytest.raises(DatasetError, match=r"category_id.txt: id 7 is in index.void too"):
        indexed(raw, IndexParams(on_error="fail", tiny_area=15, void=(7,)))


def test_a_soft_mask_is_flagged(raw: RawFolder) -> None:
    """Half of white is the threshold, and whoever looks is told that there were many grays."""
    raw.add_extra("ketchup", "train", "k", np.tile(np.arange(0, 256, 5), (8, 1)), seed=5)
    samples, summary = indexed(raw)
    (soft,) = (sample for sample in samples if sample.category == "ketchup")
    assert soft.mask_area == 8 * sum(value >= 128 for value in range(0, 256, 5))
    assert "soft_mask" in soft.flags
    assert summary.splits["train"].flags["soft_mask"] == 1


@LINUX_ONLY
def test_a_machine_that_fails_drops_no_photo(raw: RawFolder) -> None:
    """Under `skip` too the stage stops: the photo may be sound."""
    for path in (raw.photo("train", "b"), raw.label_map("train", "b")):
        whole = path.read_bytes()
        path.unlink()
        path.symlink_to("/proc/self/mem")  # reading it is an input/output error
        for params in (SKIP, FAIL):
            with pytest.raises(MachineError, match="b.png: this machine could not read it"):
                indexed(raw, params)
        path.unlink()
        path.write_bytes(whole)
    assert len(indexed(raw, SKIP)[0]) == 6
