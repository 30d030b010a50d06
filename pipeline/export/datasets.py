"""Shards as the folder tree of the released code: `train|test/roi|extra-roi/<category>/<name>.jpg`.

The released code pairs ROI and extra-ROI by bare file name, so names here are unique per photo and category: with
names of photos alone, a photo with several foods would get another food's surroundings.
"""

import io
import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import DatasetCardData, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.shards import Shards
from pipeline.runtime.console import progress
from pipeline.runtime.errors import ExportError
from pipeline.runtime.escaping import markdown
from pipeline.runtime.parallel import map_ordered
from pipeline.runtime.stores import Place

# Category names as folders, and the order of folders as class indices.


FORBIDDEN = str.maketrans(dict.fromkeys('/\\:*?"<>|\0', " "))
"""Characters that some file system does not take in a name."""


def folder_names(categories: Sequence[str]) -> tuple[str, ...]:
    """Return a folder name for every category, in their order.

    Raises:
        ExportError: If two categories would share a folder, or one has no letter left.
    """
    names = tuple(" ".join(category.translate(FORBIDDEN).split()).strip(". ") for category in categories)
    for category, name in zip(categories, names, strict=True):
        if not name or sum(other.casefold() == name.casefold() for other in names) > 1:
            raise ExportError(f"category {category!r} gives no folder name of its own; rename it in category_id.txt")
    return names


SPLITS = ("train", "test")
VIEWS = {"roi": "roi", "extra_roi": "extra-roi"}
"""Folder by view."""
QUALITY = 95
"""JPEG quality; without loss of colour resolution, so that less leaks across the edge of a mask."""


class ShardPart(NamedTuple):
    """One file of shards."""

    split: str
    number: int


def write_folders(shards: Place, tree: Path, *, workers: int) -> int:
    """Write one JPEG a view of every sample; return the number of samples.

    Every split and view has a folder for every category, empty ones included, so that the rank of a folder's name is
    the same class in train and test.

    Args:
        shards: Folder of shards.
        tree: Folder to write.
        workers: Processes; no effect on the bytes.

    Raises:
        ExportError: If categories cannot be told apart as folders.
        ManifestError: If a shard is absent or damaged.
    """
    reader = Shards(shards)
    names = folder_names(reader.categories)
    for split in SPLITS:
        for view in VIEWS.values():
            for name in names:
                (tree / split / view / name).mkdir(parents=True, exist_ok=True)
    parts = [ShardPart(split, number) for split in SPLITS for number in range(len(reader.files(split)))]
    write = partial(_write_part, shards=shards, tree=tree, names=names)
    written = map_ordered(write, parts, workers=workers)
    return sum(progress(written, total=len(parts), what="export", unit="files"))


def _write_part(part: ShardPart, *, shards: Place, tree: Path, names: Sequence[str]) -> int:
    """Write the pictures of one shard; runs in a worker process."""
    batch = Shards(shards).read_file(part.split, part.number)
    for row in range(len(batch)):
        for view, folder in VIEWS.items():
            path = tree / part.split / folder / names[batch.targets[row]] / f"{file_stem(batch, row)}.jpg"
            _save(getattr(batch, view)[row], path)
    return len(batch)


def file_stem(batch: SampleBatch, row: int) -> str:
    """Return `<photo stem>-<category id>`, which no other sample of the split has."""
    return "-".join(batch.sample_ids[row].split("/")[1:])


def _save(picture: Image, path: Path) -> None:
    Pillow.fromarray(picture).save(path, quality=QUALITY, subsampling=0)


# README.md of what goes to a hub: a YAML header that machines read, then text for people.


def card_text(header: ModelCardData | DatasetCardData, template: str, **values: Any) -> str:
    """Return a card; same header and values, same text.

    Args:
        header: What the hub indexes.
        template: File in `pipeline/export/templates`.
        values: What the template shows.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.export"),
        autoescape=False,  # noqa: S701 - Markdown, not HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": lambda share: f"{100 * share:.1f} %",
        "grouped": "{:,}".format,
        "markdown": markdown,
    }
    return f"---\n{header.to_yaml()}\n---\n\n{environment.get_template(template).render(**values)}"


# Shards as Parquet that Hugging Face `datasets` shows as images: lossless PNG, one file a shard, with a data card.


PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""What `datasets` takes for an image."""
ROWS_PER_GROUP = 100
"""Small groups, so that a viewer fetches few pictures for one page."""
PNG_LEVEL = 6


