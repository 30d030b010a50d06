"""Permute the patches of a cut-out, or move it, and store the results; supplement B of the paper, Figure 7.

Arrays are letterboxed, as shards hold them: the photo's rectangle centred on a square canvas.

One backbone on photo and mask gets a photo put together again: the ROI, wherever it has gone with its mask, lies over
the extra-ROI, wherever that has gone. So the ROI hides what it lies on, and leaves a hole of gray level `fill`, which
belongs to no region, where it was.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float64, Int64, UInt8

from pipeline.arrays import Photos, Targets
from pipeline.datasets.sample_batch import ROI, VIEW_NAMES, InputName, SampleBatch, ViewName, photo_id_of, photo_pixels
from pipeline.evaluation.metrics import CONVENTIONS, DIGITS, macro_f1, top1
from pipeline.evaluation.predictions import SCHEMA_VERSION, read_versioned
from pipeline.imaging.letterbox import Rect
from pipeline.params.stages import PerturbParams

Pixels: TypeAlias = UInt8[np.ndarray, "H W C"]
Canvases: TypeAlias = UInt8[np.ndarray, "N S S C"]  # square pictures or region indicators of any number of channels


class Placed(NamedTuple):
    """A picture and where its top left corner goes on the canvas; parts may fall off."""

    content: Pixels
    top: int  # row of the first row of `content`, negative above the canvas
    left: int  # likewise of the first column


@dataclass(frozen=True, slots=True)
class Permutation:
    """Shuffle square patches of the rectangle, padded evenly with black to whole patches."""

    patch_size: int  # side in pixels
    seed: int  # seed of the study
    number: int  # among the permutations of that seed

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

    right: int  # in pixels, negative to the left; `down` negative upwards
    down: int
    origin: Literal["corner", "center"]  # from the canvas's top left corner, as released, or from the letterbox

    def place(self, content: Pixels, rect: Rect, *, side: int, sample_id: str, branch: ViewName) -> Placed:
        """Return the rectangle's pixels and their new place."""
        del side, sample_id, branch
        top, left = (0, 0) if self.origin == "corner" else (rect.top, rect.left)
        return Placed(content, top=top + self.down, left=left + self.right)


Perturbation: TypeAlias = Permutation | Translocation  # something done to the photo's rectangle of one view


def patch_order(
    patches: int, seed: int, number: int, sample_id: str, branch: ViewName
) -> Int64[np.ndarray, " patches"]:
    """Return a uniform permutation, by a hash: NumPy may change the stream of a Generator between versions."""
    key = f"{seed}\n{number}\n{branch}\n{sample_id}".encode()
    draws = np.frombuffer(hashlib.shake_256(key).digest(8 * patches), "<u8")
    return np.argsort(draws, kind="stable")


def permute_patches(
    content: Pixels, order: Int64[np.ndarray, " patches"], patch_size: int
) -> UInt8[np.ndarray, "Hp Wp C"]:
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
    moved: UInt8[np.ndarray, "Hp Wp C"] = shuffled.swapaxes(1, 2).reshape(padded.shape)
    return moved


def paste(placed: Placed, canvas: Pixels) -> None:
    """Write a picture onto `canvas`, cut off at its edges."""
    content, top, left = placed
    rows = slice(max(top, 0), max(top + content.shape[0], 0))
    columns = slice(max(left, 0), max(left + content.shape[1], 0))
    target = canvas[rows, columns]
    first_row, first_column = max(-top, 0), max(-left, 0)
    target[:] = content[first_row : first_row + target.shape[0], first_column : first_column + target.shape[1]]


