"""The sample table `data/index/samples.parquet`: one row per (photo, category present in its label map)."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from heapq import nsmallest
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.datasets.parquet import DAMAGE, check_row_counts, damaged
from pipeline.runtime.errors import ManifestError, ParamsError

SCHEMA_VERSION = 2
ROWS_PER_GROUP = 4096


@dataclass(frozen=True, slots=True)
class Category:
    """One food of the data set."""

    id: int
    """Value in the label maps; extra categories continue after the highest id of `category_id.txt`."""
    name: str
    """Stripped, case-folded name."""
    target: int
    """Class index in [0, K): the rank of `id` among all categories but the background."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One (photo, category); section 4.1's unit of training and test."""

    sample_id: str
    """`<split>/<photo stem>/<category id>`."""
    photo_id: str
    """`<split>/<photo stem>`."""
    split: str
    """`train` or `test`."""
    photo_path: str
    """Path of the photo below data/raw, with forward slashes."""
    label_map_path: str | None
    """Path below data/raw of the picture that holds the mask; None where prompts stand in."""
    mask_value: int | None
    """Value of the mask in that picture; None for a binary mask, as those of extra categories."""
    photo_height: int
    """Pixels, after EXIF rotation."""
    photo_width: int
    """Pixels, after EXIF rotation."""
    photo_sha256: str
    """Hash of the photo file's bytes."""
    label_map_sha256: str | None
    """Hash of the bytes of the file that holds the mask; None where prompts stand in."""
    category: str
    """Category name."""
    category_id: int
    """Category id; extra categories continue after the highest id of `category_id.txt`."""
    target: int
    """Class index in [0, K)."""
    mask_area: int
    """Pixels of the mask; 0 where prompts stand in."""
    mask_share: float
    """Mask area over photo area, in [0, 1]."""
    x0: int
    """Left column of the mask's bounding box, inclusive; of the prompts' where they stand in."""
    y0: int
    """Top row, inclusive."""
    x1: int
    """Right column, inclusive."""
    y1: int
    """Bottom row, inclusive."""
    components: int
    """8-connected parts of the mask; 0 where prompts stand in."""
    prompts: str | None
    """JSON list of clicks {"point": [x, y]} and boxes {"box": [x0, y0, x1, y1]}, for photos without annotation."""
    flags: tuple[str, ...]
    """Remarkable but usable: `tiny`, `touches_border`, `whole_photo`, `soft_mask`, `prompted`, `clipped` (a prompted
    box reached a little over the border and was cut there), `duplicate_photo`, `duplicate_across_splits`; see
    `pipeline.datasets.scan` and `pipeline.datasets.statistics`."""


SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("sample_id", "photo_id", "split", "photo_path", "label_map_path")),
        ("mask_value", pa.int32()),
        *((name, pa.int32()) for name in ("photo_height", "photo_width")),
        *((name, pa.string()) for name in ("photo_sha256", "label_map_sha256", "category")),
        *((name, pa.int32()) for name in ("category_id", "target")),
        ("mask_area", pa.int64()),
        ("mask_share", pa.float64()),
        *((name, pa.int32()) for name in ("x0", "y0", "x1", "y1", "components")),
        ("prompts", pa.string()),
        ("flags", pa.list_(pa.string())),
    ]
)


