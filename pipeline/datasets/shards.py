"""Shards `data/shards/<source>`: both cut-outs of every sample as raw pixels in Parquet.

Raw uint8 under zstd-1 reads about 40 times as fast as folders of JPEG cut-outs, because nothing is decoded.
"""

import copy
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8
from pydantic import Field, ValidationError

from pipeline.datasets.parquet import TableLayout, read_table
from pipeline.datasets.sample_batch import Rects, SampleBatch, extra_roi_rows
from pipeline.params.base import Section, describe
from pipeline.params.model import Pairing
from pipeline.params.stages import Geometry, PairParams
from pipeline.runtime.errors import ManifestError, counted
from pipeline.runtime.manifest import FileEntry, Manifest, open_verified, read_manifest, settings_sha256
from pipeline.runtime.stores import Place

SCHEMA_VERSION = 1
KIND = "shards"


def schema_for(image_size: int) -> pa.Schema:
    """Return the Parquet schema of shards of one image size."""
    pixels = pa.binary(image_size * image_size * 3)
    return pa.schema(
        [
            ("sample_id", pa.string()),
            ("target", pa.int64()),
            ("rect", pa.list_(pa.int64(), 4)),
            ("mask", pa.binary((image_size * image_size + 7) // 8)),
            ("roi", pixels),
            ("extra_roi", pixels),
        ]
    )


def shard_metadata(params: PairParams, *, source: str, categories: tuple[str, ...]) -> dict[str, str]:
    """Return what every shard says about itself; nothing in it varies between machines or runs."""
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
    """Write one shard; same samples and metadata, same bytes.

    Args:
        batch: All samples of the file.
        path: File to write.
        metadata: What made the file, see `shard_metadata`.
    """
    size = batch.roi.shape[1]
    schema = schema_for(size).with_metadata(metadata)
    columns = {
        "sample_id": pa.array(batch.sample_ids, pa.string()),
        "target": pa.array(batch.targets),
        "rect": pa.FixedSizeListArray.from_arrays(pa.array(batch.rects.ravel()), 4),
        "mask": _fixed(np.packbits(batch.masks.reshape(len(batch), -1), axis=1)),
        "roi": _fixed(batch.roi.reshape(len(batch), -1)),
        "extra_roi": _fixed(batch.extra_roi.reshape(len(batch), -1)),
    }
    table = pa.Table.from_arrays(list(columns.values()), schema=schema)
    # Dictionaries and statistics of pixels cost time and tell nothing.
    pq.write_table(table, path, compression="zstd", compression_level=1, use_dictionary=False, write_statistics=False)


def _fixed(rows: np.ndarray) -> pa.FixedSizeBinaryArray:
    contiguous = np.ascontiguousarray(rows)
    width = contiguous.shape[1]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(contiguous), [None, pa.py_buffer(contiguous)])


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)  # which copies even one


def _pixels_of(column: pa.FixedSizeBinaryArray) -> UInt8[np.ndarray, "N B"]:
    """Return the bytes of a column, a row a sample; they are not to be written to."""
    width = column.type.byte_width
    flat = np.frombuffer(column.buffers()[1], np.uint8)
    return flat[column.offset * width : (column.offset + len(column)) * width].reshape(len(column), width)


class Shards:
    """Reader of a folder of shards, here or on object storage; there, a file at a time is copied here and checked."""

    def __init__(self, folder: Place) -> None:
        """Open a folder.

        Raises:
            ManifestError: If the manifest is absent, damaged or of another version.
            SourceError: If the folder lies on object storage that does not answer.
        """
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder, kind=KIND, schema_version=SCHEMA_VERSION)
        self._files = _by_split(self.manifest.files)
        self.listed: tuple[str, ...] = ()

    @property
    def image_size(self) -> int:
        """Side of the cut-outs in pixels."""
        return self.manifest.image_size

    @property
    def categories(self) -> tuple[str, ...]:
        """Category name by target."""
        return self.manifest.categories

    def paired(self, pairing: Pairing, classes: tuple[str, ...]) -> "Shards":
        """Return a reader of the same files that gives samples the extra-ROI which a run's pairing says.

        Args:
            pairing: The run's.
            classes: Names of its classes; by photo, no other category's extra-ROI is found.
        """
        reader = copy.copy(self)
        reader.listed = classes if pairing == "by_photo" else ()
        return reader

    def files(self, split: str) -> tuple[FileEntry, ...]:
        """Return the files of a split in row order."""
        return self._files.get(split, ())

    def rows(self, split: str) -> int:
        """Return the number of samples of a split."""
        return sum(entry.rows for entry in self.files(split))

    def batches(self, split: str) -> Iterator[SampleBatch]:
        """Yield the split file by file, so memory is bounded by one shard; the arrays are the caller's to change.

        Raises:
            ManifestError: If a file is absent or damaged.
        """
        for number in range(len(self.files(split))):
            yield self.read_file(split, number)

    def read_file(self, split: str, number: int) -> SampleBatch:
        """Return the samples of one file of a split; the arrays are the caller's to change.

        Raises:
            ManifestError: If the file is absent or damaged.
        """
        return self._read(self.files(split)[number])

    def read(self, split: str) -> SampleBatch:
        """Return all samples of a split; needs no more memory than the split and one file.

        Raises:
            ManifestError: If the split is empty, or a file is absent or damaged.
        """
        rows = self.rows(split)
        if not rows:
            raise ManifestError(f"{self.folder}: no samples in split {split!r}; check ImageSets and run `dvc repro`")
        return SampleBatch.join(self.batches(split), rows=rows, size=self.image_size)

    def select(self, split: str, rows: Sequence[int]) -> SampleBatch:
        """Return some samples of a split, reading only the files that hold them.

        Args:
            split: `train` or `test`.
            rows: Row numbers in the split, in the order wanted.

        Raises:
            ManifestError: If the split has fewer rows, or a file is absent or damaged.
        """
        starts = [0, *accumulate(entry.rows for entry in self.files(split))]
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

    def _read(self, entry: FileEntry) -> SampleBatch:
        with open_verified(self.folder, entry) as path:
            layout = TableLayout(schema_for(self.image_size), SCHEMA_VERSION, "pair")
            table = read_table(path, layout, rows=entry.rows)
        batch = _batch({name: _whole(table[name]) for name in table.column_names}, self.image_size)
        if batch.targets.min() < 0 or batch.targets.max() >= len(self.categories):
            raise ManifestError(f"{path}: targets out of range; run `dvc repro -f pair`")
        if not _inside(batch.rects, self.image_size):
            raise ManifestError(f"{path}: rectangles out of range; run `dvc repro -f pair`")
        if self.listed:  # each sample gets the extra-ROI of the category of its photo that is listed last
            rows = extra_roi_rows(batch.sample_ids, batch.targets, self.categories, self.listed)
            batch.extra_roi[:] = batch.extra_roi[rows]
        return batch


