"""Samples of one split: read once, then drawn in any order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int64
from torch import Tensor

from pipeline.datasets.class_set import EXCLUDED, ClassMap
from pipeline.datasets.layout import SPLITS
from pipeline.datasets.sample_batch import VIEW_NAMES, ViewName
from pipeline.datasets.shards import Shards
from pipeline.datasets.view_batches import ViewBatch, view_batches
from pipeline.errors import DatasetError
from pipeline.imaging.letterbox import Rect
from pipeline.training.batches import Batch, Draw
from pipeline.training.filling import COPIES, PhotoFilling, RegionFilling
from pipeline.training.kept_views import NOTHING, Grays, RegionViews, RestViews
from pipeline.training.pixel_store import PixelStore, Room
from pipeline.training.views import Complement, View, gather, whole


@dataclass(frozen=True, slots=True)
class Split:
    """Samples of a run's classes; row i of everything is sample i."""

    sample_ids: tuple[str, ...]
    """`<split>/<photo stem>/<category id>`."""
    targets: Int64[Tensor, " N"]
    """The run's targets."""
    roi: RegionViews | View | None
    """ROI views; None where no branch looks at them."""
    extra_roi: RestViews | View | Complement | None
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
        return self if device.type != "cuda" or self.bytes_on_gpu > allowed else self.whole(device)

    @property
    def bytes_on_gpu(self) -> int:
        """Bytes that the pixels would take on a GPU; 0 if they are there."""
        kept = [view for view in (self.roi, self.extra_roi) if isinstance(view, RegionViews | RestViews)]
        return sum(view.bytes_on_gpu for view in kept)

    def whole(self, device: torch.device) -> "Split":
        """Return the samples with their views as pictures on a device, extra-ROIs as what is left of their photo."""
        roi, rest = self.roi, self.extra_roi
        if roi is not None:
            roi = whole(roi, range(len(roi)), device) if isinstance(roi, RegionViews) else roi.to(device)
        if not isinstance(rest, RestViews):
            return Split(self.sample_ids, self.targets, roi, rest.to(device) if isinstance(rest, Tensor) else rest)
        if roi is None:
            return Split(self.sample_ids, self.targets, None, whole(rest, range(len(rest)), device))
        first = np.unique(rest.photo_of, return_index=True)[1]
        sums = whole(rest, first.tolist(), device) + roi[torch.from_numpy(first).to(device)]
        return Split(self.sample_ids, self.targets, roi, Complement(roi, sums, torch.tensor(rest.photo_of)))


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; a GPU fetches it from memory that stays in place, and nobody waits for that."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def load_split(
    shards: Shards, name: str, classes: ClassMap, *, views: frozenset[ViewName], room: Room | None = None
) -> Split:
    """Read the samples of a split whose category the run has, as bytes.

    A sample takes the rectangle around its region, a photo a picture, both of them twice; see `kept_views`. In memory
    there is one shard beside that.

    Args:
        shards: Where to read.
        name: `train` or `test`.
        classes: Which categories the run has.
        views: Which of `roi` and `extra_roi` to keep.
        room: Where pixels may go; the batches are the same. None keeps all in memory.

    Raises:
        DatasetError: If no sample is left.
        ManifestError: If a shard is absent or damaged.
        SpaceError: If neither memory nor disk has room for the pixels.
    """
    filling = _Filling(shards, name, views, room)
    ids: list[str] = []
    targets: list[np.ndarray] = []
    for batch in view_batches(shards, name, views):
        mapped = classes.index[batch.targets]
        rows = np.flatnonzero(mapped != EXCLUDED)
        if batch.view == filling.first:
            ids.extend(batch.sample_ids[row] for row in rows)
            targets.append(mapped[rows])
        for row in rows.tolist():
            filling.append(batch, row)
        del batch  # or it would stay while the next one is read
    if not ids:
        raise DatasetError(f"{shards.folder}: split {name!r} has no sample of the run's {len(classes.names)} classes")
    return Split(tuple(ids), torch.from_numpy(np.concatenate(targets)), *filling.views())


def load_splits(
    shards: Shards, classes: ClassMap, *, views: frozenset[ViewName], room: Room | None = None
) -> tuple[Split, ...]:
    """Read the train and the test split, see `load_split`, and give back what only reading needed."""
    splits = tuple(load_split(shards, name, classes, views=views, room=room) for name in SPLITS)
    pa.default_memory_pool().release_unused()  # 90 MB, which Arrow would keep for as long as the run trains
    return splits


class _Filling:
    """Pixels of a split while it is read."""

    def __init__(self, shards: Shards, name: str, views: frozenset[ViewName], room: Room | None) -> None:
        self.size, self.first = shards.image_size, next(view for view in VIEW_NAMES if view in views)
        store = PixelStore(shards.rows(name) * len(views) * COPIES * 3 * self.size**2, room)
        self.regions = RegionFilling(store, self.size) if "roi" in views else None
        self.photos = PhotoFilling(store, self.size) if "extra_roi" in views else None
        self.grays: Grays | None = None

    def append(self, batch: ViewBatch, row: int) -> None:
        self.grays = self.grays or Grays(batch.fill, batch.pad)
        picture, rect = batch.pixels[row], Rect(*batch.rects[row].tolist())
        if self.regions is not None and batch.view == "roi":
            self.regions.append(picture, rect, self.grays)
        elif self.photos is not None:
            sample = len(self.photos.photo_of)
            patch = NOTHING if self.regions is None else self.regions.regions[sample].patch
            self.photos.append(picture, patch, rect, self.grays.pad)

    def views(self) -> tuple[RegionViews | None, RestViews | None]:
        if self.grays is None:
            return None, None
        regions = [] if self.regions is None else self.regions.regions
        roi = None if self.regions is None else RegionViews(self.size, self.grays, regions)
        if self.photos is None:
            return roi, None
        photos, photo_of = self.photos.photos, self.photos.photo_of
        patches = [region.patch for region in regions] or [NOTHING] * len(photo_of)
        return roi, RestViews(self.size, self.grays.pad, patches, photos, photo_of)
