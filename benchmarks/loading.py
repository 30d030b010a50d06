"""Epochs over the train split, from the disk to batches, beside a folder of JPEG cut-outs read by a `DataLoader`."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Subset

from benchmarks.measure import Cost, make_cold, take_turns
from benchmarks.plain import JpegFolder, normalise, write_full_jpegs
from benchmarks.row import Row
from benchmarks.site import Site
from pipeline.datasets.class_set import select_classes
from pipeline.datasets.shards import Shards
from pipeline.params.model import TrainParams
from pipeline.training.batches import Batch, Source, plan_epoch
from pipeline.training.split import load_split

BOTH = frozenset({"roi", "extra_roi"})
PLAIN_SAMPLES = 150
"""Enough for a steady rate of files that take 10 ms each."""
AGAINST = "times the samples/s of JPEG cut-outs decoded, letterboxed, flipped and normalised with PIL"


def measure(site: Site) -> Iterator[Row]:
    """Yield the rows about epochs, on one thread."""
    threads, folder = torch.get_num_threads(), site.scratch / "full_jpegs"
    torch.set_num_threads(1)
    write_full_jpegs(site.material, folder)
    try:
        yield from _epochs(site, folder)
    finally:
        torch.set_num_threads(threads)
        shutil.rmtree(folder)


def _epochs(site: Site, folder: Path) -> Iterator[Row]:
    shards, device, params = Shards(site.material.shards), torch.device(site.device), site.material.study.train
    listed = JpegFolder(folder, "train", site.material.image_size)
    plain = Subset(listed, torch.randperm(len(listed))[:PLAIN_SAMPLES].tolist())
    resident = load_train(shards)

    def from_disk() -> None:
        make_cold(shards.folder)
        run_epoch(load_train(shards), params, device, as_floats)

    costs = take_turns(
        {
            "plain": lambda: read_all(DataLoader(plain, batch_size=params.batch_size)),
            "first": from_disk,
            "later": lambda: run_epoch(resident, params, device, as_they_are),
            "later_as_floats": lambda: run_epoch(resident, params, device, as_floats),
        },
        site.rounds,
    )
    counts = {name: len(plain if name == "plain" else resident) for name in costs}
    times = {name: [cost.cpu / counts[name] for cost in each] for name, each in costs.items()}
    for name, what, reach in (
        ("first", "first epoch from cold shards to normalised batches, per core", 30),
        ("later", "later epochs, uint8 batches as a model takes them, per core", 150),
        ("later_as_floats", "later epochs, batches normalised as float32, per core", 150),
    ):
        quotients = tuple(plain / ours for plain, ours in zip(times["plain"], times[name], strict=True))
        yield Row(what, AGAINST, reach, ratios=quotients, detail=_rates(costs, counts, name))


def _rates(costs: dict[str, tuple[Cost, ...]], counts: dict[str, int], name: str) -> dict[str, object]:
    chosen = {"plain": costs["plain"], "ours": costs[name]}
    samples = {"plain": counts["plain"], "ours": counts[name]}
    return {
        f"{who}_samples_per_{unit}_second": samples[who] / sorted(getattr(cost, unit) for cost in each)[len(each) // 2]
        for who, each in chosen.items()
        for unit in ("cpu", "wall")
    }


def load_train(shards: Shards) -> Source:
    """Return the train split as a run of two branches and all classes holds it."""
    return load_split(shards, "train", select_classes(shards.categories, ()), views=BOTH)


def run_epoch(source: Source, params: TrainParams, device: torch.device, look: Callable[[Batch], object]) -> None:
    """Draw one epoch and hand every batch on."""
    plan = plan_epoch(source.targets, params, epoch=0, weights=None)
    for batch in source.stream((draw for draws in plan.steps for draw in draws), device):
        look(batch)
    if device.type == "cuda":
        torch.cuda.synchronize()


def as_they_are(batch: Batch) -> None:
    """Take uint8; the model normalises."""


def as_floats(batch: Batch) -> None:
    """Normalise both views, as the plain alternative does."""
    for view in (batch.roi, batch.extra_roi):
        if view is not None:
            normalise(view)


def read_all(loader: "DataLoader[object]") -> None:
    """Run through a loader."""
    for _ in loader:
        pass