def _by_split(files: Sequence[FileEntry]) -> dict[str, tuple[FileEntry, ...]]:
    """Part files by split once: a reader asks for those of its split as often as it reads one of them."""
    found: defaultdict[str, list[FileEntry]] = defaultdict(list)
    for entry in files:
        found[entry.split].append(entry)
    return {split: tuple(entries) for split, entries in found.items()}


def _inside(rects: Rects, size: int) -> bool:
    start, extent = rects[:, :2], rects[:, 2:]
    return bool((start >= 0).all() and (extent > 0).all() and (extent <= size).all() and (start <= size - extent).all())


def _batch(column: dict[str, pa.Array], size: int) -> SampleBatch:
    rows = len(column["sample_id"])
    bits = np.unpackbits(_pixels_of(column["mask"]), axis=1, count=size * size)
    return SampleBatch(
        sample_ids=tuple(column["sample_id"].to_pylist()),
        targets=column["target"].to_numpy().copy(),
        rects=column["rect"].flatten().to_numpy().reshape(rows, 4).copy(),
        masks=bits.view(np.bool_).reshape(rows, size, size),
        roi=_pixels_of(column["roi"]).reshape(rows, size, size, 3).copy(),
        extra_roi=_pixels_of(column["extra_roi"]).reshape(rows, size, size, 3).copy(),
    )


# How a photo and a mask became a model's two inputs: what whoever classifies a new photo has to repeat.


class Preprocessing(Section):
    """Everything between the file of a photo and raw pixels in [0, 255]; the model itself subtracts mean and std."""

    orientation: Literal["exif"] = "exif"
    """The photo is turned as its EXIF tag says, then read as RGB."""
    order: Literal["cut out, then letterbox"] = "cut out, then letterbox"
    """Hidden pixels are filled at full size. The extra-ROI is the letterboxed photo less the letterboxed ROI; under the
    `released` geometry it is the photo without its ROI, letterboxed."""
    resample: Literal["bicubic"] = "bicubic"
    """Filter of the resize, PIL's, which averages when it shrinks."""
    placement: Literal["centred"] = "centred"
    """The long side fills the square; an odd row or column of padding lies above or to the left."""
    geometry: Geometry
    """How the photo's sides are rounded; `released` can leave the long side one pixel short, and resizes each view on
    its own."""
    fill: int = Field(ge=0, le=255)
    """Gray level of hidden pixels."""
    pad: int = Field(ge=0, le=255)
    """Gray level around the photo."""


def read_preprocessing(shards: Shards) -> Preprocessing:
    """Return how the pictures of a folder of shards were made, as its first file says.

    Raises:
        ManifestError: If the folder has no file, or the first one is absent, damaged or says nothing.
    """
    if not shards.manifest.files:
        raise ManifestError(f"{shards.folder}: no shards; check ImageSets and run `dvc repro`")
    entry = shards.manifest.files[0]
    path = f"{shards.folder}/{entry.name}"
    try:
        with open_verified(shards.folder, entry) as file:
            schema = pq.read_schema(file)
        geometry = (schema.metadata or {}).get(b"geometry", b"exact").decode()
        return Preprocessing.model_validate(
            {name: _gray_of(schema, name, path) for name in ("fill", "pad")} | {"geometry": geometry}
        )
    except ValidationError as error:
        raise ManifestError(f"{path}: {describe(error)}; run `dvc repro -f pair`") from error
    except (pa.ArrowInvalid, ValueError) as error:
        raise ManifestError(f"{path}: does not say how it was made ({error}); run `dvc repro -f pair`") from error


def _gray_of(schema: pa.Schema, name: str, path: object) -> int:
    """Return a gray level that a shard says it was made with.

    Args:
        schema: The shard's.
        name: `fill` or `pad`.
        path: The shard, for messages.

    Raises:
        ManifestError: If it does not say.
    """
    said = (schema.metadata or {}).get(name.encode(), b"nothing")
    if not said.isdigit() or int(said) > np.iinfo(np.uint8).max:
        raise ManifestError(f"{path}: does not say how it was made ({name}: {said!r}); run `dvc repro -f pair`")
    return int(said)
