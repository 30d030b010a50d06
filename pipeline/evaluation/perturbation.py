"""Permute the patches of a cut-out, or move it; supplement B of the paper, Figure 7.

Arrays come letterboxed, as shards hold them: the photo's rectangle centred on a square canvas.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from pipeline.datasets.sample_batch import SampleBatch, ViewName
from pipeline.imaging.letterbox import Rect
from pipeline.params.stages import PerturbParams

Pixels: TypeAlias = UInt8[np.ndarray, "H W C"]
Padded: TypeAlias = UInt8[np.ndarray, "Hp Wp C"]
"""Height and width rounded up to whole patches."""
Canvases: TypeAlias = UInt8[np.ndarray, "N S S C"]
"""Square pictures or region indicators of any number of channels."""


class Placed(NamedTuple):
    """A picture and where its top left corner goes on the canvas; parts may fall off."""

    content: Pixels
    """What is pasted."""
    top: int
    """Row of the first row of `content`, negative above the canvas."""
    left: int
    """Column of the first column of `content`, negative left of the canvas."""


@dataclass(frozen=True, slots=True)
class Permutation:
    """Shuffle square patches of the rectangle, padded evenly with black to whole patches; the gray around stays."""

    patch_size: int
    """Side of a patch in pixels."""
    seed: int
    """Seed of the study."""
    number: int
    """Which of the independent permutations of that seed."""

    def place(self, content: Pixels, rect: Rect, *, side: int, sample_id: str, branch: ViewName) -> Placed:
        """Shuffle and centre, the extra pixel left and top, as the letterbox does.

        Where `side` is no multiple of the patch size, whole patches may overhang the canvas and are cut off evenly.
        """
        del rect
        patches = -(-content.shape[0] // self.patch_size) * -(-content.shape[1] // self.patch_size)
        order = patch_order(patches, self.seed, self.number, sample_id, branch)
        shuffled = permute_patches(content, order, self.patch_size)
        height, width = shuffled.shape[:2]
        return Placed(shuffled, top=(side - height + 1) // 2, left=(side - width + 1) // 2)


@dataclass(frozen=True, slots=True)
class Translocation:
    """Paste the rectangle elsewhere on a gray canvas."""

    right: int
    """Shift in pixels, negative to the left."""
    down: int
    """Shift in pixels, negative upwards."""
    origin: Literal["corner", "center"]
    """Shift from the canvas's top left corner, as released, or from the letterbox: a true shift."""

    def place(self, content: Pixels, rect: Rect, *, side: int, sample_id: str, branch: ViewName) -> Placed:
        """Return the rectangle's pixels and their new place."""
        del side, sample_id, branch
        top, left = (0, 0) if self.origin == "corner" else (rect.top, rect.left)
        return Placed(content, top=top + self.down, left=left + self.right)


Perturbation: TypeAlias = Permutation | Translocation
"""Something done to the photo's rectangle of one view."""


def patch_order(
    patches: int, seed: int, number: int, sample_id: str, branch: ViewName
) -> Int64[np.ndarray, " patches"]:
    """Return a uniform permutation that depends on the arguments alone, not on what was drawn before.

    A hash instead of a Generator: NumPy may change a Generator's stream between versions.
    """
    key = f"{seed}\n{number}\n{branch}\n{sample_id}".encode()
    draws = np.frombuffer(hashlib.shake_256(key).digest(8 * patches), "<u8")
    return np.argsort(draws, kind="stable")


