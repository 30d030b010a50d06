"""Pixels of many samples as bytes, each photo kept once, in memory or in a file that the system pages in and out.

Channels lie last in memory, as in the shards and as the models want them, so no pixel is ever put in another order.
"""

from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from pipeline.arrays import Images

View: TypeAlias = UInt8[Tensor, "N 3 S S"]


class Complement(NamedTuple):
    """Extra-ROI views as what the ROI leaves of their photo.

    A sample's two views add up, modulo 256, to the same picture as those of every sample of its photo. That sum is
    kept once a photo instead of an extra-ROI a sample.
    """

    roi: View
    """ROI views."""
    sums: UInt8[Tensor, "P 3 S S"]
    """Sum of both views, by photo."""
    photos: Int64[Tensor, " N"]
    """Row of `sums` by sample."""


def gather(
    view: View | Complement, rows: Int64[Tensor, " B"], mirror: Bool[Tensor, " B"] | None
) -> UInt8[Tensor, "B 3 S S"]:
    """Return some samples where the view is, those of `mirror` flipped left to right; rows and flips on the CPU."""
    if isinstance(view, Complement):
        chosen = _rows_of(view.sums, view.photos.index_select(0, rows)).sub_(_rows_of(view.roi, rows))
    else:
        chosen = _rows_of(view, rows)
    return (chosen if mirror is None else _mirrored(chosen, mirror)).permute(0, 3, 1, 2)


def _rows_of(view: View, rows: Int64[Tensor, " B"]) -> UInt8[Tensor, "B S S 3"]:
    # Ten times as fast as indexing by a tensor.
    return view.permute(0, 2, 3, 1).index_select(0, rows.to(view.device))


def _mirrored(pictures: UInt8[Tensor, "B S S 3"], mirror: Bool[Tensor, " B"]) -> UInt8[Tensor, "B S S 3"]:
    if pictures.device.type != "cpu":  # how many are flipped is not asked: the answer would make a GPU wait
        return torch.where(mirror.to(pictures.device)[:, None, None, None], pictures.flip(2), pictures)
    flipped = mirror.nonzero()[:, 0]
    # NumPy's assignment takes a thirtieth of the time of `index_copy_`.
    pictures.numpy()[flipped.numpy()] = pictures.index_select(0, flipped).flip(2).numpy()
    return pictures


def bytes_of(view: View | Complement) -> int:
    """Return how much memory a view takes beside those it shares, in bytes."""
    return (view.sums if isinstance(view, Complement) else view).nbytes


class ViewStore:
    """One kind of picture, filled front to back; what is never filled takes no memory."""

    def __init__(self, rows: int, size: int, file: Path | None) -> None:
        """Make room.

        Args:
            rows: Pictures at most.
            size: Side in pixels.
            file: File to keep them in, which has no name from here on and ends with this process; None keeps them in
                memory.
        """
        shape = (rows, size, size, 3)
        if file is None:
            # NumPy asks for large pages, which take a tenth of the time to be handed out.
            self._pixels: UInt8[Tensor, "N S S 3"] = torch.from_numpy(np.empty(shape, np.uint8))
        else:
            file.unlink(missing_ok=True)
            self._pixels = torch.from_file(str(file), shared=True, size=int(np.prod(shape)), dtype=torch.uint8).view(
                shape
            )
            file.unlink()
        self.filled = 0

    def append(self, pictures: Images) -> None:
        """Take some more."""
        self._pixels.numpy()[self.filled : self.filled + len(pictures)] = pictures
        self.filled += len(pictures)

    def last(self) -> Images:
        """Return the last picture, or none."""
        return self._pixels.numpy()[max(0, self.filled - 1) : self.filled]

    @property
    def view(self) -> View:
        """What was filled, channels first in shape and last in memory."""
        return self._pixels[: self.filled].permute(0, 3, 1, 2)


class PhotoSums:
    """Sums of both views; a photo whose samples follow each other is kept once."""

    def __init__(self, store: ViewStore) -> None:
        """Begin without a photo."""
        self.store, self._photos = store, list[int]()

    def append(self, roi: Images, extra_roi: Images) -> None:
        """Take the next samples."""
        for one, other in zip(roi, extra_roi, strict=True):
            total = np.add(one, other)  # modulo 256
            if not np.array_equal(self.store.last(), total[np.newaxis]):
                self.store.append(total[np.newaxis])
            self._photos.append(self.store.filled - 1)

    def complement(self, roi: View) -> Complement:
        """Return the extra-ROI views of everything taken so far."""
        return Complement(roi, self.store.view, torch.tensor(self._photos))
