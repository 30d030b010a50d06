"""The format of a data set is told by the paths of its files."""

import pytest

from pipeline.datasets.formats import PARTS, find_data_set, split_of

OFFICIAL = [part if "." in part else f"{part}/1.png" for part in PARTS]
COCO_2017 = ["annotations/instances_train2017.json", "annotations/instances_val2017.json", "train2017/1.jpg"]
ROBOFLOW = ["README.roboflow.txt", "train/_annotations.coco.json", "train/1.jpg", "valid/_annotations.coco.json"]
YOLO = ["data.yaml", "train/images/1.jpg", "train/labels/1.txt"]
DATA_SETS = {
    "official": [OFFICIAL],
    "coco": [
        COCO_2017,
        ROBOFLOW,
        ["result.json", "images/1.jpg"],
        ["annotations/instances_default.json", "images/1.png"],
        ["public_training_set_2/annotations.json", "public_training_set_2/images/1.jpg"],
    ],
    "yolo": [
        YOLO,
        ["data.yaml", "images/train/1.jpg", "labels/train/1.txt"],
        ["classes.txt", "notes.json", "images/1.jpg", "labels/1.txt"],
    ],
    "labelme": [["1.jpg", "1.json"], ["train/1.jpg", "train/1.json", "info.json", "train/2.jpg", "train/2.json"]],
}
CASES = [(name, paths) for name, found in DATA_SETS.items() for paths in found]


@pytest.mark.parametrize(("name", "paths"), CASES)
@pytest.mark.parametrize("top", ["", "FoodSeg103/", "export/my food/"])
def test_each_format_is_found_below_needless_folders(name: str, paths: list[str], top: str) -> None:
    """Format and top folder are told, and files below the top folder are listed without clutter."""
    found = find_data_set([*(top + path for path in paths), "__MACOSX/._x", f"{top}.DS_Store"])
    assert (found.format, found.top) == (name, "" if name == "labelme" else top)
    kept = set(paths) - {"README.roboflow.txt", "notes.json"}
    assert {(top + path).removeprefix(found.top) for path in kept} == set(found.files)


def test_own_files_of_data_raw_belong_to_no_data_set() -> None:
    """Stage `download` writes extra/ beside the files of a data set."""
    own = ["extra/ketchup/train/1.jpg", "extra/ketchup/train/annotations.json"]
    assert find_data_set([*COCO_2017, *own]).files == tuple(sorted(COCO_2017))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "found no file; expected the official layout"),
        (["a/1.jpg", "2.png"], "photos without annotation"),
        (OFFICIAL[:-1], "not in the official layout: category_id.txt absent"),
        (["meta.json", "ds/ann/1.jpg.json"], "Supervisely: export it there as COCO"),
        (["JPEGImages/1.jpg", "Annotations/1.xml"], "export it as COCO"),
        (["train/img/1.jpg", "train/mask/1.png"], "into the official layout"),
        (["FoodSeg103.zip", "notes.txt"], "unpack it first"),
        ([f"{top}/{path}" for top in "ab" for path in OFFICIAL], "holds 2 data sets, a/, b/"),
    ],
)
def test_what_is_no_data_set_is_told_with_the_nearest_format(paths: list[str], message: str) -> None:
    """The error says what was found, what was expected and what to do."""
    with pytest.raises(ValueError, match=message):
        find_data_set(paths)


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("annotations/instances_train2017.json", "train"),
        ("annotations/instances_val2017.json", "val"),
        ("valid/_annotations.coco.json", "val"),
        ("test/_annotations.coco.json", "test"),
        ("public_validation_set_2.0/annotations.json", "val"),
        ("test set/train/x.json", "train"),
        ("latest/contest.json", None),
    ],
)
def test_the_last_word_of_a_path_names_its_split(path: str, split: str | None) -> None:
    """Folders and file names say it; parts of other words do not."""
    assert split_of(path) == split
