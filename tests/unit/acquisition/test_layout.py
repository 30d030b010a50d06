"""What belongs to the official layout."""

import pytest

from pipeline.acquisition.source import PARTS, is_official, missing_parts, summary, top_folders


@pytest.mark.parametrize(
    ("path", "official"),
    [
        ("category_id.txt", True),
        ("Readme.txt", True),
        ("ImageSets/train.txt", True),
        ("ImageSets/val.txt", False),
        ("Images/img_dir/train/00000001.jpg", True),
        ("Images/ann_dir/test/two words.png", True),
        ("Images/img_dir/val/00000001.jpg", False),
        ("Images/img_dir/train/deeper/00000001.jpg", False),
        ("Images/img_dir/train/.DS_Store", False),
        ("Images/img_dir/train/Thumbs.db", False),
        ("other/category_id.txt", False),
        ("source.json", False),
    ],
)
def test_a_path_is_official_or_not(path: str, official: bool) -> None:
    """Photos, label maps, lists and names are; clutter is not."""
    assert is_official(path) is official


def test_missing_parts_are_named_in_order() -> None:
    """An empty folder is a missing one."""
    assert missing_parts([]) == list(PARTS)
    whole = [f"{part}/1" if part.startswith("Images") else part for part in PARTS]
    assert missing_parts([part for part in whole if "Sets" not in part]) == [
        "ImageSets/train.txt",
        "ImageSets/test.txt",
    ]


def test_the_top_is_where_images_lies() -> None:
    """At most one level down; a file of that name does not count."""
    assert top_folders(["Images/a"]) == [""]
    assert top_folders(["F/Images/a", "F/b", "__MACOSX/F/Images/a"]) == ["F/"]
    assert top_folders(["Images", "a/Images", "a/b/Images/c"]) == []


def test_a_summary_is_short_and_safe_to_print() -> None:
    """Three names and a count."""
    assert summary(["b", "a"]) == "'a', 'b'"
    assert summary(["e", "d", "c\n", "b", "a"]) == r"'a', 'b', 'c\n' and 2 more"
