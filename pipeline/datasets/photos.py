"""The photo of a sample, from the data set's folder or from a copy of it on object storage."""

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.datasets.samples import Sample
from pipeline.errors import DatasetError
from pipeline.imaging.decode import read_picture
from pipeline.manifest import sha256_of
from pipeline.stores import Place, lent


def read_photo_of(sample: Sample, raw: Place) -> Image:
    """Decode a photo as `picture_of` does, into an array.

    Raises:
        DatasetError: If the copy lacks the photo or has another one.
        PhotoError: If it cannot be decoded.
    """
    return np.array(picture_of(sample, raw))


def picture_of(sample: Sample, raw: Place) -> Pillow.Image:
    """Decode a photo upright, in RGB.

    The bytes of a copy are held to the hash that `index` noted, since no DVC guards them.

    Raises:
        DatasetError: If the copy lacks the photo or has another one.
        PhotoError: If it cannot be decoded.
    """
    if isinstance(raw, Path):
        return read_picture(raw / sample.photo_path)
    try:
        with lent(raw, sample.photo_path) as path:
            if sha256_of(path) == sample.photo_sha256:
                return read_picture(path)
    except FileNotFoundError as error:
        raise not_mirrored(raw, sample.photo_path, "is not there") from error
    raise not_mirrored(raw, sample.photo_path, "is another one than here")


def not_mirrored(raw: Place, path: str, what: str) -> DatasetError:
    """Return the error for a file that a copy of the data set does not have as it is here."""
    return DatasetError(f"{raw}/{path}: {what}; copy data/raw to runtime.mirror again")
