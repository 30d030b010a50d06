"""Shards for others' code: a tree of JPEG, and Parquet with pictures."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torchvision
from PIL import Image
from ruamel.yaml import YAML

from pipeline.datasets.shards import Shards
from pipeline.export.datasets import folder_names, size_category, write_folders, write_picture_tables
from pipeline.runtime.errors import ExportError
from tests.small_run import CATEGORIES


def files_below(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file by its path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_tree_has_every_sample_once_in_each_view(shards: Path, tmp_path: Path) -> None:
    """`<split>/<view>/<category>/<photo>-<category id>.jpg`, and ROI and extra-ROI share their name."""
    assert write_folders(shards, tmp_path, workers=1) == 12
    found = files_below(tmp_path)
    for split, rows in (("train", 7), ("test", 5)):
        batch = Shards(shards).read(split)
        for view in ("roi", "extra-roi"):
            expected = {
                f"{split}/{view}/{CATEGORIES[target]}/{'-'.join(sample_id.split('/')[1:])}.jpg"
                for sample_id, target in zip(batch.sample_ids, batch.targets, strict=True)
            }
            assert {name for name in found if name.startswith(f"{split}/{view}/")} == expected
            assert len(expected) == rows
    assert len(found) == 2 * 12


def test_the_pictures_are_the_samples(shards: Path, tmp_path: Path) -> None:
    """Up to JPEG, and of no other sample."""
    write_folders(shards, tmp_path, workers=1)
    batch = Shards(shards).read("test")
    for row, sample_id in enumerate(batch.sample_ids):
        name = "-".join(sample_id.split("/")[1:])
        for view, pixels in (("roi", batch.roi), ("extra-roi", batch.extra_roi)):
            stored = np.asarray(Image.open(tmp_path / f"test/{view}/{CATEGORIES[batch.targets[row]]}/{name}.jpg"))
            errors = [np.abs(stored.astype(float) - other).mean() for other in pixels]
            assert errors[row] == min(errors)
            assert errors[row] < 16  # these pixels are noise, which JPEG likes least


def test_train_and_test_number_the_classes_alike(shards: Path, tmp_path: Path) -> None:
    """Torchvision's ImageFolder ranks folder names: one more folder in train would shift every class of test."""
    write_folders(shards, tmp_path, workers=1)
    sets = [
        torchvision.datasets.ImageFolder(str(tmp_path / split / view), allow_empty=True)
        for split in ("train", "test")
        for view in ("roi", "extra-roi")
    ]
    assert {tuple(each.classes) for each in sets} == {tuple(sorted(CATEGORIES))}


@pytest.mark.parametrize("write", [write_folders, write_picture_tables])
def test_the_number_of_workers_changes_no_byte(shards: Path, tmp_path: Path, write: type) -> None:
    """Same files."""
    for workers in (1, 2):
        assert write(shards, tmp_path / str(workers), workers=workers) == 12
    assert files_below(tmp_path / "1") == files_below(tmp_path / "2")


@pytest.mark.parametrize("name", ["../escape", "a/b", "con:fusing", ".hidden", "a\0b"])
def test_no_category_leaves_its_folder(name: str) -> None:
    """Whatever a shard calls it."""
    (folder,) = folder_names([name])
    assert Path(folder).name == folder
    assert not folder.startswith(".")


@pytest.mark.parametrize("names", [("a/b", "a b"), ("Bread", "bread"), ("..", "x")])
def test_categories_that_would_share_a_folder_are_refused(names: tuple[str, ...]) -> None:
    """Their samples would be mixed."""
    with pytest.raises(ExportError, match="rename it in category_id.txt"):
        folder_names(names)


def test_tables_hold_the_very_pixels(shards: Path, tmp_path: Path) -> None:
    """PNG loses nothing; labels, ids and masks come along, in the order of the shards."""
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    write_picture_tables(shards, tmp_path / "out", workers=1)
    files = {split: str(tmp_path / f"out/data/{split}-*.parquet") for split in ("train", "test")}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    for split, rows in (("train", 7), ("test", 5)):
        batch, table = Shards(shards).read(split), loaded[split]
        assert table.num_rows == rows
        assert table.features["label"].names == list(CATEGORIES)
        assert table["sample_id"][:] == list(batch.sample_ids)
        assert table["label"][:] == batch.targets.tolist()
        for row in range(rows):
            for name in ("roi", "extra_roi"):
                np.testing.assert_array_equal(np.asarray(table[row][name]), getattr(batch, name)[row])
            np.testing.assert_array_equal(np.asarray(table[row]["mask"]) > 0, batch.masks[row])


def test_the_card_tells_the_hub_which_files_are_which_split(shards: Path, tmp_path: Path) -> None:
    """Its globs match the files that are there; the table describes its columns."""
    write_picture_tables(shards, tmp_path, workers=1)
    _, header, text = (tmp_path / "README.md").read_text().split("---\n", maxsplit=2)
    (config,) = YAML(typ="safe").load(header)["configs"]
    matched = {
        entry["split"]: sorted(path.name for path in tmp_path.glob(entry["path"])) for entry in config["data_files"]
    }
    assert matched == {
        "train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        "test": ["test-00000-of-00001.parquet"],
    }
    assert "| train | 7 |" in text
    metadata = pq.read_schema(tmp_path / "data/test-00000-of-00001.parquet").metadata
    assert json.loads(metadata[b"huggingface"])["info"]["features"]["roi"] == {"_type": "Image"}


def test_the_hub_s_words_for_sizes() -> None:
    """At their bounds."""
    assert [size_category(rows) for rows in (0, 999, 1000, 26_089, 10**6)] == [
        "n<1K", "n<1K", "1K<n<10K", "10K<n<100K", "n>1M",
    ]  # fmt: skip
