"""Public Python API: `from pipeline import load_run`. Everything else may change between versions.

Load a run, show it a photo and a mask:

    >>> run = load_run(demo_run)
    >>> photo, mask = read_photo(demo_photo), read_mask(demo_mask)
    >>> (answer,) = run.predict(photo, [mask])
    >>> best, *others = answer.top(3)
    >>> best.category in run.class_names, 0 < best.probability <= 1, len(others)
    (True, True, 2)

Masks from boxes, without any weights:

    >>> (region,) = find_regions(photo, [box(4, 3, 24, 20)])
    >>> region.found_by, region.mask.shape == photo.shape[:2]
    ('grabcut', True)

Shards as NumPy, as Arrow, as a torch Dataset:

    >>> shards = open_shards(demo_shards)
    >>> [batch.roi.shape for batch in shards.batches("test")]
    [(6, 32, 32, 3)]
    >>> [table.num_rows for table in arrow_tables(demo_shards, "test", ["sample_id", "target"])]
    [6]
    >>> len(ShardDataset(demo_shards, "test", shuffle_seed=0))
    6
    >>> run.predict_batch(next(shards.batches("test")))[0].logits.shape
    (4,)
"""

from pipeline.runtime import vector_width  # noqa: F401 - before numpy and torch

# isort: split
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from pipeline.arrays import Image, Mask
from pipeline.datasets.parquet import DAMAGE, damaged, read_sound
from pipeline.datasets.prompts import Prompt
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.shards import Shards
from pipeline.imaging import decode
from pipeline.inference.prediction import Guess, Prediction
from pipeline.inference.predictor import Run, open_run
from pipeline.inference.regions import MaskMethod, Region, open_mask_source, prompted_regions, read_masks
from pipeline.models.device import to_tensor
from pipeline.runtime.errors import ParamsError, PipelineError, SeveralFoodsError
from pipeline.runtime.manifest import open_verified
from pipeline.runtime.stores import place_of
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.mask_source import MaskSource


def arrow_tables(folder: Path | str, split: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield the tables of a split as Arrow, one per file, each checked against the manifest first.

    Columns are `sample_id`, `target`, `rect` (top, left, height, width of the photo inside the square), `mask` (bits in
    rows of the square, first pixel in the highest bit), `roi` and `extra_roi` (raw RGB, row by row).

    Args:
        folder: Folder of shards, a path or the URL of one on object storage.
        split: `train`, `validation` or `test`.
        columns: Columns to read; all if absent.

    Raises:
        ManifestError: If a file is absent or damaged.
    """
    shards = Shards(place_of(folder))
    for entry in shards.files(split):
        with open_verified(shards.folder, entry) as path:
            try:
                table = read_sound(path, columns)
            except DAMAGE as error:
                raise damaged(path, error, "pair") from error
        yield table


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
    """Stream the samples of a split, file by file; the workers of a `DataLoader` share the files.

    Memory is bounded by one file per worker. A seed shuffles files, and samples within a file, anew for each epoch.
    """

    def __init__(self, folder: Path | str, split: str, *, shuffle_seed: int | None = None) -> None:
        """Open a split.

        Args:
            folder: Folder of shards, a path or the URL of one on object storage.
            split: `train`, `validation` or `test`.
            shuffle_seed: Seed of the order; None keeps that of the shards.

        Raises:
            ManifestError: If the manifest is absent, damaged or of another version.
            ParamsError: If the split has no samples.
        """
        self.shards, self.split, self.shuffle_seed, self.epoch = Shards(place_of(folder)), split, shuffle_seed, 0
        if not len(self):
            raise ParamsError(f"{folder}: no samples in split {split!r}; there are {', '.join(self.shards.splits)}")

    @property
    def categories(self) -> tuple[str, ...]:
        """Category name by target."""
        return self.shards.categories

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the order, before each epoch; without a seed all have the same order."""
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
            roi, extra_roi = to_tensor(batch.roi), to_tensor(batch.extra_roi)
            for row in self._order(len(batch), f"file {number}").tolist():
                mask = torch.from_numpy(batch.masks[row])
                yield ShardSample(batch.sample_ids[row], int(batch.targets[row]), roi[row], extra_roi[row], mask)

    def _order(self, length: int, what: str) -> np.ndarray:
        if self.shuffle_seed is None:
            return np.arange(length)
        words = [self.shuffle_seed, self.epoch, *what.encode()]
        return np.random.default_rng(words).permutation(length)


__all__ = [
    "Guess",
    "MaskSource",
    "PipelineError",
    "Prediction",
    "Prompt",
    "Region",
    "Run",
    "SampleBatch",
    "ShardDataset",
    "ShardSample",
    "Shards",
    "arrow_tables",
    "box",
    "find_regions",
    "load_run",
    "open_masks",
    "open_shards",
    "point",
    "read_mask",
    "read_photo",
]


def load_run(folder: Path | str, *, device: str = "auto") -> Run:
    """Load a finished run; nothing is unpickled.

    Args:
        folder: Folder with `run.json` and `model.safetensors`.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ManifestError: If a file is absent or damaged.
        ParamsError: If the device is not there.
    """
    return open_run(Path(folder), device=device)


def open_shards(folder: Path | str) -> Shards:
    """Open a folder of shards, a path or a URL on object storage, to read batches of NumPy arrays.

    Raises:
        ManifestError: If its manifest is absent, damaged or of another version.
    """
    return Shards(place_of(folder))


def read_photo(path: Path | str) -> Image:
    """Decode a photo upright, as the pipeline does.

    Raises:
        PhotoError: If the file is absent, damaged, no picture or too large.
    """
    return decode.read_photo(Path(path))


def read_mask(path: Path | str, value: int | None = None) -> Mask:
    """Read a mask: all that is not black, of grays at least half of white; or the pixels of one value.

    Raises:
        DatasetError: If no pixel has the value.
        EmptyMaskError: If every pixel is black.
        PhotoError: If the file is absent, damaged, or holds no ids although a value is given.
        SeveralFoodsError: If it holds several values and none is given.
    """
    try:
        ((_, mask),) = read_masks(Path(path), value)
    except SeveralFoodsError as error:
        raise SeveralFoodsError(f"{error}; choose one by read_mask(path, value)") from error
    return mask


def box(x0: int, y0: int, x1: int, y1: int) -> Prompt:
    """Return a box around a food in pixels of the upright photo, corners inclusive."""
    return Prompt("box", (float(x0), float(y0), float(x1), float(y1)))


def point(x: int, y: int) -> Prompt:
    """Return a click on a food in pixels of the upright photo."""
    return Prompt("point", (float(x), float(y)))


def open_masks(method: MaskMethod, weights: Path | str | None = None, *, device: str = "auto") -> MaskSource:
    """Open a mask source, which turns boxes and clicks into masks.

    Args:
        method: `grabcut`, `sam`, `fastsam` or `transformers`.
        weights: Published file of sam or fastsam, model folder of transformers, or a folder of `data/mask_weights`.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ParamsError: If weights are missing, a package is absent, or the device is not there.
        WeightsError: If the weights are damaged.
    """
    return open_mask_source(method, None if weights is None else Path(weights), device)


def find_regions(photo: Image, prompts: Sequence[Prompt], source: MaskSource | None = None) -> tuple[Region, ...]:
    """Return the region of interest of each box or click.

    Args:
        photo: RGB at full size.
        prompts: Boxes and clicks.
        source: Mask source; GrabCut, which takes boxes only, if absent.

    Raises:
        DatasetError: If a prompt lies outside the photo, or is of a kind the source cannot answer.
    """
    return prompted_regions(source or GrabCut(), photo, prompts)
