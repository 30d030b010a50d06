"""Samples of a split as uint8 arrays (N, H, W, C), one per input, from which micro-batches are gathered and flipped.

The arrays are in memory, in memory-mapped files where they exceed a budget, or on the GPU; batches are the same.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from pipeline.datasets.class_set import EXCLUDED, ClassMap
from pipeline.datasets.sample_batch import INPUT_NAMES, InputName
from pipeline.datasets.shards import Shards
from pipeline.models.device import make_generator
from pipeline.params.model import TrainParams
from pipeline.runtime.errors import DatasetError
from pipeline.runtime.resources import catch_disk_full, ensure_space

CHUNK = 2**26  # bytes written at once where the system cannot allocate a file


class MicroBatch(NamedTuple):
    """Indices of the samples of one forward and backward pass."""

    rows: Int64[Tensor, " B"]  # rows of the split
    hflip: Bool[Tensor, "B 2"] | None
    """Whether the ROI (column 0) and the extra-ROI (column 1) are flipped left to right; None flips none. A photo
    is flipped with its regions, by column 0."""


class Batch(NamedTuple):
    """Some samples of a split, on the device of the model; an input is None where no branch looks at it."""

    rows: Int64[Tensor, " B"]  # rows of the split, on the CPU
    targets: Int64[Tensor, " B"]
    roi: UInt8[Tensor, "B 3 S S"] | None
    extra_roi: UInt8[Tensor, "B 3 S S"] | None
    photo: UInt8[Tensor, "B 4 S S"] | None = None

    @property
    def inputs(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Arguments of the model."""
        return self.roi, self.extra_roi, self.photo


class EpochPlan(NamedTuple):
    """Row numbers of the samples that an epoch sees, in order."""

    steps: tuple[tuple[MicroBatch, ...], ...]
    """Micro-batches by optimiser step; the samples of a step are the global batch, on however many devices."""
    samples: int


