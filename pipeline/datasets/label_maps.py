"""The label maps of one photo, checked against the sample table."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.arrays import LabelMap
from pipeline.datasets.samples import Sample
from pipeline.errors import DatasetError
from pipeline.imaging.decode import read_label_map


def read_label_maps(samples: Sequence[Sample], raw: Path) -> dict[str, LabelMap]:
    """Return every label map of the samples of one photo, by its path below `raw`, each read once.

    Raises:
        DatasetError: If a label map is damaged or of another size than its photo.
    """
    paths = {sample.label_map_path for sample in samples if sample.label_map_path is not None}
    return {path: _read(raw / path, samples[0]) for path in sorted(paths)}


def _read(path: Path, sample: Sample) -> LabelMap:
    label_map = read_label_map(path)
    if label_map.shape != (sample.photo_height, sample.photo_width):
        height, width = label_map.shape
        raise DatasetError(
            f"{path}: {width} x {height} pixels, its photo {sample.photo_path} has {sample.photo_width} x "
            f"{sample.photo_height}; mend the pair and run `dvc repro`"
        )
    return label_map