def write_picture_tables(shards: Place, folder: Path, *, workers: int) -> int:
    """Write `folder/data/<split>-<number>-of-<count>.parquet` and `folder/README.md`; return the number of samples.

    Args:
        shards: Folder of shards.
        folder: Folder to write.
        workers: Processes; no effect on the bytes.

    Raises:
        ManifestError: If a shard is absent or damaged.
    """
    reader = Shards(shards)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    parts = [ShardPart(split, number) for split in SPLITS for number in range(len(reader.files(split)))]
    write = partial(_write_table_part, shards=shards, folder=folder / "data")
    written = map_ordered(write, parts, workers=workers)
    rows = sum(progress(written, total=len(parts), what="export", unit="files"))
    (folder / "README.md").write_text(_card(reader), encoding="utf-8")
    return rows


def features_of(categories: Iterable[str]) -> dict[str, Any]:
    """Return the columns as `datasets` describes them."""
    text, picture = {"dtype": "string", "_type": "Value"}, {"_type": "Image"}
    return {
        "sample_id": text,
        "photo_id": text,
        "roi": picture,
        "extra_roi": picture,
        "mask": picture,
        "label": {"names": list(categories), "_type": "ClassLabel"},
    }


def _schema(categories: Iterable[str]) -> pa.Schema:
    info = {"info": {"features": features_of(categories)}}
    columns = [
        ("sample_id", pa.string()),
        ("photo_id", pa.string()),
        *((name, PICTURE) for name in ("roi", "extra_roi", "mask")),
        ("label", pa.int64()),
    ]
    return pa.schema(columns, metadata={"huggingface": json.dumps(info, ensure_ascii=False)})


def _write_table_part(part: ShardPart, *, shards: Place, folder: Path) -> int:
    """Write the table of one shard; runs in a worker process."""
    reader = Shards(shards)
    batch = reader.read_file(part.split, part.number)
    masks = batch.masks.astype(np.uint8) * np.uint8(255)
    rows = [
        {
            "sample_id": sample_id,
            "photo_id": sample_id.rpartition("/")[0],
            **{name: _picture(pixels, sample_id, name) for name, pixels in zip(PICTURES, views, strict=True)},
            "label": int(target),
        }
        for sample_id, target, *views in zip(
            batch.sample_ids, batch.targets, batch.roi, batch.extra_roi, masks, strict=True
        )
    ]
    count = len(reader.files(part.split))
    path = folder / f"{part.split}-{part.number:05d}-of-{count:05d}.parquet"
    table = pa.Table.from_pylist(rows, schema=_schema(reader.categories))
    pq.write_table(table, path, compression="none", row_group_size=ROWS_PER_GROUP, write_page_index=True)
    return len(rows)


PICTURES = ("roi", "extra_roi", "mask")


def _picture(pixels: np.ndarray, sample_id: str, name: str) -> dict[str, bytes | str]:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return {"bytes": buffer.getvalue(), "path": f"{sample_id.replace('/', '-')}-{name}.png"}


def _card(reader: Shards) -> str:
    rows = {split: reader.rows(split) for split in SPLITS}
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in SPLITS if rows[split]]
    header = DatasetCardData(
        task_categories=["image-classification"],
        tags=["food", "region-of-interest", "rvernet"],
        pretty_name="ROI and extra-ROI cut-outs",
        size_categories=[size_category(sum(rows.values()))],
        configs=[{"config_name": "default", "data_files": files}],
    )
    return card_text(
        header,
        "data_card.md.j2",
        rows=rows,
        source=reader.manifest.source,
        side=reader.image_size,
        categories=reader.categories,
    )


def size_category(rows: int) -> str:
    """Return the hub's word for a number of samples."""
    for bound, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if rows < bound:
            return name
    return "n>1M"
