"""How a photo and a mask became a model's two inputs: what whoever classifies a new photo has to repeat."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from pipeline.datasets.shards import Shards
from pipeline.errors import ManifestError
from pipeline.manifest import verified
from pipeline.params.base import Section, describe
from pipeline.params.data import Geometry


class Preprocessing(Section):
    """Everything between the file of a photo and raw pixels in [0, 255]; the model itself subtracts mean and std."""

    orientation: Literal["exif"] = "exif"
    """The photo is turned as its EXIF tag says, then read as RGB."""
    order: Literal["cut out, then letterbox"] = "cut out, then letterbox"
    """Hidden pixels are filled at full size. The extra-ROI is the letterboxed photo less the letterboxed ROI; under the
    `released` geometry it is the photo without its ROI, letterboxed."""
    resample: Literal["bicubic"] = "bicubic"
    """Filter of the resize, PIL's, which averages when it shrinks."""
    placement: Literal["centred"] = "centred"
    """The long side fills the square; an odd row or column of padding lies above or to the left."""
    geometry: Geometry
    """How the photo's sides are rounded; `released` can leave the long side one pixel short, and resizes each view on
    its own."""
    fill: int = Field(ge=0, le=255)
    """Gray level of hidden pixels."""
    pad: int = Field(ge=0, le=255)
    """Gray level around the photo."""


def read_preprocessing(shards: Shards) -> Preprocessing:
    """Return how the pictures of a folder of shards were made, as its first file says.

    Raises:
        ManifestError: If the folder has no file, or the first one is absent, damaged or says nothing.
    """
    if not shards.manifest.files:
        raise ManifestError(f"{shards.folder}: no shards; check ImageSets and run `dvc repro`")
    entry = shards.manifest.files[0]
    path = f"{shards.folder}/{entry.name}"
    try:
        with verified(shards.folder, entry) as file:
            schema = pq.read_schema(file)
        geometry = (schema.metadata or {}).get(b"geometry", b"exact").decode()
        return Preprocessing.model_validate(
            {name: _gray_of(schema, name, path) for name in ("fill", "pad")} | {"geometry": geometry}
        )
    except ValidationError as error:
        raise ManifestError(f"{path}: {describe(error)}; run `dvc repro -f pair`") from error
    except (pa.ArrowInvalid, ValueError) as error:
        raise ManifestError(f"{path}: does not say how it was made ({error}); run `dvc repro -f pair`") from error


def _gray_of(schema: pa.Schema, name: str, path: object) -> int:
    """Return a gray level that a shard says it was made with.

    Args:
        schema: The shard's.
        name: `fill` or `pad`.
        path: The shard, for messages.

    Raises:
        ManifestError: If it does not say.
    """
    said = (schema.metadata or {}).get(name.encode(), b"nothing")
    if not said.isdigit() or int(said) > np.iinfo(np.uint8).max:
        raise ManifestError(f"{path}: does not say how it was made ({name}: {said!r}); run `dvc repro -f pair`")
    return int(said)
