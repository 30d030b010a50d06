"""Shards `data/shards/<source>`: both cut-outs of every sample as raw pixels in Parquet.

Raw uint8 under zstd-1 reads about 40 times as fast as folders of JPEG cut-outs, because nothing is decoded.
"""

import copy
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8
from pydantic import Field, ValidationError

from pipeline.datasets.parquet import TableLayout, read_table
from pipeline.datasets.sample_batch import SampleBatch, extra_roi_rows
from pipeline.datasets.splits import SPLITS
from pipeline.params.base import Section, describe
from pipeline.params.model import Pairing
from pipeline.params.stages import Geometry, PairParams
from pipeline.runtime.errors import ManifestError, counted
from pipeline.runtime.manifest import FileEntry, Manifest, files_by_split, open_verified, read_manifest, settings_sha256
from pipeline.runtime.stores import Place

SCHEMA_VERSION = 1
KIND = "shards"


def schema_for(image_size: int) -> pa.Schema:
    """Return the Parquet schema of shards of one image size."""
    pixels, bits = pa.binary(image_size * image_size * 3), pa.binary((image_size * image_size + 7) // 8)
    columns = [("sample_id", pa.string()), ("target", pa.int64()), ("rect", pa.list_(pa.int64(), 4))]
    return pa.schema([*columns, ("mask", bits), ("roi", pixels), ("extra_roi", pixels)])


def shard_metadata(params: PairParams, *, source: str, categories: tuple[str, ...]) -> dict[str, str]:
    """Return the Parquet metadata of every shard, which is the same on every machine."""
    unusual = {} if params.geometry == "exact" else {"geometry": params.geometry}
    return {
        "schema_version": str(SCHEMA_VERSION),
        "source": source,
        "image_size": str(params.image_size),
        "fill": str(params.fill),
        "pad": str(params.pad),
        "categories": json.dumps(categories),
        "settings_sha256": settings_sha256(params),
    } | unusual


def write_shard(batch: SampleBatch, path: Path, metadata: dict[str, str]) -> None:
    """Write one shard; the bytes depend only on the batch and `metadata`, see `shard_metadata`."""
    columns = [
        pa.array(batch.sample_ids, pa.string()),
        pa.array(batch.targets),
        pa.FixedSizeListArray.from_arrays(pa.array(batch.rects.ravel()), 4),
    ]
    for pixels in (np.packbits(batch.masks.reshape(len(batch), -1), axis=1), batch.roi, batch.extra_roi):
        rows = np.ascontiguousarray(pixels).reshape(len(batch), -1)
        buffers = [None, pa.py_buffer(rows)]
        columns.append(pa.FixedSizeBinaryArray.from_buffers(pa.binary(rows.shape[1]), len(rows), buffers))
    table = pa.Table.from_arrays(columns, schema=schema_for(batch.roi.shape[1]).with_metadata(metadata))
    # Dictionaries and statistics of pixels cost time and are of no use.
    pq.write_table(table, path, compression="zstd", compression_level=1, use_dictionary=False, write_statistics=False)


def _pixels_of(column: pa.FixedSizeBinaryArray) -> UInt8[np.ndarray, "N B"]:
    """Return the bytes of a column, a row a sample, as a read-only view."""
    width = column.type.byte_width
    flat = np.frombuffer(column.buffers()[1], np.uint8)
    return flat[column.offset * width : (column.offset + len(column)) * width].reshape(len(column), width)


class Shards:
    """Reader of a folder of shards, local or on object storage, whose files are copied and verified one at a time."""

    def __init__(self, folder: Place) -> None:
        """Open a folder.

        Raises:
            ManifestError: If the manifest is absent, damaged or of another version.
            SourceError: If the folder lies on object storage that does not answer.
        """
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder, kind=KIND, schema_version=SCHEMA_VERSION)
        self._files = files_by_split(self.manifest)
        self.paired_classes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that have samples, in the order of rows."""
        return tuple(split for split in SPLITS if self.rows(split))

    @property
    def image_size(self) -> int:
        """Side of the cut-outs in pixels."""
        return self.manifest.image_size

    @property
    def categories(self) -> tuple[str, ...]:
        """Category name by target."""
        return self.manifest.categories

    def paired(self, pairing: Pairing, classes: tuple[str, ...]) -> "Shards":
        """Return a reader of the same files that pairs ROIs with extra-ROIs as a run of these classes does.

        Pairing by photo finds no others.
        """
        reader = copy.copy(self)
        reader.paired_classes = classes if pairing == "by_photo" else ()
        return reader

    def files(self, split: str) -> tuple[FileEntry, ...]:
        """Return the files of a split in row order."""
        return self._files[split].files

    def rows(self, split: str) -> int:
        """Return the number of samples of a split."""
        return self._files[split].starts[-1]

    def batches(self, split: str) -> Iterator[SampleBatch]:
        """Yield the split file by file, so that memory is bounded by one shard; see `read_file`."""
        for number in range(len(self.files(split))):
            yield self.read_file(split, number)

    def read_file(self, split: str, number: int) -> SampleBatch:
        """Return the samples of one file of a split, in writable arrays.

        Raises:
            ManifestError: If the file is absent or damaged.
        """
        entry, size = self.files(split)[number], self.image_size
        with open_verified(self.folder, entry) as path:
            layout = TableLayout(schema_for(size), SCHEMA_VERSION, "pair")
            table = read_table(path, layout, rows=entry.rows)
        column = {  # `concat_arrays` copies even a single chunk
            name: chunked.chunk(0) if chunked.num_chunks == 1 else pa.concat_arrays(chunked.chunks)
            for name, chunked in zip(table.column_names, table.columns, strict=True)
        }
        bits = np.unpackbits(_pixels_of(column["mask"]), axis=1, count=size * size)
        batch = SampleBatch(
            sample_ids=tuple(column["sample_id"].to_pylist()),
            targets=column["target"].to_numpy().copy(),
            rects=column["rect"].flatten().to_numpy().reshape(-1, 4).copy(),
            masks=bits.view(np.bool_).reshape(-1, size, size),
            roi=_pixels_of(column["roi"]).reshape(-1, size, size, 3).copy(),
            extra_roi=_pixels_of(column["extra_roi"]).reshape(-1, size, size, 3).copy(),
            fill=_gray_level(table.schema.metadata or {}, "fill", str(path)),
        )
        if batch.targets.min() < 0 or batch.targets.max() >= len(self.categories):
            raise ManifestError(f"{path}: targets out of range; run `dvc repro -f pair`")
        start, extent = batch.rects[:, :2], batch.rects[:, 2:]
        if (start < 0).any() or (extent <= 0).any() or (extent > size).any() or (start > size - extent).any():
            raise ManifestError(f"{path}: rectangles out of range; run `dvc repro -f pair`")
        if self.paired_classes:  # each sample gets the extra-ROI of the category of its photo that is listed last
            rows = extra_roi_rows(batch.sample_ids, batch.targets, self.categories, self.paired_classes)
            batch.extra_roi[:] = batch.extra_roi[rows]
        return batch

    def read(self, split: str) -> SampleBatch:
        """Return all samples of a split; needs the memory of the split and one file.

        Raises:
            ManifestError: If the split is empty, or a file is absent or damaged.
        """
        rows = self.rows(split)
        if not rows:
            raise ManifestError(f"{self.folder}: no samples in split {split!r}; check ImageSets and run `dvc repro`")
        return SampleBatch.join(self.batches(split), rows=rows, size=self.image_size)

    def select(self, split: str, rows: Sequence[int]) -> SampleBatch:
        """Return the samples of these rows of a split, in this order, reading only the files that hold them.

        Raises:
            ManifestError: If the split has fewer rows, or a file is absent or damaged.
        """
        starts = self._files[split].starts
        if any(row >= starts[-1] for row in rows):
            raise ManifestError(
                f"{self.folder}: split {split!r} has only {counted(starts[-1], 'sample')}; run `dvc repro`"
            )
        parts: dict[int, SampleBatch] = {}
        for file in sorted({bisect_right(starts, row) - 1 for row in rows}):
            whole = self.read_file(split, file)
            held = [row for row in rows if starts[file] <= row < starts[file + 1]]
            parts |= {row: whole.row(row - starts[file]) for row in held}
        return SampleBatch.join((parts[row] for row in rows), rows=len(rows), size=self.image_size)


class Preprocessing(Section):
    """Preprocessing from the file of a photo to pixels in [0, 255], to be repeated for a new photo.

    Normalisation by mean and std is part of the model.
    """

    orientation: Literal["exif"] = "exif"  # the photo is turned as its EXIF tag says, then read as RGB
    order: Literal["cut out, then letterbox"] = "cut out, then letterbox"
    """Hidden pixels are filled at full size. The extra-ROI is the letterboxed photo less the letterboxed ROI; under the
    `released` geometry it is the photo without its ROI, letterboxed."""
    resample: Literal["bicubic"] = "bicubic"  # filter of the resize, PIL's, which averages when it shrinks
    placement: Literal["centred"] = "centred"  # the long side fills the square; odd padding lies above or to the left
    geometry: Geometry
    """How the photo's sides are rounded; `released` can leave the long side one pixel short, and resizes each view on
    its own."""
    fill: int = Field(ge=0, le=255)  # gray level of hidden pixels
    pad: int = Field(ge=0, le=255)  # gray level around the photo


def read_preprocessing(shards: Shards) -> Preprocessing:
    """Return the preprocessing of a folder of shards from the metadata of its first file.

    Raises:
        ManifestError: If the folder has no file, or the first one is absent, damaged or lacks metadata.
    """
    if not shards.manifest.files:
        raise ManifestError(f"{shards.folder}: no shards; check ImageSets and run `dvc repro`")
    entry = shards.manifest.files[0]
    path = f"{shards.folder}/{entry.name}"
    try:
        with open_verified(shards.folder, entry) as file:
            schema = pq.read_schema(file)
        metadata = schema.metadata or {}
        geometry = metadata.get(b"geometry", b"exact").decode()
        grays = {name: _gray_level(metadata, name, path) for name in ("fill", "pad")}
        return Preprocessing.model_validate(grays | {"geometry": geometry})
    except ValidationError as error:
        raise ManifestError(f"{path}: {describe(error)}; run `dvc repro -f pair`") from error
    except (pa.ArrowInvalid, ValueError) as error:
        raise ManifestError(f"{path}: does not say how it was made ({error}); run `dvc repro -f pair`") from error


def _gray_level(metadata: Mapping[bytes, bytes], name: str, path: str) -> int:
    value = metadata.get(name.encode(), b"nothing")
    if not value.isdigit() or int(value) > np.iinfo(np.uint8).max:
        raise ManifestError(f"{path}: does not say how it was made ({name}: {value!r}); run `dvc repro -f pair`")
    return int(value)
