"""Photos and label maps of samples, from data/raw or its mirror on object storage, with their hashes verified."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from pipeline.arrays import Image, LabelMap
from pipeline.datasets.index import Sample
from pipeline.imaging.decode import read_binary_mask, read_label_map, read_picture
from pipeline.runtime.errors import DatasetError
from pipeline.runtime.manifest import sha256_of
from pipeline.runtime.stores import Place, RemoteFolder, open_local


def read_photo_of(sample: Sample, raw: Place) -> Image:
    """Decode a photo as `decode_photo_of` does, into an array."""
    return np.array(decode_photo_of(sample, raw))


def decode_photo_of(sample: Sample, raw: Place) -> Pillow.Image:
    """Decode a photo upright, in RGB; raise `DatasetError` if its bytes changed since stage `index`."""
    with verified_file(raw, sample.photo_path, sample.photo_sha256) as path:
        return read_picture(path)


@contextmanager
def verified_file(raw: Place, name: str, sha256: str | None) -> Iterator[Path]:
    """Yield a local path of a file of the data set after its SHA-256 was compared with the sample table's.

    Neither DVC's cache nor a mirror is verified otherwise, and a JPEG with a flipped bit decodes without an error.

    Raises:
        DatasetError: If the file is absent, or its bytes are others.
    """
    with ExitStack() as stack:
        try:
            path = stack.enter_context(open_local(raw, name))
        except FileNotFoundError as error:
            raise _changed(raw, name, "is not there") from error
        if not path.is_file():
            raise _changed(raw, name, "is not there")
        if sha256_of(path) != sha256:
            raise _changed(raw, name, "is another one than stage `index` read")
        yield path


def _changed(raw: Place, name: str, what: str) -> DatasetError:
    if isinstance(raw, RemoteFolder):
        return DatasetError(f"{raw}/{name}: {what}; copy data/raw to runtime.mirror again")
    commands = "`make mend`, then `dvc repro` or `dvc pull`, then `dvc checkout --relink`"
    return DatasetError(f"{raw}/{name}: {what}; run {commands}: they bring back what was damaged or changed")


def read_label_maps(samples: Sequence[Sample], raw: Place) -> dict[str, LabelMap]:
    """Return the label maps of a photo's samples by path below `raw`, each read once; binary masks as 0 and 1."""
    by_path = {sample.label_map_path: sample for sample in samples if sample.label_map_path is not None}
    label_maps: dict[str, LabelMap] = {}
    for name, sample in sorted(by_path.items()):
        with verified_file(raw, name, sample.label_map_sha256) as path:
            binary = sample.mask_value is None
            label_maps[name] = read_binary_mask(path).mask.view(np.uint8) if binary else read_label_map(path)
    return label_maps
