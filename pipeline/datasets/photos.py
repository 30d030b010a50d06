"""Photos and annotated masks of samples, from data/raw or its mirror on object storage, with their hashes verified."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from pipeline.arrays import Image, LabelMap, Mask
from pipeline.datasets.index import Sample
from pipeline.datasets.objects import decode_rle
from pipeline.imaging.decode import fit_to_photo, read_binary_mask, read_label_map, read_picture
from pipeline.runtime.errors import DatasetError, EmptyMaskError, ManifestError
from pipeline.runtime.manifest import open_checked
from pipeline.runtime.stores import Place, RemoteFolder


def read_photo_of(sample: Sample, raw: Place) -> Image:
    """Decode a photo as `decode_photo_of` does, into an array."""
    return np.array(decode_photo_of(sample, raw))


def decode_photo_of(sample: Sample, raw: Place) -> Pillow.Image:
    """Decode a photo upright, in RGB; raise `DatasetError` if its bytes changed since stage `index`."""
    with verified_file(raw, sample.photo_path, sample.photo_sha256) as path:
        return read_picture(path)


def verified_file(raw: Place, name: str, sha256: str | None) -> AbstractContextManager[Path]:
    """Yield a local path of a file of the data set after its SHA-256 was compared with the sample table's.

    Neither DVC's cache nor a mirror is verified otherwise, and a JPEG with a flipped bit decodes without an error.

    Raises:
        DatasetError: If the file is absent, or its bytes are others.
    """
    commands = "`make mend`, then `dvc repro` or `dvc pull`, then `dvc checkout --relink`"
    advice = f"run {commands}: they bring back what was damaged or changed"
    if isinstance(raw, RemoteFolder):
        advice = "copy data/raw to runtime.mirror again"
    absent = DatasetError(f"{raw}/{name}: is not there; {advice}")
    changed = DatasetError(f"{raw}/{name}: is another one than stage `index` read; {advice}")
    return open_checked(raw, name, sha256, absent=absent, changed=changed)


def read_masks(samples: Sequence[Sample], raw: Place) -> dict[str, Mask]:
    """Return the annotated masks of a photo's samples by sample id; samples with prompts instead have none.

    Raises:
        DatasetError: If a label map is absent, or another one than stage `index` read.
        EmptyMaskError: If a mask has no pixel.
        ManifestError: If a mask in the sample table is damaged.
    """
    masks: dict[str, Mask] = {}
    label_map, read = np.zeros((0, 0), np.uint8), ""
    for sample in samples:
        if sample.rle is not None:
            try:
                masks[sample.sample_id] = decode_rle(sample.rle, (sample.photo_height, sample.photo_width))
            except ValueError as error:
                raise ManifestError(f"{sample.sample_id}: {error}; run `dvc repro -f index`") from error
        elif sample.label_map_path is not None:
            if read != sample.label_map_path:
                label_map, read = _read_label_map(sample, sample.label_map_path, raw), sample.label_map_path
            mask = label_map > 0 if sample.mask_value is None else label_map == sample.mask_value
            if not mask.any():
                missing = "no pixel of the label map has its value; run `dvc repro -f index`"
                raise EmptyMaskError(f"{sample.sample_id}: {missing}")
            masks[sample.sample_id] = mask
    return masks


def read_void(sample: Sample, raw: Place, values: Collection[int]) -> Mask:
    """Return the pixels of a photo that no annotator decided, by value in its label map; errors as `read_masks`."""
    if sample.label_map_path is None or sample.mask_value is None:
        return np.zeros((sample.photo_height, sample.photo_width), np.bool_)  # objects and binary masks have none
    undecided: Mask = np.isin(_read_label_map(sample, sample.label_map_path, raw), list(values))
    return undecided


def _read_label_map(sample: Sample, name: str, raw: Place) -> LabelMap:
    """Decode the label map or binary mask of a sample, upright like its photo."""
    with verified_file(raw, name, sample.label_map_sha256) as path:
        binary = sample.mask_value is None
        label_map = read_binary_mask(path).mask.view(np.uint8) if binary else read_label_map(path)
    size = (sample.photo_height, sample.photo_width)
    if label_map.shape == size:
        return label_map
    with verified_file(raw, sample.photo_path, sample.photo_sha256) as path:
        return fit_to_photo(label_map, path, size)