def permute_patches(content: Pixels, order: Int64[np.ndarray, " patches"], patch_size: int) -> Padded:
    """Pad with black to whole patches and put patch `order[i]` at place i (row-major).

    As in the released code, half of the padding, rounded down, lies above and to the left, the rest below and right.
    """
    height, width, channels = content.shape
    rows, columns = -(-height // patch_size), -(-width // patch_size)
    padded = np.zeros((rows * patch_size, columns * patch_size, channels), np.uint8)
    top, left = (padded.shape[0] - height) // 2, (padded.shape[1] - width) // 2
    padded[top : top + height, left : left + width] = content
    patches = padded.reshape(rows, patch_size, columns, patch_size, channels).swapaxes(1, 2)
    shuffled = patches.reshape(rows * columns, -1)[order].reshape(patches.shape)
    moved: Padded = shuffled.swapaxes(1, 2).reshape(padded.shape)
    return moved


def paste(placed: Placed, canvas: Pixels) -> None:
    """Write a picture onto `canvas`; what falls off is lost."""
    content, top, left = placed
    rows = slice(max(top, 0), max(top + content.shape[0], 0))
    columns = slice(max(left, 0), max(left + content.shape[1], 0))
    target = canvas[rows, columns]
    first_row, first_column = max(-top, 0), max(-left, 0)
    target[:] = content[first_row : first_row + target.shape[0], first_column : first_column + target.shape[1]]


def perturb_canvases(
    perturbation: Perturbation, canvases: Canvases, batch: SampleBatch, *, branch: ViewName, background: int
) -> Canvases:
    """Perturb every sample's rectangle; each result depends on that sample alone.

    Args:
        perturbation: What to do.
        canvases: Letterboxed pictures or regions of the batch's samples; not changed.
        batch: Where the photos lie, and their identity, which seeds the permutations.
        branch: View the canvases belong to; each is permuted on its own.
        background: Value in [0, 255] around the photo.
    """
    moved = np.full_like(canvases, background)
    rows = zip(canvases, moved, batch.rects.tolist(), batch.sample_ids, strict=True)
    for canvas, target, place, sample_id in rows:
        rect = Rect(*place)
        content = canvas[rect.inside]
        paste(perturbation.place(content, rect, side=len(canvas), sample_id=sample_id, branch=branch), target)
    return moved


def region_sizes(levels: Canvases) -> Int64[np.ndarray, "N 2"]:
    """Return the pixels of the photo and of a region in it.

    Args:
        levels: One channel: 2 inside the region, 1 on the rest of the photo, 0 around it.
    """
    # Row by row: along an axis, count_nonzero first turns every pixel into 8 bytes.
    sizes = [(np.count_nonzero(level), np.count_nonzero(level > 1)) for level in levels]
    return np.array(sizes, np.int64).reshape(-1, 2)


def kept_shares(before: Int64[np.ndarray, "N 2"], after: Int64[np.ndarray, "N 2"]) -> Float64[np.ndarray, "N 2"]:
    """Return the share in [0, 1] of sizes that is left; NaN where there was nothing."""
    shares: Float64[np.ndarray, "N 2"] = np.divide(after, before, out=np.full(after.shape, np.nan), where=before > 0)
    return shares


# Which perturbations a run goes through: Tables 10, 11 and 12.


Target: TypeAlias = Literal["roi", "extra_roi", "both"]
"""Views that are perturbed."""


@dataclass(frozen=True, slots=True)
class PerturbationKey:
    """Joins a perturbed evaluation of ours with cells of the paper's tables.

    Permutations of all seeds share a key. Patch size, origin and direction of dy are not part of it: where they differ
    from the paper's, the cell shows our number and says how it differs.
    """

    target: Target
    offset: tuple[int, int] | None = None
    """(dx, dy) of a translocation in pixels at 224; None for a permutation."""

    @property
    def kind(self) -> Literal["permutation", "translocation"]:
        """Patches shuffled, or the picture moved."""
        return "permutation" if self.offset is None else "translocation"

    def __str__(self) -> str:
        """Return how result files name it, for instance `translocation by (-30, 63)`."""
        return f"permutation of {self.target}" if self.offset is None else f"translocation by {self.offset}"


class PerturbationSpec(NamedTuple):
    """One perturbed evaluation of the test set; None leaves a view as it is."""

    roi: Permutation | None
    """What happens to the ROI view."""
    extra_roi: Permutation | Translocation | None
    """What happens to the extra-ROI view."""
    offset: tuple[int, int] | None
    """(dx, dy) of a translocation as the parameters give it."""

    def of(self, branch: ViewName) -> Perturbation | None:
        """Return what happens to one view."""
        return self.roi if branch == "roi" else self.extra_roi

    @property
    def key(self) -> PerturbationKey:
        """What the tables call it."""
        return PerturbationKey("extra_roi" if not self.roi else "both" if self.extra_roi else "roi", self.offset)


def plan_perturbations(
    params: PerturbParams, side: int, branches: tuple[ViewName, ...]
) -> tuple[PerturbationSpec, ...]:
    """List the perturbed evaluations of a run in the order of the paper's tables.

    `both` permutes each view as the entries before it do, so no branch sees an input twice.

    Args:
        params: Section `perturb`.
        side: Side of the cut-outs in pixels.
        branches: Branches the run has.
    """
    permutations = [Permutation(params.patch_size, params.seed, n) for n in range(params.permutation_seeds)]
    roi = [PerturbationSpec(p, None, None) for p in permutations if "roi" in branches]
    extra_roi = [PerturbationSpec(None, p, None) for p in permutations if "extra_roi" in branches]
    both = [PerturbationSpec(p, p, None) for p in permutations if {"roi", "extra_roi"} <= set(branches)]
    return (*roi, *extra_roi, *both, *(_translocations(params, side) if "extra_roi" in branches else ()))


def _translocations(params: PerturbParams, side: int) -> tuple[PerturbationSpec, ...]:
    """Return the corner's identity, which separates centring from shifting, and every offset."""
    identity = PerturbationSpec(None, Translocation(0, 0, "corner"), (0, 0))
    entries = [PerturbationSpec(None, translocation(offset, params, side), offset) for offset in params.offsets]
    return tuple(dict.fromkeys((identity, *entries)))


def translocation(offset: tuple[int, int], params: PerturbParams, side: int) -> Translocation:
    """Scale an offset (dx, dy) to a canvas of `side` pixels and give dy its direction."""
    dx, dy = (scale_offset(value, params.offset_size, side) for value in offset)
    return Translocation(right=dx, down=params.dy_sign * dy, origin=params.origin)


def scale_offset(value: int, offset_size: int, side: int) -> int:
    """Return `value * side / offset_size` rounded half away from zero, in whole numbers so that no machine differs."""
    rounded = (2 * abs(value) * side + offset_size) // (2 * offset_size)
    return rounded if value >= 0 else -rounded