def perturb_canvases(
    perturbation: Perturbation,
    canvases: Canvases,
    batch: SampleBatch,
    *,
    branch: ViewName,
    background: int | tuple[int, ...],
) -> Canvases:
    """Perturb the rectangle of every sample's canvas; each result depends on that sample and branch alone.

    Args:
        perturbation: What is done to the rectangle.
        canvases: One a sample.
        batch: Place of each photo, and the identity of each sample, which seeds its permutations.
        branch: View that the canvases belong to.
        background: Value in [0, 255] around the photo, of all channels or of each.
    """
    moved = np.full_like(canvases, background)
    for canvas, target, place, sample_id in zip(canvases, moved, batch.rects.tolist(), batch.sample_ids, strict=True):
        rect = Rect(*place)
        content = canvas[rect.inside]
        paste(perturbation.place(content, rect, side=len(canvas), sample_id=sample_id, branch=branch), target)
    return moved


def perturb_photos(spec: "PerturbationSpec", batch: SampleBatch, *, pad: int) -> Photos:
    """Return whole photos whose ROI, extra-ROI or both are perturbed as the cut-outs are, with their regions."""
    around, photo = (*(pad,) * 3, 0), batch.photo
    hole = np.array((*(batch.fill,) * 3, 0), np.uint8)
    roi, extra_roi = photo, np.where(photo[..., 3:] == ROI, hole, photo)
    if spec.roi is not None:
        roi = perturb_canvases(spec.roi, photo, batch, branch="roi", background=around)
    if spec.extra_roi is not None:
        extra_roi = perturb_canvases(spec.extra_roi, extra_roi, batch, branch="extra_roi", background=around)
    return np.where(roi[..., 3:] == ROI, roi, extra_roi)


def region_sizes(levels: Canvases) -> Int64[np.ndarray, "N 2"]:
    """Return the pixels of the photo and of a region; levels are 2 in it, 1 on the rest of the photo, else 0."""
    # Row by row: along an axis, count_nonzero first turns every pixel into 8 bytes.
    sizes = [(np.count_nonzero(level), np.count_nonzero(level > 1)) for level in levels]
    return np.array(sizes, np.int64).reshape(-1, 2)


def kept_shares(before: Int64[np.ndarray, "N 2"], after: Int64[np.ndarray, "N 2"]) -> Float64[np.ndarray, "N 2"]:
    """Return the share in [0, 1] of sizes that is left; NaN where there was nothing."""
    shares: Float64[np.ndarray, "N 2"] = np.divide(after, before, out=np.full(after.shape, np.nan), where=before > 0)
    return shares


ViewShares: TypeAlias = dict[tuple[ViewName, Perturbation], Float64[np.ndarray, "N 2"]]
"""Shares in [0, 1] of the photo's pixels and of the view's pixels still on the canvas; NaN where there are none."""


def view_shares(batch: SampleBatch, branch: ViewName, perturbations: Iterable[Perturbation]) -> ViewShares:
    """Return the shares of the photo's pixels, and of those that a view shows, still on the canvas."""
    photo = photo_pixels(batch)
    shown = batch.masks if branch == "roi" else photo & ~batch.masks
    levels: Canvases = (photo.astype(np.uint8) + shown)[..., np.newaxis]
    sizes, shares = region_sizes(levels), {}
    for each in perturbations:
        moved = perturb_canvases(each, levels, batch, branch=branch, background=0)
        shares[branch, each] = kept_shares(sizes, region_sizes(moved))
    return shares


Target: TypeAlias = Literal["roi", "extra_roi", "both"]


@dataclass(frozen=True, slots=True)
class PerturbationKey:
    """Joins a perturbed evaluation with cells of the paper's Tables 10 to 12.

    Permutations of all seeds share a key. Patch size, origin and direction of dy are not part of it: where they differ
    from the paper's, the cell says so.
    """

    target: Target
    offset: tuple[int, int] | None = None  # (dx, dy) of a translocation in pixels at 224; None for a permutation

    @property
    def kind(self) -> Literal["permutation", "translocation"]:
        """Kind of the perturbation."""
        return "permutation" if self.offset is None else "translocation"

    def __str__(self) -> str:
        """Return its name in result files, for instance `translocation by (-30, 63)`."""
        return f"permutation of {self.target}" if self.offset is None else f"translocation by {self.offset}"


