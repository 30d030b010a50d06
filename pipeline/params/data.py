"""Settings of the stages that make samples: download, index, segment, pair."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from pipeline.params.base import ReadsOutside, Section

Geometry: TypeAlias = Literal["exact", "released"]
"""How a photo is fitted into the square, and whether its two views then add up to it."""

VOID = 255
"""Value by which most data sets mark pixels that no annotator decided."""


class DemoParams(Section):
    """Section `demo`: the generated data set."""

    train_photos: int = Field(ge=1, le=100_000)
    """Photos of the train split."""
    test_photos: int = Field(ge=1, le=100_000)
    """Photos of the test split."""
    seed: int = Field(ge=0)
    """Seed of every scene; scene i of a split depends on (seed, split, i) alone."""


class DownloadParams(ReadsOutside):
    """Section `download`: where photos come from and what may not be exceeded."""

    source: str
    """`demo`, or an archive or a folder in the official layout: its path, or an http(s)://, file:// or s3:// URL."""
    sha256: str | None = Field(pattern="^[0-9a-f]{64}$")
    """Expected SHA-256 of the archive; null records and prints it instead."""
    password: str | None
    """ZipCrypto password of the archive."""
    max_gigabytes: float = Field(gt=0)
    """Bound on the extracted size in 10^9 bytes."""
    max_files: int = Field(ge=1)
    """Bound on the number of extracted files."""
    attempts: int = Field(ge=1, le=100)
    """Tries of a broken transfer, each resuming where the last one stopped."""
    timeout: float = Field(gt=0)
    """Seconds without a byte after which a transfer counts as broken."""
    extra: dict[str, str]
    """Folder of photos by extra category name; see docs/data.md for its layout."""
    demo: DemoParams
    """Used when `source` is `demo`."""


class IndexParams(Section):
    """Section `index`: what happens to photos that cannot be used."""

    on_error: Literal["fail", "skip_empty", "skip"]
    """`fail` stops at the first unusable photo, `skip` leaves it out and lists it in summary.json, `skip_empty` leaves
    out photos whose label map marks no food and stops at damage."""
    tiny_area: int = Field(ge=0)
    """Masks of fewer pixels get the flag `tiny`; they stay samples, as in the paper."""
    void: tuple[Annotated[int, Field(ge=1, le=255)], ...] = Field(
        default=(VOID,), exclude_if=lambda value: value == (VOID,)
    )
    """Values of label maps that annotators left undecided: no food, and no reason to leave a photo out."""


class SegmentParams(Section):
    """Settings of `segment@annotation`; those of other sources are in `pipeline.params.masks`."""

    source: Literal["annotation"]
    """Mask source."""
    photos_per_file: int = Field(ge=1)
    """Photos whose masks share one Parquet file, the unit of work."""
    reference_only: bool = Field(default=False, exclude_if=lambda value: not value)
    """Nobody trains on these masks nor is judged on them, so clicks may stand in for the masks they ask for."""


class PairParams(Section):
    """Section `pair`: geometry of the two cut-outs and size of a shard."""

    image_size: int = Field(ge=16, le=2048)
    """Side of the square cut-outs in pixels."""
    fill: int = Field(ge=0, le=255)
    """Gray level of hidden pixels, 0 black to 255 white."""
    pad: int = Field(ge=0, le=255)
    """Gray level of the letterbox around the photo."""
    geometry: Geometry = Field(default="exact", exclude_if=lambda value: value == "exact")
    """`exact` fills the square with the long side, and both views add up to the photo; `released` rounds the long side
    down in floating point, often to 1 pixel less, and resizes each view on its own."""
    photos_per_file: int = Field(ge=1)
    """Photos whose samples share one shard, the unit of work."""
