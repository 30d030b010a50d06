"""Shards as the folder tree of the released code: `train|test/roi|extra-roi/<category>/<name>.jpg`.

The released code pairs ROI and extra-ROI by bare file name, so names here are unique per photo and category: with
names of photos alone, a photo with several foods would get another food's surroundings.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.console import progress
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.shards import Shards
from pipeline.export.labels import folder_names
from pipeline.parallel import map_ordered
from pipeline.stores import Place

SPLITS = ("train", "test")
VIEWS = {"roi": "roi", "extra_roi": "extra-roi"}
"""Folder by view."""
QUALITY = 95
"""JPEG quality; without loss of colour resolution, so that less leaks across the edge of a mask."""


class Part(NamedTuple):
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
    parts = [Part(split, number) for split in SPLITS for number in range(len(reader.files(split)))]
    write = partial(_write_part, shards=shards, tree=tree, names=names)
    written = map_ordered(write, parts, workers=workers)
    return sum(progress(written, total=len(parts), what="export", unit="files"))


def _write_part(part: Part, *, shards: Place, tree: Path, names: Sequence[str]) -> int:
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
