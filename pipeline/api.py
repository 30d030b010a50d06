"""What a program may build on: `from pipeline import load_run`. Everything else may change between versions.

Load a run, show it a photo and a mask:

    >>> run = load_run(demo_run)
    >>> photo, mask = read_photo(demo_photo), read_mask(demo_mask)
    >>> (answer,) = run.predict(photo, [mask])
    >>> best, *others = answer.top(3)
    >>> best.category in run.class_names, 0 < best.probability <= 1, len(others)
    (True, True, 2)

Masks from boxes, without any weights:

    >>> (region,) = find_regions(photo, [box(4, 3, 24, 20)])
    >>> region.found_by, region.mask.shape == photo.shape[:2]
    ('grabcut', True)

Shards as NumPy, as Arrow, as a torch Dataset:

    >>> shards = open_shards(demo_shards)
    >>> [batch.roi.shape for batch in shards.batches("test")]
    [(6, 32, 32, 3)]
    >>> [table.num_rows for table in arrow_tables(demo_shards, "test", ["sample_id", "target"])]
    [6]
    >>> len(ShardDataset(demo_shards, "test", shuffle_seed=0))
    6
    >>> run.judge(next(shards.batches("test")))[0].logits.shape
    (4,)
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline import processor  # noqa: F401 - before numpy and torch
from pipeline.arrays import Image, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.shards import Shards
from pipeline.errors import PipelineError, SeveralFoodsError
from pipeline.imaging import decode
from pipeline.prediction.prediction import Guess, Prediction
from pipeline.prediction.regions import Region, foods_in, regions_at
from pipeline.prediction.run import Run, open_run
from pipeline.prediction.sources import MaskMethod, open_method
from pipeline.reading.arrow_tables import arrow_tables
from pipeline.reading.torch_dataset import ShardDataset, ShardSample
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.source import MaskSource
from pipeline.stores import place_of

__all__ = [
    "Guess",
    "MaskSource",
    "PipelineError",
    "Prediction",
    "Prompt",
    "Region",
    "Run",
    "SampleBatch",
    "ShardDataset",
    "ShardSample",
    "Shards",
    "arrow_tables",
    "box",
    "find_regions",
    "load_run",
    "open_masks",
    "open_shards",
    "point",
    "read_mask",
    "read_photo",
]


def load_run(folder: Path | str, *, device: str = "auto") -> Run:
    """Load a finished run; nothing is unpickled.

    Args:
        folder: Folder with `run.json` and `model.safetensors`.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ManifestError: If a file is absent or damaged.
        ParamsError: If the device is not there.
    """
    return open_run(Path(folder), device=device)


def open_shards(folder: Path | str) -> Shards:
    """Open a folder of shards, a path or the URL of one on object storage, to be read batch by batch as NumPy arrays.

    Raises:
        ManifestError: If its manifest is absent, damaged or of another version.
    """
    return Shards(place_of(folder))


def read_photo(path: Path | str) -> Image:
    """Decode a photo upright, as the pipeline does everywhere.

    Raises:
        PhotoError: If the file is absent, damaged, no picture or too large.
    """
    return decode.read_photo(Path(path))


def read_mask(path: Path | str, value: int | None = None) -> Mask:
    """Read a mask: what is not black, of grays what is at least half of white; or the pixels of one value.

    Raises:
        DatasetError: If no pixel has the value.
        EmptyMaskError: If every pixel is black.
        PhotoError: If the file is absent, damaged, or holds no ids where a value is asked for.
        SeveralFoodsError: If no value is given and it holds several.
    """
    try:
        ((_, mask),) = foods_in(Path(path), value)
    except SeveralFoodsError as error:
        raise SeveralFoodsError(f"{error}; choose one by read_mask(path, value)") from error
    return mask


def box(x0: int, y0: int, x1: int, y1: int) -> Prompt:
    """Return a box around a food in pixels of the upright photo, corners inclusive."""
    return Prompt("box", (float(x0), float(y0), float(x1), float(y1)))


def point(x: int, y: int) -> Prompt:
    """Return a click on a food in pixels of the upright photo."""
    return Prompt("point", (float(x), float(y)))


def open_masks(method: MaskMethod, weights: Path | str | None = None, *, device: str = "auto") -> MaskSource:
    """Open what turns boxes and clicks into masks.

    Args:
        method: `grabcut`, `sam` or `fastsam`.
        weights: Published file of sam or fastsam, or a folder of `data/mask_weights`.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ParamsError: If weights are missing, a package is absent, or the device is not there.
        WeightsError: If the weights are damaged.
    """
    return open_method(method, None if weights is None else Path(weights), device)


def find_regions(photo: Image, prompts: Sequence[Prompt], source: MaskSource | None = None) -> tuple[Region, ...]:
    """Return the region of interest at each box or click; each is one food.

    Args:
        photo: RGB at full size.
        prompts: Boxes and clicks.
        source: What answers them; GrabCut, which takes boxes only, if absent.

    Raises:
        DatasetError: If a prompt lies outside the photo, or is of a kind the source cannot answer.
    """
    return regions_at(source or GrabCut(), photo, prompts)
