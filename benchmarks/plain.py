"""The plain alternatives: what a competent person writes first, without waste and without thought for speed."""

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow

from benchmarks.material import Material
from pipeline.datasets.index import Sample, read_samples
from pipeline.datasets.sample_batch import VIEW_NAMES
from pipeline.datasets.shards import Shards


class Cutouts(NamedTuple):
    """One sample as pictures of the photo's size."""

    sample: Sample
    roi: Pillow.Image
    extra_roi: Pillow.Image


def cut_photos(material: Material) -> Iterator[Cutouts]:
    """Mask every sample with NumPy; each photo and label map is opened once."""
    for _, group in groupby(read_samples(material.samples), key=attrgetter("photo_path")):
        samples = list(group)
        photo = np.asarray(Pillow.open(material.raw / samples[0].photo_path).convert("RGB"))
        labels = np.asarray(Pillow.open(material.raw / str(samples[0].label_map_path)))
        for sample in samples:
            mask = (labels == sample.mask_value)[:, :, np.newaxis]
            roi, extra_roi = photo * mask, photo * ~mask
            yield Cutouts(sample, Pillow.fromarray(roi), Pillow.fromarray(extra_roi))


def letterbox(picture: Pillow.Image, size: int) -> Pillow.Image:
    """Resize by bicubic and paste into the middle of a gray square."""
    scale = size / max(picture.size)
    width, height = (max(1, int(side * scale)) for side in picture.size)
    square = Pillow.new("RGB", (size, size), (125, 125, 125))
    small = picture.resize((width, height), Pillow.Resampling.BICUBIC)
    square.paste(small, ((size - width) // 2, (size - height) // 2))
    return square


def place(folder: Path, view: str, sample: Sample, suffix: str) -> Path:
    """Return where a view of a sample lies: split, view and class are folders."""
    return folder / sample.split / view / str(sample.category_id) / f"{Path(sample.photo_path).stem}{suffix}"


def write_small_jpegs(material: Material, folder: Path) -> None:
    """Write two letterboxed JPEG files a sample."""
    for cutouts in cut_photos(material):
        for view in VIEW_NAMES:
            _save(letterbox(getattr(cutouts, view), material.image_size), place(folder, view, cutouts.sample, ".jpg"))


def _save(picture: Pillow.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=95)


def write_pngs(shards: Shards, folder: Path) -> None:
    """Write two lossless PNG files a sample, of the very pixels that the shards hold."""
    for split in shards.splits:
        for batch in shards.batches(split):
            for row, sample_id in enumerate(batch.sample_ids):
                for view in VIEW_NAMES:
                    path = folder / view / f"{sample_id}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Pillow.fromarray(getattr(batch, view)[row]).save(path)


def read_pngs(folder: Path) -> int:
    """Decode every PNG file into an array; return the number of bytes of pixels."""
    return sum(np.asarray(Pillow.open(path)).nbytes for path in sorted(folder.rglob("*.png")))
