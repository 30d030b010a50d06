"""Samples of one split in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from pipeline.datasets.class_set import EXCLUDED, ClassMap
from pipeline.datasets.shards import Shards
from pipeline.errors import DatasetError
from pipeline.models.pixels import to_tensor
from pipeline.training.batches import Batch, Draw


@dataclass(frozen=True, slots=True)
class Split:
    """Samples of a run's classes; row i of every tensor is sample i."""

    sample_ids: tuple[str, ...]
    """`<split>/<photo stem>/<category id>`."""
    targets: Int64[Tensor, " N"]
    """The run's targets."""
    roi: UInt8[Tensor, "N 3 S S"] | None
    """ROI views; None where no branch looks at them."""
    extra_roi: UInt8[Tensor, "N 3 S S"] | None
    """Extra-ROI views; None where no branch looks at them."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.sample_ids)

    def stream(self, draws: Iterable[Draw], device: torch.device) -> Iterator[Batch]:
        """Yield the samples of every draw, in order, on a device."""
        for rows, mirror in draws:
            yield Batch(
                rows=rows,
                targets=self.targets[rows].to(device),
                roi=_view(self.roi, rows, device, None if mirror is None else mirror[:, 0]),
                extra_roi=_view(self.extra_roi, rows, device, None if mirror is None else mirror[:, 1]),
            )


def _view(
    pixels: UInt8[Tensor, "N 3 S S"] | None,
    rows: Int64[Tensor, " B"],
    device: torch.device,
    mirror: Bool[Tensor, " B"] | None,
) -> UInt8[Tensor, "B 3 S S"] | None:
    if pixels is None:
        return None
    chosen = pixels[rows].to(device)
    if mirror is None:
        return chosen
    return torch.where(mirror.to(device)[:, None, None, None], chosen.flip(3), chosen)


def load_split(shards: Shards, name: str, classes: ClassMap, *, views: frozenset[str]) -> Split:
    """Read the samples of a split whose category the run has; uint8, so a view takes 3 S^2 bytes a sample.

    Args:
        shards: Where to read.
        name: `train` or `test`.
        classes: Which categories the run has.
        views: Which of `roi` and `extra_roi` to keep.

    Raises:
        DatasetError: If no sample is left.
        ManifestError: If a shard is absent or damaged.
    """
    ids: list[str] = []
    targets: list[np.ndarray] = []
    pixels: dict[str, list[Tensor]] = {view: [] for view in sorted(views)}
    for batch in shards.batches(name):
        mapped = classes.index[batch.targets]
        rows = np.flatnonzero(mapped != EXCLUDED)
        ids.extend(batch.sample_ids[row] for row in rows)
        targets.append(mapped[rows])
        for view, parts in pixels.items():
            parts.append(to_tensor(getattr(batch, view)[rows]))
    if not ids:
        raise DatasetError(f"{shards.folder}: split {name!r} has no sample of the run's {len(classes.names)} classes")
    joined = {view: torch.cat(parts) for view, parts in pixels.items()}
    return Split(tuple(ids), torch.from_numpy(np.concatenate(targets)), joined.get("roi"), joined.get("extra_roi"))