def plan_epoch(
    targets: Int64[Tensor, " N"], params: TrainParams, epoch: int, *, weights: Float[Tensor, " K"] | None
) -> EpochPlan:
    """Draw order and flips, each from its own generator; they depend on (seed, epoch) alone.

    `weights` tell how often a sample of each class is drawn, in any unit, with replacement; None draws every one once.
    """
    samples = len(targets)
    generator = make_generator(params.seed, "order", epoch)
    flips = draw_flips(
        samples, probability=params.flip, joint=params.joint_flip, generator=make_generator(params.seed, "flip", epoch)
    )
    if weights is None:
        order = torch.randperm(samples, generator=generator)
        flips = flips[order]
    else:  # flips are by draw: a sample drawn twice has two
        order = torch.multinomial(weights[targets], samples, replacement=True, generator=generator)
    size = -(-params.batch_size // params.accumulate)
    steps = (
        tuple(MicroBatch(order[part], flips[part]) for part in split_batches(step, size))
        for step in split_batches(torch.arange(samples), params.batch_size)
    )
    return EpochPlan(tuple(steps), samples)


def split_batches(order: Int64[Tensor, " N"], batch_size: int) -> list[Int64[Tensor, " B"]]:
    """Cut an order into batches, the last of which may be smaller; a lone last sample joins the batch before it."""
    batches = list(torch.split(order, batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:  # batch normalisation has no variance over one sample
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def draw_flips(samples: int, *, probability: float, joint: bool, generator: torch.Generator) -> Bool[Tensor, "N 2"]:
    """Decide for every sample whether its ROI (column 0) and its extra-ROI (column 1) are flipped left to right.

    `joint` flips both or neither; otherwise each view is decided alone, as in the released code.
    """
    flips = torch.rand(samples, 2, generator=generator) < probability
    return flips[:, :1].expand(samples, 2) if joint else flips


@dataclass
class MemoryBudget:
    """Memory for pixels; an array that exceeds what is left of it goes to a file."""

    left: int  # bytes
    folder: Path  # existing folder of the files
    in_files: int = 0  # bytes that went to files

    def empty(self, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
        """Return an uninitialised array; SpaceError if it goes to a file and the disk has no room for it."""
        size = prod(shape)
        if size <= self.left:
            self.left -= size
            return np.empty(shape, np.uint8)
        ensure_space(self.folder, size)
        with catch_disk_full(self.folder, size), TemporaryFile(dir=self.folder) as file:  # unlinked
            allocate(file, size)
            mapped = np.memmap(file, np.uint8, "r+", shape=shape)
        self.in_files += size
        return mapped


def allocate(file: BinaryIO, size: int) -> None:
    """Reserve `size` bytes on disk for an empty file.

    Writing to a mapped sparse file on a full disk would kill the process without a message (SIGBUS).

    Raises:
        OSError: If the disk has no room for it.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    file.writelines(bytes(min(CHUNK, size - start)) for start in range(0, size, CHUNK))  # macOS
    file.flush()


@dataclass(frozen=True, slots=True)
class Split:
    """Samples of a run's classes; row i of everything is sample i, and an input is None where no branch looks at it."""

    sample_ids: tuple[str, ...]  # see `Sample.sample_id`
    targets: Int64[Tensor, " N"]  # the run's targets, on the CPU
    roi: UInt8[Tensor, "N S S 3"] | None
    extra_roi: UInt8[Tensor, "N S S 3"] | None
    photo: UInt8[Tensor, "N S S 4"] | None = None

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.sample_ids)

    @property
    def inputs(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """As `Batch.inputs`, with channels last."""
        return self.roi, self.extra_roi, self.photo

    @property
    def nbytes(self) -> int:
        """Bytes of all inputs."""
        return sum(view.nbytes for view in self.inputs if view is not None)

    def stream(self, micro_batches: Iterable[MicroBatch], device: torch.device) -> Iterator[Batch]:
        """Yield the samples of every micro-batch, in order, on a device."""
        for rows, flips in micro_batches:
            inputs: list[Tensor | None] = []
            for view, column in zip(self.inputs, (0, 1, 0), strict=True):
                images = None
                if view is not None:
                    images = _send(view.index_select(0, rows.to(view.device)), device)
                    if flips is not None:
                        images = hflip(images, flips[:, column].to(device))
                    images = images.permute(0, 3, 1, 2)  # channels last in memory, as the models want them
                inputs.append(images)
            yield Batch(rows, _send(self.targets[rows], device), *inputs)

    def resident(self, device: torch.device, allowed: int) -> "Split":
        """Return the split with its inputs on a GPU if they take at most `allowed` bytes, else unchanged."""
        if device.type != "cuda" or self.nbytes > allowed:
            return self
        roi, extra_roi, photo = (None if view is None else view.to(device) for view in self.inputs)
        return replace(self, roi=roi, extra_roi=extra_roi, photo=photo)


def hflip(images: UInt8[Tensor, "B S S C"], flips: Bool[Tensor, " B"]) -> UInt8[Tensor, "B S S C"]:
    """Flip the images of `flips` left to right, without a synchronisation of the GPU."""
    return torch.where(flips[:, None, None, None], images.flip(2), images)


def _send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; a copy to a GPU is asynchronous."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def load_split(
    shards: Shards, name: str, classes: ClassMap, *, views: frozenset[InputName], budget: MemoryBudget | None = None
) -> Split:
    """Read the samples of a split whose category the run has, and of them only `views`.

    The budget says where pixels may go; the batches are the same. None keeps all in memory.

    Raises:
        DatasetError: If no sample is left.
        ManifestError: If a shard is absent or damaged.
        SpaceError: If neither memory nor disk has room for the pixels.
    """
    shape = (shards.rows(name), shards.image_size, shards.image_size)
    empty: Callable[[tuple[int, ...]], np.ndarray]
    empty = partial(np.empty, dtype=np.uint8) if budget is None else budget.empty
    pixels = {view: empty((*shape, 4 if view == "photo" else 3)) for view in INPUT_NAMES if view in views}
    ids, targets = list[str](), list[np.ndarray]()
    for batch in shards.batches(name):
        mapped = classes.index[batch.targets]
        kept = np.flatnonzero(mapped != EXCLUDED)
        for view, array in pixels.items():
            array[len(ids) : len(ids) + len(kept)] = getattr(batch, view)[kept]
        ids.extend(batch.sample_ids[row] for row in kept)
        targets.append(mapped[kept])
        del batch  # or it would stay in memory while the next one is read
    if not ids:
        raise DatasetError(f"{shards.folder}: split {name!r} has no sample of the run's {len(classes.names)} classes")
    pa.default_memory_pool().release_unused()  # Arrow would keep it for as long as the run trains
    inputs = (torch.from_numpy(pixels[view][: len(ids)]) if view in views else None for view in INPUT_NAMES)
    return Split(tuple(ids), torch.from_numpy(np.concatenate(targets)), *inputs)
