"""Shards as Parquet that Hugging Face `datasets` shows as images: lossless PNG, one file a shard, with a data card."""

import io
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import DatasetCardData
from PIL import Image as Pillow

from pipeline.console import progress
from pipeline.datasets.shards import Shards
from pipeline.export.cards import card_text
from pipeline.export.folders import SPLITS, Part
from pipeline.parallel import map_ordered
from pipeline.stores import Place

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
    parts = [Part(split, number) for split in SPLITS for number in range(len(reader.files(split)))]
    write = partial(_write_part, shards=shards, folder=folder / "data")
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


def _write_part(part: Part, *, shards: Place, folder: Path) -> int:
    """Write the table of one shard; runs in a worker process."""
    reader = Shards(shards)
    batch = reader.read_file(part.split, part.number)
    masks = batch.masks.astype(np.uint8) * np.uint8(255)
    rows = [
        {
            "sample_id": sample_id,
            "photo_id": sample_id.rpartition("/")[0],
            **{name: _picture(pixels, sample_id, name) for name, pixels in zip(VIEWS, views, strict=True)},
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


VIEWS = ("roi", "extra_roi", "mask")


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
