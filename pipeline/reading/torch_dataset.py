"""Shards as a PyTorch dataset that streams: memory is bounded by one file a worker, however large the split."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.shards import Shards
from pipeline.errors import ParamsError
from pipeline.models.pixels import to_tensor
from pipeline.stores import place_of


class ShardSample(NamedTuple):
    """One food in one photo; a `DataLoader` collates these into batches of the same fields."""

    sample_id: str
    """`<split>/<photo stem>/<category id>`."""
    target: int
    """Class index into `categories`."""
    roi: UInt8[Tensor, "3 S S"]
    """The food and nothing else, values in [0, 255]."""
    extra_roi: UInt8[Tensor, "3 S S"]
    """Everything but the food."""
    mask: Bool[Tensor, "S S"]
    """True inside the food."""


class ShardDataset(IterableDataset[ShardSample]):
    """All samples of a split, file by file; the workers of a `DataLoader` take turns with the files.

    With a seed, files come in another order every epoch, and so do the samples within a file.
    """

    def __init__(self, folder: Path | str, split: str, *, shuffle_seed: int | None = None) -> None:
        """Open a split.

        Args:
            folder: Folder of shards, a path or the URL of one on object storage.
            split: `train` or `test`.
            shuffle_seed: Seed of the order; None keeps that of the shards.

        Raises:
            ManifestError: If the manifest is absent, damaged or of another version.
            ParamsError: If the split has no samples.
        """
        self.shards, self.split, self.shuffle_seed, self.epoch = Shards(place_of(folder)), split, shuffle_seed, 0
        if not len(self):
            raise ParamsError(f"{folder}: no samples in split {split!r}; there are train and test")

    @property
    def categories(self) -> tuple[str, ...]:
        """Category name by target."""
        return self.shards.categories

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of epoch `epoch`; without a seed there is only one. Call it before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.shards.rows(self.split)

    def __iter__(self) -> Iterator[ShardSample]:
        """Yield this worker's samples.

        Raises:
            ManifestError: If a file is absent or damaged.
        """
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        order = self._order(len(self.shards.files(self.split)), "files")
        for number in order[first::step]:
            batch = self.shards.read_file(self.split, int(number))
            yield from _samples(batch, self._order(len(batch), f"file {number}"))

    def _order(self, length: int, what: str) -> np.ndarray:
        if self.shuffle_seed is None:
            return np.arange(length)
        words = [self.shuffle_seed, self.epoch, *what.encode()]
        return np.random.default_rng(words).permutation(length)


def _samples(batch: SampleBatch, order: np.ndarray) -> Iterator[ShardSample]:
    views = to_tensor(batch.roi), to_tensor(batch.extra_roi)
    for row in order.tolist():
        mask = torch.from_numpy(batch.masks[row])
        yield ShardSample(batch.sample_ids[row], int(batch.targets[row]), views[0][row], views[1][row], mask)
