"""Memory of a training run beside the model, in processes of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.measure import memory_watched
from benchmarks.row import Row
from benchmarks.site import Site
from pipeline.datasets.class_set import select_classes
from pipeline.datasets.sample_batch import VIEW_NAMES
from pipeline.datasets.shards import Shards
from pipeline.models.device import set_deterministic
from pipeline.params.study import load_study
from pipeline.training.dataset import MemoryBudget, load_split, plan_epoch

BOTH = frozenset(VIEW_NAMES)


def measure(site: Site) -> Iterator[Row]:
    """Yield the memory that a budget adds to reading and batches, which a budget of nothing needs too."""
    shards = Shards(site.material.shards)
    pixels = sum(map(shards.rows, shards.splits)) * len(BOTH) * 3 * shards.image_size**2
    budget = pixels // 2
    none, half = (
        [_probe(site.material.root, site.scratch, memory) for _ in range(site.rounds)] for memory in (0, budget)
    )
    yield Row(
        name="memory of a training run whose budget is half of its pixels, above that of a budget of 0",
        against="of the budget",
        reach=1.05,
        sense="at most",
        ratios=tuple((with_budget - without) / budget for without, with_budget in zip(none, half, strict=True)),
        detail={"pixel_megabytes": pixels / 1e6, "megabytes_without_budget": max(none) / 1e6},
    )


def _probe(root: Path, scratch: Path, memory: int) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", str(root), str(scratch), str(memory)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(json.loads(output.splitlines()[-1]))


def main() -> None:
    """Load all splits, run one epoch over each, print the highest memory meanwhile."""
    root, scratch, memory = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    params = load_study(root / "params.yaml").train
    set_deterministic(1, seed=0)
    with memory_watched() as peak:
        shards = Shards(root / "shards")
        classes = select_classes(shards.categories, ())
        budget = MemoryBudget(memory, scratch)
        splits = [load_split(shards, name, classes, views=BOTH, budget=budget) for name in shards.splits]
        for split in splits:
            plan = plan_epoch(split.targets, params, epoch=0, weights=None)
            for batch in split.stream((each for step in plan.steps for each in step), torch.device("cpu")):
                del batch  # before the next one is gathered, as a training step does
    print(json.dumps(peak.bytes))


if __name__ == "__main__":
    main()
