"""The sample table `data/index/samples.parquet`: one row per (photo, category present in its label map)."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from heapq import nsmallest
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.datasets.parquet import DAMAGE, check_row_counts, damaged
from pipeline.runtime.errors import ManifestError, ParamsError

SCHEMA_VERSION = 2
ROWS_PER_GROUP = 4096


@dataclass(frozen=True, slots=True)
class Category:
    """One food of the data set."""

    id: int  # value in label maps; those of extra categories follow the highest id of `category_id.txt`
    name: str  # stripped, case-folded name
    target: int  # class index in [0, K): the rank of `id` among all categories but the background


@dataclass(frozen=True, slots=True)
class Sample:
    """One (photo, category), the unit of training and test of section 4.1."""

    sample_id: str  # `<photo id>/<category id>`, with `-<number of the annotation>` where each object is a sample
    photo_id: str  # `<split>/<stem>` by the data set's own split, or its path for the stem; drawn ones keep `train`
    split: str  # `train`, `validation` or `test`
    photo_path: str  # path of the photo below data/raw, with forward slashes
    label_map_path: str | None  # path below data/raw of label map, mask or file of objects; None if prompts replace it
    mask_value: int | None  # value in the label map; None for the binary mask of an extra category and for objects
    photo_height: int  # pixels, after EXIF rotation
    photo_width: int  # pixels, after EXIF rotation
    photo_sha256: str  # hash of the photo file
    label_map_sha256: str | None  # hash of the file of the label map or mask; None if prompts or `rle` replace it
    category: str  # category name
    category_id: int  # see `Category.id`
    target: int  # class index in [0, K)
    mask_area: int  # pixels of the mask; 0 for prompts
    mask_share: float  # mask area over photo area, in [0, 1]
    x0: int  # left column of the bounding box of mask or prompts, inclusive
    y0: int  # top row, inclusive
    x1: int  # right column, inclusive
    y1: int  # bottom row, inclusive
    components: int  # 8-connected components of the mask; 0 for prompts
    prompts: str | None  # of a photo without annotation: JSON list of {"point": [x, y]} and {"box": [x0, y0, x1, y1]}
    flags: tuple[str, ...]
    """Of `tiny`, `touches_border`, `whole_photo`, `soft_mask`, `prompted`, `clipped` (a box slightly exceeded
    the photo), `duplicate_photo`, `duplicate_across_splits`; see `pipeline.datasets.scan` and `.statistics`."""
    rle: bytes | None = None  # mask in COCO's compressed RLE, if objects annotate the photo; they may overlap


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
SCHEMA_OF_OBJECTS = SCHEMA.append(pa.field("rle", pa.binary()))  # columns of data sets whose annotation is objects


def write_samples(
    samples: Iterable[Sample], categories: Iterable[Category], path: Path, columns: pa.Schema = SCHEMA
) -> int:
    """Stream samples into a Parquet file in the given order; return their number.

    The bytes depend only on the samples, their order and the version of pyarrow.
    """
    metadata = {"schema_version": str(SCHEMA_VERSION), "categories": json.dumps([asdict(c) for c in categories])}
    rows = 0
    schema = columns.with_metadata(metadata)
    # Page checksums let readers notice a flipped bit; compression alone lets some pass.
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        rest = iter(samples)
        while group := list(islice(rest, ROWS_PER_GROUP)):
            writer.write_table(
                pa.Table.from_pylist(
                    [{name: getattr(sample, name) for name in schema.names} for sample in group], schema=schema
                )
            )
            rows += len(group)
    return rows


def read_samples(path: Path) -> Iterator[Sample]:
    """Stream the samples of a table in file order, one row group at a time.

    Raises:
        ManifestError: If the file is absent, damaged, or of another schema version.
    """
    with _open(path) as file:
        if file.schema_arrow not in (SCHEMA, SCHEMA_OF_OBJECTS):
            raise ManifestError(f"{path}: columns differ from version {SCHEMA_VERSION}; run `dvc repro -f index`")
        rows = 0
        try:
            for batch in file.iter_batches(ROWS_PER_GROUP):
                yield from (Sample(**row | {"flags": tuple(row["flags"])}) for row in batch.to_pylist())
                rows += len(batch)
        except DAMAGE as error:
            raise damaged(path, error, "index") from error
        if rows != file.metadata.num_rows:
            raise damaged(path, ValueError(f"holds {rows} of {file.metadata.num_rows} rows"), "index")


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


class IndexedSample(NamedTuple):
    """A sample and its row within its split, which is its row in the shards."""

    row: int
    sample: Sample


def number_rows(samples: Iterable[Sample]) -> Iterator[IndexedSample]:
    """Yield every sample with its row within its split."""
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
    for indexed in number_rows(samples):
        last = indexed.sample.sample_id
        if last in wanted:
            found[last] = indexed
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

    A sample's rank depends only on its id and the seed, so memory is bounded by `count`.

    Raises:
        ParamsError: If no sample fits; the message names the splits, and the categories of the split.
    """
    splits, categories = set[str](), set[str]()

    def fitting() -> Iterator[IndexedSample]:
        for indexed in number_rows(samples):
            sample = indexed.sample
            splits.add(sample.split)
            if sample.split == split:
                categories.add(sample.category)
                if category in {None, sample.category}:
                    yield indexed

    def rank(indexed: IndexedSample) -> bytes:
        return hashlib.sha256(f"{seed}/{indexed.sample.sample_id}".encode()).digest()

    chosen = nsmallest(count, fitting(), key=rank)
    if split not in splits:
        raise ParamsError(f"no split {split!r}; there are {', '.join(sorted(splits))}")
    if not chosen:
        raise ParamsError(f"no {category!r} in split {split!r}; there are {', '.join(sorted(categories))}")
    return sorted(chosen, key=lambda indexed: indexed.row)
