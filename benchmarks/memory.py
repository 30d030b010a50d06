"""Memory of a training run beside the model, in processes of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.loading import BOTH, run_epoch
from benchmarks.measure import memory_watched
from benchmarks.row import Row
from benchmarks.site import Site
from pipeline.datasets.class_set import select_classes
from pipeline.datasets.layout import SPLITS
from pipeline.datasets.shards import Shards
from pipeline.models.numerics import fix_numerics
from pipeline.params.study import load_study
from pipeline.training.pixel_store import Room
from pipeline.training.split import load_splits

FLOAT32 = 4


def measure(site: Site) -> Iterator[Row]:
    """Yield a row for samples in memory and one for samples in a file."""
    shards = Shards(site.material.shards)
    floats = sum(map(shards.rows, SPLITS)) * len(BOTH) * 3 * shards.image_size**2 * FLOAT32
    for mode, what in (("resident", "in memory"), ("mapped", "in a file (bounded)")):
        peaks = [_probe(site.material.root, site.scratch, mode) for _ in range(site.rounds)]
        yield Row(
            name=f"memory of a training run beside the model, samples {what}",
            against="of all samples as float32",
            reach=0.25,
            sense="at most",
            ratios=tuple(peak / floats for peak in peaks),
            detail={"megabytes": max(peaks) / 1e6, "as_float32_megabytes": floats / 1e6},
        )


def _probe(root: Path, scratch: Path, mode: str) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", str(root), str(scratch), mode]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(json.loads(output.splitlines()[-1]))


def main() -> None:
    """Load both splits, run one epoch over each, print the highest memory meanwhile."""
    root, scratch, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    params = load_study(root / "params.yaml").train
    fix_numerics(1, seed=0)
    with memory_watched() as peak:
        shards = Shards(root / "shards")
        classes = select_classes(shards.categories, ())
        room = Room(0, scratch) if mode == "mapped" else None
        splits = load_splits(shards, classes, views=BOTH, room=room)
        for split in splits:
            run_epoch(split, params, torch.device("cpu"))
    print(json.dumps(peak.bytes))


if __name__ == "__main__":
    main()
