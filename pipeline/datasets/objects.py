"""Annotated objects: polygons and run-length encodings (RLE) as in COCO, and masks from them.

Reference:
    COCO's mask API, https://github.com/cocodataset/cocoapi: columns are run through one after the other, from 0s to 1s.
"""

import json
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int64
from pycocotools import mask as mask_api

from pipeline.arrays import Mask
from pipeline.runtime.errors import DatasetError

Counts: TypeAlias = Int64[np.ndarray, " R"]  # lengths of runs of 0 and 1 in turn, the first of 0
RELATIVE = (1, 1)  # size of a photo whose polygons have coordinates from 0 to 1
MIN_COORDINATES = 6  # three points
MAX_BEYOND = 1.0  # how far a polygon may exceed its photo, in sides of the photo; outside it has no pixel
MAX_PERIMETER = 200  # longest outline in half perimeters of the photo; pycocotools needs memory for every pixel of it
MAX_DIGITS = 7  # digits to the base of 32 of a run; more than a photo has pixels


class AnnotatedObject(NamedTuple):
    """One object of a photo, as annotated and not checked yet."""

    id: int  # number of its annotation, which is unique in the photo
    category_id: int  # id of its category
    segmentation: Any  # COCO's list of polygons `[x0, y0, x1, y1, ...]`, or mapping of `size` and `counts`


def load_json(path: Path, hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Read a JSON file; `hook` replaces each of its objects.

    Raises:
        DatasetError: If the file is no JSON.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"), object_hook=hook, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: no readable JSON ({error}); export it again") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def compact(record: dict[str, Any]) -> dict[str, Any]:
    """Replace lists of numbers in a COCO record by arrays, which need a quarter of the memory; leave all else."""
    polygons, counts = record.get("segmentation"), record.get("counts")
    try:
        if isinstance(polygons, list):
            record["segmentation"] = [array("d", polygon) for polygon in polygons]
        elif isinstance(counts, list):
            record["counts"] = array("q", counts)
    except (TypeError, OverflowError):
        pass  # refused when the mask is wanted
    return record


def mask_of(objects: Sequence[AnnotatedObject], size: tuple[int, int], scale: tuple[int, int] = RELATIVE) -> Mask:
    """Return the pixels of at least one of a photo's objects, perhaps none.

    Args:
        objects: Objects of one photo.
        size: Height and width of the mask.
        scale: Factors of rows and columns of polygons.

    Raises:
        ValueError: If a segmentation is malformed; the message names the annotation.
    """
    mask = np.zeros(size, np.bool_)
    for each in objects:
        try:
            if isinstance(each.segmentation, dict):
                mask |= _mask_of_record(each.segmentation, size)
            else:
                mask |= _mask_of_polygons(each.segmentation, size, scale)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            raise ValueError(f"annotation {each.id}: {error}") from error
    return mask


def _mask_of_polygons(polygons: Any, size: tuple[int, int], scale: tuple[int, int]) -> Mask:
    height, width = size
    drawn = []
    for polygon in polygons:
        if not isinstance(polygon, array | list | np.ndarray):
            raise TypeError("its segmentation is no list of polygons")
        points = np.array(polygon, np.float64)
        if len(points) % 2 or not len(points):
            raise ValueError(f"a polygon has {len(points)} numbers, which are no pairs of x and y")
        points = points.reshape(-1, 2) * scale[::-1]
        positions = points / (width, height)  # from 0 to 1 inside of the photo
        if not (np.isfinite(points).all() and positions.min() >= -MAX_BEYOND and positions.max() <= 1 + MAX_BEYOND):
            raise ValueError(f"a polygon lies outside of its photo of {width} x {height} pixels")
        if np.abs(np.diff(points, axis=0)).sum() > MAX_PERIMETER * (height + width):
            raise ValueError("a polygon has too long an outline")
        if points.size >= MIN_COORDINATES:
            drawn.append(points.ravel())
    if not drawn:
        return np.zeros(size, np.bool_)
    return decode_rle(mask_api.merge(mask_api.frPyObjects(drawn, height, width))["counts"], size)


def _mask_of_record(record: dict[str, Any], size: tuple[int, int]) -> Mask:
    if list(record["size"]) != list(size):
        raise ValueError(f"its RLE is for {record['size']} pixels (height, width), its photo has {list(size)}")
    counts = record["counts"]
    if isinstance(counts, str):
        return decode_rle(counts.encode("ascii"), size)
    if not isinstance(counts, array):
        raise TypeError("its counts are neither whole numbers nor a text")
    return _mask_of_counts(np.array(counts, np.int64), size)


def encode_rle(mask: Mask) -> bytes:
    """Return a mask in COCO's compressed RLE."""
    counts: bytes = mask_api.encode(np.asfortranarray(mask, np.uint8))["counts"]
    return counts


def decode_rle(rle: bytes, size: tuple[int, int]) -> Mask:
    """Return the mask of COCO's compressed RLE; pycocotools would write beyond its memory if the runs are too long.

    Args:
        rle: Digits to the base of 32, lowest first: 5 bits, a bit for more of them, as characters from 48. Every run
            from the fourth on is the difference to the last but one.
        size: Height and width.

    Raises:
        ValueError: If it is malformed, or of another size.
    """
    digits = np.frombuffer(rle, np.uint8).astype(np.int64) - 48
    last = digits & 32 == 0
    if not digits.size or digits.min() < 0 or digits.max() >= 64 or not last[-1]:  # noqa: PLR2004 - six bits
        raise ValueError("its counts are no compressed RLE")
    starts = np.flatnonzero(np.r_[True, last[:-1]])
    lengths = np.diff(np.r_[starts, digits.size])
    if lengths.max() > MAX_DIGITS:
        raise ValueError("its counts are no compressed RLE")
    shifts = 5 * (np.arange(digits.size) - np.repeat(starts, lengths))
    counts = np.add.reduceat((digits & 31) << shifts, starts)
    counts -= np.where(digits[last] & 16, 1 << (5 * lengths), 0)  # the highest bit is the sign
    counts[1::2], counts[2::2] = counts[1::2].cumsum(), counts[2::2].cumsum()
    return _mask_of_counts(counts, size)


def _mask_of_counts(counts: Counts, size: tuple[int, int]) -> Mask:
    height, width = size
    if counts.min(initial=0) < 0 or counts.max(initial=0) > height * width or counts.sum() != height * width:
        raise ValueError(f"the runs of its RLE do not add up to {height} x {width} pixels")
    return np.ascontiguousarray(np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T)
