"""Which samples share a file, decided before any work, so that every file is an independent unit of it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, groupby, islice
from operator import attrgetter

from pipeline.datasets.samples import Sample
from pipeline.errors import DatasetError


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of masks or shards, and the samples it is going to hold."""

    name: str
    """`<split>-<number>.parquet`, numbered from 0 within the split."""
    split: str
    """`train` or `test`."""
    first_row: int
    """Row of its first sample, counted through the files of the split."""
    samples: tuple[Sample, ...]
    """Samples in the order of the table; those of one photo are adjacent and never in two files."""


def plan_files(samples: Iterable[Sample], *, photos_per_file: int) -> Iterator[PlannedFile]:
    """Cut a sample table into files of `photos_per_file` photos, streaming.

    Raises:
        DatasetError: If the samples of a split are not adjacent.
    """
    rows: Counter[str] = Counter()
    for split, of_split in groupby(samples, key=attrgetter("split")):
        if split in rows:
            raise DatasetError(f"samples of split {split!r} are not adjacent in the table; run `dvc repro -f index`")
        photos = by_photo(of_split)
        for number in count():
            held = tuple(sample for photo in islice(photos, photos_per_file) for sample in photo)
            if not held:
                break
            yield PlannedFile(f"{split}-{number:05d}.parquet", split, rows[split], held)
            rows[split] += len(held)


def by_photo(samples: Iterable[Sample]) -> Iterator[tuple[Sample, ...]]:
    """Yield the adjacent samples of each photo together."""
    for _, of_photo in groupby(samples, key=attrgetter("photo_id")):
        yield tuple(of_photo)
