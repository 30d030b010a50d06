"""Epochs over the train split, from the disk to batches, beside a folder of JPEG cut-outs read by a `DataLoader`."""

import shutil
import statistics
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from benchmarks.measure import make_cold, take_turns
from benchmarks.plain import JpegFolder, write_full_jpegs
from benchmarks.row import Row
from benchmarks.site import Site
from pipeline.datasets.class_set import select_classes
from pipeline.datasets.sample_batch import VIEW_NAMES
from pipeline.datasets.shards import Shards
from pipeline.models.backbone import Branch
from pipeline.models.numerics import fix_numerics, spare_bytes
from pipeline.params.model import TrainParams
from pipeline.training.batches import Source, plan_epoch
from pipeline.training.split import Split, load_split

BOTH = frozenset(VIEW_NAMES)
PLAIN_SAMPLES = 150
"""Enough for a steady rate of files that take 10 ms each."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, of RGB in [0, 1]."""
AGAINST = {
    "plain": "times the samples/s of JPEG cut-outs decoded, letterboxed and flipped with PIL",
    "plain_floats": "times the samples/s of the same with normalising",
}
COMPARED = (
    ("first", "plain", "first epoch from cold shards, per core", 30),
    ("later", "plain", "later epochs, per core", 150),
    ("later_floats", "plain_floats", "later epochs with normalising, which here is the model's, per core", 150),
)
"""Ours, the plain alternative, what it is called, and its reach."""
Look = Callable[[Tensor, Tensor], None]


def measure(site: Site) -> Iterator[Row]:
    """Yield the rows about epochs, on one thread."""
    threads, folder = torch.get_num_threads(), site.scratch / "full_jpegs"
    fix_numerics(1, seed=0)  # as stage `train` does
    write_full_jpegs(site.material, folder)
    try:
        yield from _epochs(site, folder)
    finally:
        fix_numerics(threads, seed=0)
        shutil.rmtree(folder)


def _epochs(site: Site, folder: Path) -> Iterator[Row]:
    shards, device, params = Shards(site.material.shards), torch.device(site.device), site.material.study.train
    listed = JpegFolder(folder, "train", site.material.image_size)
    plain = Subset(listed, torch.randperm(len(listed))[:PLAIN_SAMPLES].tolist())
    resident = load_train(shards, device)
    branch = Branch(nn.Identity(), mean=MEAN, std=STD, num_features=3).to(device)

    def from_disk() -> None:
        make_cold(site.material.shards)
        run_epoch(load_train(shards, device), params, device)

    costs = take_turns(
        {
            "plain": lambda: read_all(DataLoader(plain, batch_size=params.batch_size)),
            "plain_floats": lambda: read_all(DataLoader(plain, batch_size=params.batch_size), as_floats),
            "first": from_disk,
            "later": lambda: run_epoch(resident, params, device),
            "later_floats": lambda: run_epoch(resident, params, device, normalised_by(branch)),
        },
        site.rounds,
    )
    # A GPU's work is no processor time: there both sides are timed by clock, and the plain one keeps a core busy.
    unit, spent = ("cpu_second", attrgetter("cpu")) if device.type == "cpu" else ("second", attrgetter("wall"))
    samples = {name: len(plain if name.startswith("plain") else resident) for name in costs}
    for ours, against, what, reach in COMPARED:
        yield Row(
            what,
            AGAINST[against],
            reach,
            ratios=tuple(
                (spent(one) / samples[against]) / (spent(other) / samples[ours])
                for one, other in zip(costs[against], costs[ours], strict=True)
            ),
            detail={
                f"{who}_samples_per_{unit}": samples[name] / statistics.median(map(spent, costs[name]))
                for who, name in (("ours", ours), ("plain", against))
            },
        )


def load_train(shards: Shards, device: torch.device) -> Split:
    """Return the train split as a run of two branches and all classes holds it."""
    split = load_split(shards, "train", select_classes(shards.categories, ()), views=BOTH)
    return split.resident(device, spare_bytes(device))


def _nothing(_roi: Tensor, _extra_roi: Tensor) -> None:
    """Take uint8; the model normalises."""


def as_floats(*views: Tensor) -> None:
    """Normalise both views with ImageNet's mean and standard deviation, as one would."""
    mean, std = (255 * torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    for view in views:
        (view - mean) / std


def normalised_by(branch: Branch) -> Look:
    """Have a branch of the model normalise both views."""

    def look(*views: Tensor) -> None:
        for view in views:
            branch.normalise(view)

    return look


def run_epoch(source: Source, params: TrainParams, device: torch.device, look: Look = _nothing) -> None:
    """Draw one epoch and hand every batch on."""
    plan = plan_epoch(source.targets, params, epoch=0, weights=None)
    for batch in source.stream((draw for draws in plan.steps for draw in draws), device):
        if batch.roi is not None and batch.extra_roi is not None:
            look(batch.roi, batch.extra_roi)
        del batch  # before the next one is drawn, as a step of training does
    if device.type == "cuda":
        torch.cuda.synchronize()


def read_all(loader: "DataLoader[tuple[Tensor, Tensor, int]]", look: Look = _nothing) -> None:
    """Run through a loader."""
    for roi, extra_roi, _ in loader:
        look(roi, extra_roi)
