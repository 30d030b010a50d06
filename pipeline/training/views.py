"""Batches of one kind of view, drawn from whatever keeps its pixels.

Channels lie last in memory, as in the shards and as the models want them, so no pixel is ever put in another order.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from pipeline.training.kept_views import RegionViews, RestViews

View: TypeAlias = UInt8[Tensor, "N 3 S S"]
ROWS_AT_A_TIME = 256
"""Of a tensor on its way to a GPU; 38 MB at 224 pixels."""


class Complement(NamedTuple):
    """Extra-ROI views on a GPU, as what the ROI leaves of the sum of both views, which is the same all over a photo."""

    roi: View
    """ROI views."""
    sums: UInt8[Tensor, "P 3 S S"]
    """Sum of both views modulo 256, by photo."""
    photos: Int64[Tensor, " N"]
    """Row of `sums` by sample, on the CPU."""


def gather(
    view: RegionViews | RestViews | View | Complement, rows: Int64[Tensor, " B"], mirror: Bool[Tensor, " B"] | None
) -> UInt8[Tensor, "B 3 S S"]:
    """Return some samples where the view is, those of `mirror` flipped left to right; rows and flips on the CPU."""
    if isinstance(view, Tensor | Complement):
        return _at_once(view, rows, mirror).permute(0, 3, 1, 2)
    pictures = torch.empty((len(rows), view.size, view.size, 3), dtype=torch.uint8)
    mirrored = [False] * len(rows) if mirror is None else mirror.tolist()
    # One after another, so that each is finished while it is in the processor's nearest memory.
    for picture, row, turned in zip(pictures.numpy(), rows.tolist(), mirrored, strict=True):
        view.draw(row, picture, mirrored=turned)
    return pictures.permute(0, 3, 1, 2)


def _at_once(
    view: View | Complement, rows: Int64[Tensor, " B"], mirror: Bool[Tensor, " B"] | None
) -> UInt8[Tensor, "B S S 3"]:
    """Tell a GPU what to do without ever asking it anything, such as how many are flipped: that would make it wait."""
    if isinstance(view, Complement):
        chosen = _rows_of(view.sums, view.photos[rows]).sub_(_rows_of(view.roi, rows))
    else:
        chosen = _rows_of(view, rows)
    if mirror is None:
        return chosen
    return torch.where(mirror.to(chosen.device)[:, None, None, None], chosen.flip(2), chosen)


def _rows_of(view: View, rows: Int64[Tensor, " B"]) -> UInt8[Tensor, "B S S 3"]:
    # Ten times as fast as indexing by a tensor.
    return view.permute(0, 2, 3, 1).index_select(0, rows.to(view.device))


def whole(view: RegionViews | RestViews, rows: Sequence[int], device: torch.device) -> View:
    """Return views of some samples as one tensor on a device."""
    pixels = torch.empty((len(rows), view.size, view.size, 3), dtype=torch.uint8, device=device).permute(0, 3, 1, 2)
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        some = slice(start, start + ROWS_AT_A_TIME)
        pixels[some] = gather(view, torch.tensor(rows[some]), None).to(device)
    return pixels
