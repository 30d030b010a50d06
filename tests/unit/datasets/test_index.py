"""The sample table, and the choice of samples from it."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.datasets.index import (
    ROWS_PER_GROUP,
    SCHEMA_VERSION,
    Category,
    Sample,
    choose_named,
    choose_random,
    read_categories,
    read_samples,
    write_samples,
)
from pipeline.runtime.errors import ManifestError, ParamsError
from tests.strategies import named_sample

CATEGORIES = (Category(id=1, name="bread", target=0), Category(id=104, name="chili paste", target=1))
SAMPLE = Sample(
    sample_id="train/a/1",
    photo_id="train/a",
    split="train",
    photo_path="Images/img_dir/train/a.jpg",
    label_map_path="Images/ann_dir/train/a.png",
    mask_value=1,
    photo_height=20,
    photo_width=30,
    photo_sha256="0" * 64,
    label_map_sha256="1" * 64,
    category="bread",
    category_id=1,
    target=0,
    mask_area=6,
    mask_share=0.01,
    x0=1,
    y0=2,
    x1=3,
    y1=3,
    components=1,
    prompts=None,
    flags=("tiny", "duplicate_photo"),
)
PROMPTED = replace(
    SAMPLE, label_map_path=None, label_map_sha256=None, mask_value=None, prompts='[{"point": [1.0, 2.0]}]', flags=()
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Absent values, empty flags and category names survive."""
    path = tmp_path / "samples.parquet"
    assert write_samples([SAMPLE, PROMPTED], CATEGORIES, path) == 2
    assert list(read_samples(path)) == [SAMPLE, PROMPTED]
    assert read_categories(path) == CATEGORIES


def test_more_rows_than_a_group_stream_through(tmp_path: Path) -> None:
    """The last, partial group is not lost."""
    rows = ROWS_PER_GROUP + 3
    path = tmp_path / "samples.parquet"
    assert write_samples((replace(SAMPLE, target=i) for i in range(rows)), CATEGORIES, path) == rows
    assert [sample.target for sample in read_samples(path)] == list(range(rows))
    assert pq.ParquetFile(path).num_row_groups == 2


def test_no_samples_make_an_empty_table(tmp_path: Path) -> None:
    """Categories are there all the same."""
    path = tmp_path / "samples.parquet"
    assert write_samples([], CATEGORIES, path) == 0
    assert list(read_samples(path)) == []
    assert read_categories(path) == CATEGORIES


def test_same_samples_make_the_same_bytes(tmp_path: Path) -> None:
    """Nothing in the file varies."""
    for name in ("a", "b"):
        write_samples(iter([SAMPLE, PROMPTED]), CATEGORIES, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_absent_table_names_the_stage(tmp_path: Path) -> None:
    """The message says what to run."""
    with pytest.raises(ManifestError, match="absent; run `dvc repro index`"):
        list(read_samples(tmp_path / "samples.parquet"))


@pytest.mark.parametrize("keep", [0, 3, 200])
def test_a_truncated_table_is_refused(tmp_path: Path, keep: int) -> None:
    """Whatever is left of it."""
    path = tmp_path / "samples.parquet"
    write_samples([SAMPLE], CATEGORIES, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ManifestError, match="not a readable Parquet file"):
        list(read_samples(path))


@pytest.mark.parametrize("metadata", [None, {"schema_version": "999", "categories": "[]"}])
def test_a_table_of_another_version_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    """An old table is not half understood."""
    path = tmp_path / "samples.parquet"
    pq.write_table(pa.table({"sample_id": ["a"]}).replace_schema_metadata(metadata), path)
    with pytest.raises(ManifestError, match="schema version"):
        read_categories(path)


def test_a_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    """The right version does not excuse the wrong columns."""
    path = tmp_path / "samples.parquet"
    metadata = {"schema_version": str(SCHEMA_VERSION), "categories": "[]"}
    pq.write_table(pa.table({"sample_id": ["a"]}).replace_schema_metadata(metadata), path)
    with pytest.raises(ManifestError, match="columns"):
        list(read_samples(path))


def test_damage_inside_a_table_is_refused(tmp_path: Path) -> None:
    """A flipped byte of a column is an error with the file's name, not a crash or a wrong row."""
    path = tmp_path / "samples.parquet"
    write_samples([replace(SAMPLE, sample_id=f"train/{i}/1") for i in range(100)], CATEGORIES, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes(byte ^ 0xFF for byte in whole[40:60]) + whole[60:])
    with pytest.raises(ManifestError, match="not a readable Parquet file"):
        list(read_samples(path))


TABLE = [
    named_sample(f"{split}/{photo:03d}/{category}", category=("bread", "rice")[category])
    for split in ("train", "test")
    for photo in range(30)
    for category in range(2)
]


def choice(seed: int, *, count: int = 5, category: str | None = None, split: str = "test") -> list[str]:
    """Return the ids of a random choice."""
    chosen = choose_random(TABLE, split=split, category=category, count=count, seed=seed)
    return [numbered.sample.sample_id for numbered in chosen]


def test_rows_count_within_the_split() -> None:
    """The row of a sample is its place among the samples of its split, the row of the shards."""
    named = choose_named(TABLE, ["test/002/1", "train/000/1", "test/000/0"])
    assert [(numbered.sample.sample_id, numbered.row) for numbered in named] == [
        ("test/002/1", 5),
        ("train/000/1", 1),
        ("test/000/0", 0),
    ]


def test_the_seed_decides() -> None:
    """The same seed chooses the same samples, another seed others."""
    assert choice(0) == choice(0)
    assert choice(0) != choice(1)


def test_a_smaller_count_is_part_of_a_larger_one() -> None:
    """Asking for more keeps what was shown; asking for too many gives all, in table order."""
    assert set(choice(3, count=4)) < set(choice(3, count=9))
    assert choice(3, count=1000) == [sample.sample_id for sample in TABLE if sample.split == "test"]


def test_only_the_category_asked_for() -> None:
    """Split and category hold for every chosen sample."""
    assert all(sample_id.startswith("train/") for sample_id in choice(0, split="train"))
    assert all(sample_id.endswith("/1") for sample_id in choice(0, category="rice"))


def test_errors_name_what_there_is() -> None:
    """A wrong split, category or id is answered with valid ones."""
    with pytest.raises(ParamsError, match="no split 'val'; there are test, train"):
        choice(0, split="val")
    with pytest.raises(ParamsError, match="no 'ketchup' in split 'test'; there are bread, rice"):
        choice(0, category="ketchup")
    with pytest.raises(ParamsError, match=r"no sample test/9/9; .* for instance test/029/1"):
        choose_named(TABLE, ["test/000/0", "test/9/9"])
