"""Files of samples, from the data set's folder or from a copy of it on object storage, held to the sample table."""

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
    """Decode a photo as `picture_of` does, into an array.

    Raises:
        DatasetError: If the photo is absent or another one than stage `index` read.
        PhotoError: If it cannot be decoded.
    """
    return np.array(picture_of(sample, raw))


def picture_of(sample: Sample, raw: Place) -> Pillow.Image:
    """Decode a photo upright, in RGB.

    Raises:
        DatasetError: If the photo is absent or another one than stage `index` read.
        PhotoError: If it cannot be decoded.
    """
    with checked(raw, sample.photo_path, sample.photo_sha256) as path:
        return read_picture(path)


@contextmanager
def checked(raw: Place, name: str, sha256: str | None) -> Iterator[Path]:
    """Lend the path of a file of the data set after its bytes were held to the hash that stage `index` noted.

    DVC trusts its cache, and nobody guards a copy: a flipped bit of a JPEG is another photo, without any error.

    Raises:
        DatasetError: If the file is absent, or its bytes are others.
    """
    with ExitStack() as stack:
        try:
            path = stack.enter_context(open_local(raw, name))
        except FileNotFoundError as error:
            raise _other(raw, name, "is not there") from error
        if not path.is_file():
            raise _other(raw, name, "is not there")
        if sha256_of(path) != sha256:
            raise _other(raw, name, "is another one than stage `index` read")
        yield path


def _other(raw: Place, name: str, what: str) -> DatasetError:
    if isinstance(raw, RemoteFolder):
        return DatasetError(f"{raw}/{name}: {what}; copy data/raw to runtime.mirror again")
    mend = "`make mend`, then `dvc repro` or `dvc pull`, then `dvc checkout --relink`"
    return DatasetError(f"{raw}/{name}: {what}; run {mend}: they bring back what was damaged or changed")


# The label maps and binary masks of one photo, checked against the sample table.


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
