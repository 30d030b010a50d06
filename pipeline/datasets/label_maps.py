"""The label maps of one photo, checked against the sample table."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.arrays import LabelMap
from pipeline.datasets.photos import not_mirrored
from pipeline.datasets.samples import Sample
from pipeline.errors import DatasetError
from pipeline.imaging.components import Region, region_of
from pipeline.imaging.decode import read_label_map
from pipeline.stores import Place, lent


def read_label_maps(samples: Sequence[Sample], raw: Place) -> dict[str, LabelMap]:
    """Return every label map of the samples of one photo, by its path below `raw`, each read once.

    Those of a copy on object storage are held to the samples' area, box and parts, since the table has no hash of them.

    Raises:
        DatasetError: If a label map is damaged or of another size than its photo, or a copy lacks it or has another.
    """
    paths = sorted({sample.label_map_path for sample in samples if sample.label_map_path is not None})
    if isinstance(raw, Path):
        return {path: _read(raw / path, samples[0]) for path in paths}
    return {path: _copied(raw, path, samples) for path in paths}


def _copied(raw: Place, path: str, samples: Sequence[Sample]) -> LabelMap:
    try:
        with lent(raw, path) as file:
            label_map = _read(file, samples[0])
    except FileNotFoundError as error:
        raise not_mirrored(raw, path, "is not there") from error
    if not all(_fits(label_map, sample) for sample in samples if sample.label_map_path == path):
        raise not_mirrored(raw, path, "is another one than here")
    return label_map


def _fits(label_map: LabelMap, sample: Sample) -> bool:
    """Compare with what `index` noted."""
    mask = label_map > 0 if sample.mask_value is None else label_map == sample.mask_value
    noted = Region(sample.mask_area, sample.x0, sample.y0, sample.x1, sample.y1, sample.components)
    return bool(mask.any()) and region_of(mask) == noted


def _read(path: Path, sample: Sample) -> LabelMap:
    label_map = read_label_map(path)
    if label_map.shape != (sample.photo_height, sample.photo_width):
        height, width = label_map.shape
        raise DatasetError(
            f"{path}: {width} x {height} pixels, its photo {sample.photo_path} has {sample.photo_width} x "
            f"{sample.photo_height}; mend the pair and run `dvc repro`"
        )
    return label_map
