"""The label maps and binary masks of one photo, checked against the sample table."""

from collections.abc import Sequence

import numpy as np

from pipeline.arrays import LabelMap
from pipeline.datasets.photos import checked
from pipeline.datasets.samples import Sample
from pipeline.imaging.decode import read_binary_mask, read_label_map
from pipeline.stores import Place


def read_label_maps(samples: Sequence[Sample], raw: Place) -> dict[str, LabelMap]:
    """Return every label map of the samples of one photo, by its path below `raw`, each read once; masks as 0, 1.

    Raises:
        DatasetError: If a label map is absent or another one than stage `index` read.
    """
    by_path = {sample.label_map_path: sample for sample in samples if sample.label_map_path is not None}
    return {path: _read(path, by_path[path], raw) for path in sorted(by_path)}


def _read(name: str, sample: Sample, raw: Place) -> LabelMap:
    with checked(raw, name, sample.label_map_sha256) as path:
        return read_label_map(path) if sample.mask_value is not None else read_binary_mask(path).mask.view(np.uint8)
