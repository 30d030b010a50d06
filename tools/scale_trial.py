"""`python -m tools.scale_trial FOLDER --photos N`: what time and memory the data stages take on a set of any size.

Generates N tiny photos of ten foods each, then indexes, segments, pairs and reads them once, every step in a process of
its own. Prints a row a step; `docs/scale.md` says what follows from them. A step that is done is not done again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.runtime import vector_width  # noqa: F401 - before numpy

# isort: split
import numpy as np
from PIL import Image

from pipeline.datasets.shards import Shards
from pipeline.params.stages import IndexParams, PairParams, SegmentParams
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks

CATEGORIES = 103
FOODS = 10
"""Of a photo, each a tile of its own."""
TEST_EVERY = 10
"""Every tenth photo is a test photo."""
SIDES = (32, 65)
"""Smallest side of a photo in pixels, and one more than the largest."""
IMAGE_SIZE = 32


def generate(folder: Path, photos: int, _workers: int, *, foods: int = FOODS) -> None:
    """Write a data set in the official layout; photo `number` depends on its number alone."""
    raw = folder / "raw"
    names = (f"{number} food {number:03d}\n" for number in range(1, CATEGORIES + 1))
    for split in ("train", "test"):
        for part in ("img_dir", "ann_dir"):
            (raw / "Images" / part / split).mkdir(parents=True, exist_ok=True)
    (raw / "ImageSets").mkdir(exist_ok=True)
    (raw / "category_id.txt").write_text("0 background\n" + "".join(names), encoding="utf-8")
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for number in range(photos):
        split, stem = ("train" if number % TEST_EVERY else "test"), f"{number:08d}"
        photo, labels = _drawn(np.random.default_rng(number), foods)
        for part, picture in (("img_dir", photo), ("ann_dir", labels)):
            Image.fromarray(picture).save(raw / "Images" / part / split / f"{stem}.png", compress_level=1)
        lists[split].append(f"{stem}.png\n")
    for split, lines in lists.items():
        (raw / "ImageSets" / f"{split}.txt").write_text("".join(lines), encoding="utf-8")


def _drawn(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a photo of smooth noise and its label map of 2 x 5 tiles on background, the first `count` of them food."""
    height, width = generator.integers(*SIDES, 2).tolist()
    colours = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    labels = np.zeros((height, width), np.uint8)
    foods = generator.choice(CATEGORIES, FOODS, replace=False) + 1
    rows, columns = height // 2, width // 5
    for number, food in enumerate(foods.tolist()[:count]):
        top, left = number // 5 * rows, number % 5 * columns
        labels[top + 1 : top + rows, left + 1 : left + columns] = food
    return np.asarray(colours.resize((width, height), Image.Resampling.BICUBIC)), labels


def index(folder: Path, _photos: int, workers: int) -> None:
    """Make the sample table."""
    settings = IndexParams(on_error="fail", tiny_area=1)
    build_index(settings, raw=folder / "raw", index=folder / "index", workers=workers)


def segment(folder: Path, _photos: int, workers: int) -> None:
    """Cut the masks out of the label maps."""
    settings = SegmentParams(source="annotation", photos_per_file=64)
    samples, masks = folder / "index/samples.parquet", folder / "masks"
    write_masks(settings, raw=folder / "raw", samples=samples, masks=masks, workers=workers)


def pair(folder: Path, _photos: int, workers: int) -> None:
    """Cut every photo into ROI and extra-ROI."""
    write_shards(
        PairParams(image_size=IMAGE_SIZE, fill=0, pad=125, photos_per_file=64),
        source="annotation",
        raw=folder / "raw",
        samples=folder / "index/samples.parquet",
        masks=folder / "masks",
        shards=folder / "shards",
        workers=workers,
    )


def read(folder: Path, photos: int, _workers: int) -> None:
    """Read every sample once, as an epoch does.

    Raises:
        ValueError: If not all of them are there.
    """
    shards = Shards(folder / "shards")
    found = sum(len(batch) for split in ("train", "test") for batch in shards.batches(split))
    if found != photos * FOODS:
        raise ValueError(f"{found} samples, not {photos * FOODS}")


STEPS: dict[str, Callable[[Path, int, int], None]] = {
    step.__name__: step for step in (generate, index, segment, pair, read)
}


def measured(step: str, folder: Path, photos: int, workers: int) -> dict[str, float]:
    """Do one step in this process; return its seconds, its CPU seconds and the peak of its memory in MB."""
    start = time.monotonic()
    STEPS[step](folder, photos, workers)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)),
    }


def main() -> None:
    """Do all steps, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1, help="processes; memory is that of the first alone")
    parser.add_argument("--step", choices=STEPS)
    asked = parser.parse_args()
    if asked.step:
        print(json.dumps(measured(asked.step, asked.folder, asked.photos, asked.workers)))
        return
    asked.folder.mkdir(parents=True, exist_ok=True)
    print("step      seconds  CPU seconds  peak MB")
    for step in STEPS:
        row = _in_process_of_its_own(step, asked)
        print(f"{step:8} {row['seconds']:8.1f} {row['cpu_seconds']:12.1f} {row['peak_mb']:8.0f}", flush=True)


def _in_process_of_its_own(step: str, asked: argparse.Namespace) -> dict[str, float]:
    figures = asked.folder / f"{step}.json"
    if not figures.exists():
        command = [sys.executable, "-m", "tools.scale_trial", str(asked.folder), "--step", step]
        command += ["--photos", str(asked.photos), "--workers", str(asked.workers)]
        env = os.environ | {"DVC_ROOT": str(asked.folder)}
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)  # noqa: S603
        figures.write_bytes(done.stdout)
    row: dict[str, float] = json.loads(figures.read_bytes())
    return row


if __name__ == "__main__":
    main()
