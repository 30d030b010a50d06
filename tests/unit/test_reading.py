"""Shards for other people's code."""

from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from pipeline.api import ShardDataset, arrow_tables
from pipeline.datasets.shards import Shards
from pipeline.runtime.errors import ManifestError, ParamsError
from tests.small_run import SIDE, random_batch, select
from tests.training_data import write_shards_of


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 12 training samples in four files."""
    batch = random_batch(12)
    parts = [select(batch, range(first, first + 3)) for first in range(0, 12, 3)]
    return write_shards_of(tmp_path_factory.mktemp("data") / "shards", {"train": parts})


def test_the_dataset_yields_every_sample_as_it_is_stored(shards: Path) -> None:
    """In order, channels first, values untouched."""
    dataset, stored = ShardDataset(shards, "train"), Shards(shards).read("train")
    samples = list(dataset)
    assert len(dataset) == len(samples) == 12
    assert tuple(sample.sample_id for sample in samples) == stored.sample_ids
    for row, sample in enumerate(samples):
        assert sample.target == stored.targets[row]
        np.testing.assert_array_equal(sample.roi.permute(1, 2, 0), stored.roi[row])
        np.testing.assert_array_equal(sample.extra_roi.permute(1, 2, 0), stored.extra_roi[row])
        np.testing.assert_array_equal(sample.mask, stored.masks[row])
    assert dataset.categories == Shards(shards).categories


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_sees_every_sample_once(shards: Path, workers: int) -> None:
    """Workers share the files; a batch keeps the names of its fields."""
    batches = list(DataLoader(ShardDataset(shards, "train", shuffle_seed=1), batch_size=5, num_workers=workers))
    ids = [sample_id for batch in batches for sample_id in batch.sample_id]
    assert sorted(ids) == sorted(Shards(shards).read("train").sample_ids)
    assert batches[0].roi.shape == (5, 3, SIDE, SIDE)


def test_an_epoch_has_an_order_of_its_own_that_comes_back(shards: Path) -> None:
    """Same seed and epoch, same order; files and samples within them move."""

    def order(seed: int, epoch: int) -> list[str]:
        dataset = ShardDataset(shards, "train", shuffle_seed=seed)
        dataset.set_epoch(epoch)
        return [sample.sample_id for sample in dataset]

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    assert order(0, 1) == orders[1]
    assert all(sorted(each) == sorted(orders[0]) for each in orders)
    assert len({tuple(each) for each in orders}) == 3


def test_a_split_that_is_not_there_is_refused(shards: Path, tmp_path: Path) -> None:
    """At once, not after an empty epoch."""
    with pytest.raises(ParamsError, match="no samples in split 'test'"):
        ShardDataset(shards, "test")
    with pytest.raises(ManifestError, match="absent"):
        ShardDataset(tmp_path, "train")


def test_arrow_tables_hold_the_stored_bytes(shards: Path) -> None:
    """File by file; only the columns asked for."""
    stored = Shards(shards).read("train")
    tables = list(arrow_tables(shards, "train"))
    assert [table.num_rows for table in tables] == [3, 3, 3, 3]
    assert b"".join(pixels for table in tables for pixels in table["roi"].to_pylist()) == stored.roi.tobytes()
    (first, *_) = arrow_tables(shards, "train", ["target"])
    assert first.column_names == ["target"]
    assert first["target"].to_pylist() == stored.targets[:3].tolist()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """Its bytes are checked before they are read."""
    folder = write_shards_of(tmp_path / "shards", {"train": [random_batch(3)]})
    path = folder / "train-00000.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    for read in (lambda: list(arrow_tables(folder, "train")), lambda: list(ShardDataset(folder, "train"))):
        with pytest.raises(ManifestError, match="bytes differ from the manifest"):
            read()