class PerturbationSpec(NamedTuple):
    """One perturbed evaluation of the test set; None leaves a view as it is."""

    roi: Permutation | None
    extra_roi: Permutation | Translocation | None
    offset: tuple[int, int] | None  # (dx, dy) of a translocation as the parameters give it

    def of(self, branch: ViewName) -> Perturbation | None:
        """Return the perturbation of one view."""
        return self.roi if branch == "roi" else self.extra_roi

    @property
    def key(self) -> PerturbationKey:
        """Key of its cells in the tables."""
        return PerturbationKey("extra_roi" if not self.roi else "both" if self.extra_roi else "roi", self.offset)


def plan_perturbations(
    params: PerturbParams, side: int, branches: tuple[InputName, ...]
) -> tuple[PerturbationSpec, ...]:
    """List the perturbed evaluations of a run on cut-outs of `side` pixels, in the order of the paper's tables.

    `both` uses the permutations of the single views, so no branch sees an input twice. A whole photo has both views.
    """
    if "photo" in branches:
        branches = VIEW_NAMES
    permutations = [Permutation(params.patch_size, params.seed, n) for n in range(params.permutation_seeds)]
    specs: list[PerturbationSpec] = []
    if "roi" in branches:
        specs += [PerturbationSpec(p, None, None) for p in permutations]
    if "extra_roi" in branches:
        specs += [PerturbationSpec(None, p, None) for p in permutations]
    if {"roi", "extra_roi"} <= set(branches):
        specs += [PerturbationSpec(p, p, None) for p in permutations]
    if "extra_roi" in branches:
        # The corner's identity separates the lost centring from the shift.
        moved = [PerturbationSpec(None, Translocation(0, 0, "corner"), (0, 0))]
        moved += [PerturbationSpec(None, translocation(offset, params, side), offset) for offset in params.offsets]
        specs += dict.fromkeys(moved)
    return tuple(specs)


def translocation(offset: tuple[int, int], params: PerturbParams, side: int) -> Translocation:
    """Scale an offset (dx, dy) to a canvas of `side` pixels and give dy its direction."""
    dx, dy = (scale_offset(value, params.offset_size, side) for value in offset)
    return Translocation(right=dx, down=params.dy_sign * dy, origin=params.origin)


def scale_offset(value: int, offset_size: int, side: int) -> int:
    """Return `value * side / offset_size` rounded half away from zero, in whole numbers so that no machine differs."""
    rounded = (2 * abs(value) * side + offset_size) // (2 * offset_size)
    return rounded if value >= 0 else -rounded


PERTURBATION_CONVENTIONS = {
    "change_top1": "top1 under the perturbation minus top1 without; negative is worse.",
    "permutation": "Patches of the photo's rectangle, padded evenly with black to whole patches, are "
    "shuffled and centred; the gray around is not shuffled. Every sample and branch has a permutation of its own; "
    "`seed` numbers independent ones. `both` uses the permutations of `roi` and `extra_roi`.",
    "translocation": "The photo's rectangle on a gray canvas, moved by `pixels` (right, down). `corner` starts from "
    "the canvas's top left corner, so that (0, 0) differs from plain input by the lost centring alone; `center` "
    "starts from the letterbox. `dx`, `dy` are the offsets as params.yaml gives them.",
    "photo_kept": "Share of the photo's pixels still on the canvas, mean over samples; mean of both views for `both`.",
    "roi_kept": "Share of the ROI's pixels still on the canvas, mean over samples that have any; null where not moved.",
    "extra_roi_kept": "The same of the extra-ROI's pixels.",
}
"""Sentence by name; part of metrics.json of stage `perturb`."""


class KeptShares(NamedTuple):
    """Running mean of the shares of pixels still on the canvas, by perturbation and region (photo, ROI, extra-ROI)."""

    total: Float64[np.ndarray, "E 3"]
    samples: Int64[np.ndarray, "E 3"]  # samples that have such a share

    @staticmethod
    def empty(specs: int) -> "KeptShares":
        """Return the mean over no samples."""
        return KeptShares(np.zeros((specs, 3)), np.zeros((specs, 3), np.int64))

    def add(self, shares: Float64[np.ndarray, "E N 3"]) -> "KeptShares":
        """Return the running mean with another batch; NaN counts as no share."""
        return KeptShares(self.total + np.nansum(shares, axis=1), self.samples + (~np.isnan(shares)).sum(axis=1))

    def mean(self, spec: int, region: int) -> float | None:
        """Return a mean share in [0, 1]; None where no sample has one."""
        samples = int(self.samples[spec, region])
        return round(float(self.total[spec, region]) / samples, DIGITS) if samples else None


