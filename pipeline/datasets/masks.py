"""Masks `data/masks/<source>`: one row a sample, in the order of the sample table.

A mask is stored as the packed bits of its bounding box. It always has pixels: a source that finds nothing stores its
fallback with status `empty`, so that all sources have the same samples.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays import Mask
from pipeline.datasets.parquet import TableLayout, read_table
from pipeline.imaging.decode import MAX_PIXELS
from pipeline.runtime.errors import EmptyMaskError, ManifestError
from pipeline.runtime.manifest import FileEntry, Manifest, files_by_split, open_verified, read_manifest
from pipeline.runtime.stores import Place

SCHEMA_VERSION = 1
KIND = "masks"

SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        *((name, pa.int32()) for name in ("height", "width", "top", "left", "crop_height", "crop_width")),
        ("bits", pa.binary()),
        ("score", pa.float64()),
        ("status", pa.string()),
        ("prompts", pa.string()),
    ]
)
LAYOUT = TableLayout(SCHEMA, SCHEMA_VERSION, "segment", optional=("prompts",))


@dataclass(frozen=True, slots=True)
class StoredMask:
    """Mask of one sample, with its origin."""

    sample_id: str  # `<split>/<photo stem>/<category id>`
    height: int  # height of the photo in pixels
    width: int  # width of the photo in pixels
    top: int  # first row of `crop` in the photo
    left: int  # first column of `crop` in the photo
    crop: Mask  # the mask inside its bounding box; outside it is False
    score: float  # confidence of the source in [0, 1]; 1 for annotation
    status: str  # `ok`; `tiny`, fewer pixels than `index.tiny_area`; `empty`, the fallback; or the method used instead
    prompts: str | None  # prompts of the source, as JSON like the sample table's; None if it needed none

    @classmethod
    def of(cls, mask: Mask, *, sample_id: str, score: float, status: str, prompts: str | None) -> "StoredMask":
        """Crop a mask of the photo's size to its bounding box.

        Raises:
            EmptyMaskError: If the mask has no pixel.
        """
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            raise EmptyMaskError(f"{sample_id}: the mask has no pixel; mend the annotation or leave the sample out")
        top, left = int(rows[0]), int(columns[0])
        crop = mask[top : rows[-1] + 1, left : columns[-1] + 1].copy()
        height, width = mask.shape
        return cls(sample_id, height, width, top, left, crop, score, status, prompts)

    def full(self) -> Mask:
        """Return the mask at the size of the photo."""
        mask = np.zeros((self.height, self.width), np.bool_)
        height, width = self.crop.shape
        mask[self.top : self.top + height, self.left : self.left + width] = self.crop
        return mask


def write_mask_file(masks: Sequence[StoredMask], path: Path, metadata: dict[str, str]) -> None:
    """Write one file of masks; the bytes depend only on masks and metadata."""
    rows = [
        {name: getattr(mask, name) for name in SCHEMA.names if hasattr(mask, name)}
        | {"crop_height": mask.crop.shape[0], "crop_width": mask.crop.shape[1]}
        | {"bits": np.packbits(mask.crop).tobytes()}
        for mask in masks
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata(metadata)), path, compression="zstd")


def read_mask_file(path: Path, *, rows: int | None = None) -> list[StoredMask]:
    """Return the masks of one file, which must have `rows` rows if given.

    Raises:
        ManifestError: If the file is damaged, has other columns, or a row is no mask.
    """
    table = read_table(path, LAYOUT, rows=rows)
    try:
        return [_mask(row) for row in table.to_pylist()]
    except ValueError as error:
        raise ManifestError(f"{path}: holds what is no mask ({error}); run `dvc repro -f segment`") from error


def _mask(row: dict[str, Any]) -> StoredMask:
    """Unpack a row; raise `ValueError` if it is no mask."""
    height, width, bits = row.pop("crop_height"), row.pop("crop_width"), row.pop("bits")
    if row["height"] * row["width"] > MAX_PIXELS:
        raise ValueError(f"{row['sample_id']!a}: a photo of {row['width']} x {row['height']} pixels")
    inside = row["top"] >= 0 <= row["left"] and row["top"] + height <= row["height"]
    if not (inside and min(height, width) > 0 and row["left"] + width <= row["width"]):
        raise ValueError(f"{row['sample_id']!a}: {width} x {height} pixels do not lie inside the photo")
    if len(bits) != (height * width + 7) // 8:
        raise ValueError(f"{row['sample_id']!a}: {len(bits)} bytes are not {width} x {height} pixels")
    flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=height * width)
    return StoredMask(**row, crop=flat.astype(np.bool_).reshape(height, width))


class MaskRows(NamedTuple):
    """Location of adjacent masks: their files, the rows to skip in the first file, and the number of rows."""

    files: tuple[FileEntry, ...]
    skip: int
    rows: int

    def read(self, folder: Place, sample_ids: Sequence[str] | None = None) -> list[StoredMask]:
        """Return the masks in row order, which must be those of `sample_ids` if given.

        Raises:
            ManifestError: If a file is absent or damaged, or the masks are those of other samples.
        """
        masks: list[StoredMask] = []
        for entry in self.files:
            with open_verified(folder, entry) as path:
                masks += read_mask_file(path, rows=entry.rows)
        masks = masks[self.skip : self.skip + self.rows]
        if sample_ids is not None and [mask.sample_id for mask in masks] != list(sample_ids):
            raise ManifestError(f"{folder}: holds other samples than the table; run `dvc repro -f segment`")
        return masks


class Masks:
    """Reader of a folder of masks."""

    def __init__(self, folder: Path) -> None:
        """Open a folder; raise `ManifestError` if the manifest is absent, damaged or of another version."""
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder, kind=KIND, schema_version=SCHEMA_VERSION)
        self._files = files_by_split(self.manifest)

    def locate(self, split: str, first_row: int, rows: int) -> MaskRows:
        """Return the location of rows of a split, without reading them.

        Raises:
            ManifestError: If the split has fewer rows.
        """
        files, starts = self._files[split]
        if first_row + rows > starts[-1]:
            raise ManifestError(f"{self.folder}: fewer masks than samples in {split!r}; run `dvc repro -f segment`")
        first, last = bisect_right(starts, first_row) - 1, bisect_right(starts, first_row + rows - 1)
        return MaskRows(files[first:last], first_row - starts[first], rows)
