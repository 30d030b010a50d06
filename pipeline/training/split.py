"""Samples of one split: read once, then drawn in any order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from pipeline.datasets.class_set import EXCLUDED, ClassMap
from pipeline.datasets.shards import Shards, ViewBatch
from pipeline.errors import DatasetError
from pipeline.training.batches import Batch, Draw
from pipeline.training.views import Complement, PhotoSums, View, ViewStore, bytes_of, gather


@dataclass(frozen=True, slots=True)
class Split:
    """Samples of a run's classes; row i of everything is sample i."""

    sample_ids: tuple[str, ...]
    """`<split>/<photo stem>/<category id>`."""
    targets: Int64[Tensor, " N"]
    """The run's targets."""
    roi: View | None
    """ROI views; None where no branch looks at them."""
    extra_roi: View | Complement | None
    """Extra-ROI views; None where no branch looks at them."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.sample_ids)

    def stream(self, draws: Iterable[Draw], device: torch.device) -> Iterator[Batch]:
        """Yield the samples of every draw, in order, on a device."""
        for rows, mirror in draws:
            flips = (None, None) if mirror is None else (mirror[:, 0], mirror[:, 1])
            yield Batch(
                rows=rows,
                targets=_sent(self.targets[rows], device),
                roi=None if self.roi is None else _sent(gather(self.roi, rows, flips[0]), device),
                extra_roi=None if self.extra_roi is None else _sent(gather(self.extra_roi, rows, flips[1]), device),
            )

    def resident(self, device: torch.device, allowed: int) -> "Split":
        """Return the samples with their pixels on a GPU, where batches are then made without a look at the CPU.

        Args:
            device: Where batches will be wanted; a CPU already has them.
            allowed: Bytes that the pixels may take there; what does not fit stays, and is sent batch by batch.
        """
        views = [view for view in (self.roi, self.extra_roi) if view is not None]
        if device.type != "cuda" or sum(map(bytes_of, views)) > allowed:
            return self
        roi = None if self.roi is None else self.roi.to(device)
        extra_roi = self.extra_roi
        if isinstance(extra_roi, Complement) and roi is not None:
            extra_roi = Complement(roi, extra_roi.sums.to(device), extra_roi.photos)
        elif isinstance(extra_roi, Tensor):
            extra_roi = extra_roi.to(device)
        return Split(self.sample_ids, self.targets, roi, extra_roi)


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; a GPU fetches it from memory that stays in place, and nobody waits for that."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def bytes_of_split(shards: Shards, name: str, *, views: frozenset[str]) -> int:
    """Return how much memory a split takes at most, in bytes."""
    return int(shards.rows(name) * len(views) * 3 * shards.image_size**2)


def load_split(
    shards: Shards, name: str, classes: ClassMap, *, views: frozenset[str], scratch: Path | None = None
) -> Split:
    """Read the samples of a split whose category the run has, as bytes.

    A lone view takes 3 S^2 bytes a sample, both take 3 S^2 bytes a sample and as much a photo. In memory there is one
    shard beside that.

    Args:
        shards: Where to read.
        name: `train` or `test`.
        classes: Which categories the run has.
        views: Which of `roi` and `extra_roi` to keep.
        scratch: Folder for a file of raw pixels that the system pages in, for splits larger than memory; the batches
            are the same. None keeps the pixels in memory.

    Raises:
        DatasetError: If no sample is left.
        ManifestError: If a shard is absent or damaged.
    """
    filling = _Filling(shards, name, views, scratch)
    ids: list[str] = []
    targets: list[np.ndarray] = []
    for batch in shards.view_batches(name, views):
        mapped = classes.index[batch.targets]
        rows = np.flatnonzero(mapped != EXCLUDED)
        ids.extend(batch.sample_ids[row] for row in rows)
        targets.append(mapped[rows])
        filling.append(batch, rows)
        del batch  # or it would stay while the next one is read
    if not ids:
        raise DatasetError(f"{shards.folder}: split {name!r} has no sample of the run's {len(classes.names)} classes")
    return Split(tuple(ids), torch.from_numpy(np.concatenate(targets)), *filling.views())


class _Filling:
    """Pixels of a split while it is read."""

    def __init__(self, shards: Shards, name: str, views: frozenset[str], scratch: Path | None) -> None:
        self.stores = {
            view: ViewStore(shards.rows(name), shards.image_size, scratch and scratch / f"{name}-{view}.pixels")
            for view in sorted(views)
        }
        self.sums = PhotoSums(self.stores["extra_roi"]) if len(views) > 1 else None

    def append(self, batch: ViewBatch, rows: Int64[np.ndarray, " N"]) -> None:
        whole = len(rows) == len(batch.targets)  # which spares a copy
        pixels = {view: pictures if whole else pictures[rows] for view, pictures in batch.views.items()}
        if self.sums is not None:
            self.sums.append(pixels["roi"], pixels.pop("extra_roi"))
        for view, pictures in pixels.items():
            self.stores[view].append(pictures)

    def views(self) -> tuple[View | None, View | Complement | None]:
        views = {view: store.view for view, store in self.stores.items()}
        if self.sums is None:
            return views.get("roi"), views.get("extra_roi")
        return views["roi"], self.sums.complement(views["roi"])