def perturbation_metrics(
    specs: Sequence[PerturbationSpec], targets: Targets, predictions: Int64[np.ndarray, "P N"], kept: KeptShares
) -> dict[str, object]:
    """Return metrics.json of a run without its name; fractions rounded to six places."""
    plain = top1(targets, predictions[0])
    return {
        "plain_top1": round(plain, DIGITS),
        "plain_macro_f1": round(macro_f1(targets, predictions[0]), DIGITS),
        "entries": [
            {
                **describe_perturbation(spec),
                "top1": round(top1(targets, row), DIGITS),
                "macro_f1": round(macro_f1(targets, row), DIGITS),
                "change_top1": round(top1(targets, row) - plain, DIGITS),
                **{f"{name}_kept": kept.mean(i, column) for column, name in enumerate(("photo", "roi", "extra_roi"))},
            }
            for i, (spec, row) in enumerate(zip(specs, predictions[1:], strict=True))
        ],
        "conventions": {name: CONVENTIONS[name] for name in ("prediction", "top1", "macro_f1")}
        | PERTURBATION_CONVENTIONS,
    }


def describe_perturbation(spec: PerturbationSpec) -> dict[str, object]:
    """Return the settings of a perturbation as metrics.json names them."""
    settings = dict.fromkeys(("kind", "target", "seed", "patch_size", "dx", "dy", "origin", "pixels"))
    named: dict[str, object] = settings | {"kind": spec.key.kind, "target": spec.key.target}
    match spec.roi or spec.extra_roi:
        case Permutation(patch_size, _, number):
            named |= {"seed": number, "patch_size": patch_size}
        case Translocation(right, down, origin):
            dx, dy = spec.offset or (None, None)
            named |= {"dx": dx, "dy": dy, "origin": origin, "pixels": [right, down]}
    return named


def write_perturbed_predictions(
    sample_ids: Sequence[str],
    targets: Targets,
    predictions: Int64[np.ndarray, "P N"],
    specs: Sequence[PerturbationSpec],
    path: Path,
) -> None:
    """Write one row per sample: its target, its plain prediction, and the predictions under every perturbation."""
    perturbed = np.ascontiguousarray(predictions[1:].T, np.int32)
    columns = {
        "sample_id": pa.array(sample_ids, pa.string()),
        "photo_id": pa.array([photo_id_of(i) for i in sample_ids], pa.string()),
        "target": pa.array(targets.astype(np.int32)),
        "prediction": pa.array(predictions[0].astype(np.int32)),
        "perturbed": pa.FixedSizeListArray.from_arrays(pa.array(perturbed.ravel()), len(specs)),
    }
    entries = json.dumps([describe_perturbation(spec) for spec in specs])
    metadata = {"schema_version": str(SCHEMA_VERSION), "entries": entries}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, compression="zstd")


def read_perturbed_predictions(path: Path) -> Int64[np.ndarray, "E N"]:
    """Return the predictions under every entry of metrics.json, in its order; columns in the order of the test split.

    Raises:
        ManifestError: If the file is absent, damaged, or of another version.
    """

    def parse(table: pa.Table) -> Int64[np.ndarray, "E N"]:
        column = table["perturbed"].combine_chunks()
        if not (pa.types.is_fixed_size_list(column.type) and column.type.value_type == pa.int32()):
            raise ValueError(f"column perturbed is of {column.type}")
        entries: Int64[np.ndarray, "E N"] = column.flatten().to_numpy().reshape(len(table), -1).T.astype(np.int64)
        return entries

    return read_versioned(path, "perturb", parse)
