"""Shards as other data sets: the folder tree of the released code, or Parquet for Hugging Face `datasets`.

The tree is `<split>/roi|extra-roi/<category>/<name>.jpg`. The released code pairs ROI and extra-ROI by file name, so
names are unique per photo and category: otherwise a photo of several foods would get another food's surroundings. The
Parquet files hold lossless PNG, one file per shard, with a data card.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import DatasetCardData, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image as Pillow

from pipeline.datasets.sample_batch import photo_id_of
from pipeline.datasets.shards import Shards
from pipeline.imaging.drawing import encode_picture
from pipeline.runtime.console import progress
from pipeline.runtime.errors import ExportError
from pipeline.runtime.escaping import markdown
from pipeline.runtime.parallel import map_ordered
from pipeline.runtime.stores import Place

FORBIDDEN = str.maketrans(dict.fromkeys('/\\:*?"<>|\0', " "))  # characters that a file system may not allow in a name
VIEWS = {"roi": "roi", "extra_roi": "extra-roi"}  # folder by view
QUALITY = 95  # JPEG quality, without chroma subsampling, so that less leaks across the edge of a mask
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # image type of `datasets`
ROWS_PER_GROUP = 100  # small row groups, so that a viewer fetches few pictures per page


def folder_names(categories: Sequence[str]) -> tuple[str, ...]:
    """Return a folder name for every category, in order.

    Raises:
        ExportError: If two categories would share a folder, or one has no letter left.
    """
    names = tuple(" ".join(category.translate(FORBIDDEN).split()).strip(". ") for category in categories)
    for category, name in zip(categories, names, strict=True):
        if not name or sum(other.casefold() == name.casefold() for other in names) > 1:
            raise ExportError(f"category {category!r} gives no folder name of its own; rename it in category_id.txt")
    return names


def write_folders(shards: Place, tree: Path, *, workers: int) -> int:
    """Write one JPEG per sample and view, whose bytes do not depend on `workers`; return the number of samples.

    Every split and view has a folder for every category, also for empty ones, so that class indices by folder are the
    same in all splits.
    """
    reader = Shards(shards)
    names = folder_names(reader.categories)
    for split, view, name in product(reader.splits, VIEWS.values(), names):
        (tree / split / view / name).mkdir(parents=True, exist_ok=True)
    return _write_all(reader, partial(_write_part, shards=shards, tree=tree, names=names), workers)


def _write_all(reader: Shards, write: Callable[[tuple[str, int]], int], workers: int) -> int:
    """Call `write` for split and number of every file of shards, on several processes; return the number of samples."""
    parts = [(split, number) for split in reader.splits for number in range(len(reader.files(split)))]
    written = map_ordered(write, parts, workers=workers)
    return sum(progress(written, total=len(parts), what="export", unit="files"))


def _write_part(part: tuple[str, int], *, shards: Place, tree: Path, names: Sequence[str]) -> int:
    """Write the pictures of one shard; runs in a worker process."""
    split, number = part
    batch = Shards(shards).read_file(split, number)
    for row in range(len(batch)):
        for view, folder in VIEWS.items():
            stem = "-".join(batch.sample_ids[row].split("/")[1:])  # <photo stem>-<category id>: unique in the split
            path = tree / split / folder / names[batch.targets[row]] / f"{stem}.jpg"
            Pillow.fromarray(getattr(batch, view)[row]).save(path, quality=QUALITY, subsampling=0)
    return len(batch)


def card_text(header: ModelCardData | DatasetCardData, template: str, **values: Any) -> str:
    """Return README.md for a hub: the header as YAML, then the template."""
    return f"---\n{header.to_yaml()}\n---\n\n{render(template, **values)}"


def render(template: str, **values: Any) -> str:
    """Return `template` of `pipeline/export/templates` with `values`."""
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
    return environment.get_template(template).render(**values)


def write_picture_tables(shards: Place, folder: Path, *, workers: int) -> int:
    """Write `folder/data/<split>-<number>-of-<count>.parquet` and `folder/README.md`; return the number of samples.

    The bytes do not depend on `workers`.
    """
    reader = Shards(shards)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    samples = _write_all(reader, partial(_write_table_part, shards=shards, folder=folder / "data"), workers)
    rows = {split: reader.rows(split) for split in reader.splits}
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in reader.splits]
    header = DatasetCardData(
        task_categories=["image-classification"],
        tags=["food", "region-of-interest", "rvernet"],
        pretty_name="ROI and extra-ROI cut-outs",
        size_categories=[size_category(samples)],
        configs=[{"config_name": "default", "data_files": files}],
    )
    facts = {"source": reader.manifest.source, "side": reader.image_size, "categories": reader.categories}
    card = card_text(header, "data_card.md.j2", rows=rows, **facts)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return samples


def _write_table_part(part: tuple[str, int], *, shards: Place, folder: Path) -> int:
    """Write the table of one shard; runs in a worker process."""
    reader, (split, number) = Shards(shards), part
    batch = reader.read_file(split, number)
    # Values of every column, its type in Arrow and, for the metadata, in `datasets`.
    text, label = {"dtype": "string", "_type": "Value"}, {"names": list(reader.categories), "_type": "ClassLabel"}
    columns: dict[str, tuple[Sequence[object], pa.DataType, dict[str, Any]]] = {
        "sample_id": (batch.sample_ids, pa.string(), text),
        "photo_id": ([photo_id_of(sample_id) for sample_id in batch.sample_ids], pa.string(), text),
    }
    masks = batch.masks.astype(np.uint8) * np.uint8(255)
    for name, pictures in zip(("roi", "extra_roi", "mask"), (batch.roi, batch.extra_roi, masks), strict=True):
        files = []
        for sample_id, pixels in zip(batch.sample_ids, pictures, strict=True):
            data = encode_picture(Pillow.fromarray(pixels), "PNG", compress_level=6)
            files.append({"bytes": data, "path": f"{sample_id.replace('/', '-')}-{name}.png"})
        columns[name] = files, PICTURE, {"_type": "Image"}
    columns["label"] = batch.targets.tolist(), pa.int64(), label
    features = {"info": {"features": {name: feature for name, (_, _, feature) in columns.items()}}}
    metadata = {"huggingface": json.dumps(features, ensure_ascii=False)}
    schema = pa.schema([(name, kind) for name, (_, kind, _) in columns.items()], metadata=metadata)
    table = pa.Table.from_pydict({name: values for name, (values, _, _) in columns.items()}, schema=schema)
    path = folder / f"{split}-{number:05d}-of-{len(reader.files(split)):05d}.parquet"
    pq.write_table(table, path, compression="none", row_group_size=ROWS_PER_GROUP, write_page_index=True)
    return len(batch)


def size_category(rows: int) -> str:
    """Return the hub's category of a number of samples."""
    bounds, names = (1_000, 10_000, 100_000, 1_000_000), ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "n>1M")
    return names[bisect_right(bounds, rows)]