def write_samples(samples: Iterable[Sample], categories: Iterable[Category], path: Path) -> int:
    """Stream samples into a Parquet file, in their order; return their number.

    The bytes depend on the samples, their order and the pyarrow version alone.
    """
    metadata = {"schema_version": str(SCHEMA_VERSION), "categories": json.dumps([asdict(c) for c in categories])}
    rows = 0
    schema = SCHEMA.with_metadata(metadata)
    # Page checksums let readers notice a flipped bit; compression alone lets some pass.
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        rest = iter(samples)
        while group := list(islice(rest, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist([_row(s) for s in group], schema=schema))
            rows += len(group)
    return rows


def _row(sample: Sample) -> dict[str, object]:
    return {field.name: getattr(sample, field.name) for field in fields(Sample)}


def read_samples(path: Path) -> Iterator[Sample]:
    """Stream the samples of a table in file order, without holding more than one row group.

    Raises:
        ManifestError: If the file is absent, damaged, or of another schema version.
    """
    with _open(path) as file:
        if not file.schema_arrow.equals(SCHEMA):
            raise ManifestError(f"{path}: columns differ from version {SCHEMA_VERSION}; run `dvc repro -f index`")
        rows = 0
        for row in _rows(file, path):
            yield Sample(**row | {"flags": tuple(row["flags"])})
            rows += 1
        if rows != file.metadata.num_rows:
            raise damaged(path, ValueError(f"holds {rows} of {file.metadata.num_rows} rows"), "index")


def _rows(file: pq.ParquetFile, path: Path) -> Iterator[dict[str, Any]]:
    try:
        for batch in file.iter_batches(ROWS_PER_GROUP):
            yield from batch.to_pylist()
    except DAMAGE as error:
        raise damaged(path, error, "index") from error


def read_categories(path: Path) -> tuple[Category, ...]:
    """Return the categories of a table in target order.

    Raises:
        ManifestError: If the file is absent, damaged, or of another schema version.
    """
    with _open(path) as file:
        try:
            return tuple(Category(**c) for c in json.loads(file.schema_arrow.metadata[b"categories"]))
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path, error, "index") from error


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        check_row_counts(file.metadata)
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: absent; run `dvc repro index`") from error
    except DAMAGE as error:
        raise damaged(path, error, "index") from error
    version = (file.schema_arrow.metadata or {}).get(b"schema_version", b"none").decode(errors="replace")
    if version != str(SCHEMA_VERSION):
        raise ManifestError(
            f"{path}: schema version {version}, this code reads {SCHEMA_VERSION}; run `dvc repro index`"
        )
    return file


# Choose samples of the table by name, or a few at random, reading it once.


@dataclass(frozen=True, slots=True)
class IndexedSample:
    """A sample and its row in the shards of its split."""

    row: int
    sample: Sample


def number_rows(samples: Iterable[Sample]) -> Iterator[IndexedSample]:
    """Give every sample its row within its split, streaming."""
    rows: Counter[str] = Counter()
    for sample in samples:
        yield IndexedSample(rows[sample.split], sample)
        rows[sample.split] += 1


def choose_named(samples: Iterable[Sample], sample_ids: Sequence[str]) -> list[IndexedSample]:
    """Return the samples of the given ids, in their order.

    Raises:
        ParamsError: If an id is not in the table.
    """
    wanted, last = set(sample_ids), ""
    found: dict[str, IndexedSample] = {}
    for numbered in number_rows(samples):
        last = numbered.sample.sample_id
        if last in wanted:
            found[last] = numbered
    missing = [sample_id for sample_id in sample_ids if sample_id not in found]
    if missing:
        raise ParamsError(
            f"no sample {', '.join(missing)}; ids are <split>/<photo stem>/<category id>, for instance {last}"
        )
    return [found[sample_id] for sample_id in sample_ids]


def choose_random(
    samples: Iterable[Sample], *, split: str, category: str | None, count: int, seed: int
) -> list[IndexedSample]:
    """Return up to `count` samples of a split and category, the same for the same seed, in table order.

    A sample's rank depends on its id and the seed alone, so the choice needs no more memory than itself.

    Raises:
        ParamsError: If no sample fits; the message names the splits, and the categories of the split.
    """
    splits, categories = set[str](), set[str]()

    def fitting() -> Iterator[IndexedSample]:
        for numbered in number_rows(samples):
            sample = numbered.sample
            splits.add(sample.split)
            if sample.split == split:
                categories.add(sample.category)
                if category in {None, sample.category}:
                    yield numbered

    chosen = nsmallest(count, fitting(), key=lambda numbered: _rank(numbered.sample.sample_id, seed))
    if split not in splits:
        raise ParamsError(f"no split {split!r}; there are {', '.join(sorted(splits))}")
    if not chosen:
        raise ParamsError(f"no {category!r} in split {split!r}; there are {', '.join(sorted(categories))}")
    return sorted(chosen, key=lambda numbered: numbered.row)


def _rank(sample_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{sample_id}".encode()).digest()
