"""Training steps on a GPU, beside what its matrix units can do."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.loading import load_train
from benchmarks.row import Json, Row
from benchmarks.site import Site
from pipeline.datasets.shards import Shards
from pipeline.models.backbone import build_backbone
from pipeline.models.card import BackboneCard
from pipeline.models.rvernet import RveRNet, join_branches
from pipeline.params.model import TrainParams
from pipeline.training.batches import Batch, Draw, Source
from pipeline.training.learner import Learner
from pipeline.training.objective import class_weights, make_objective
from pipeline.training.precision import choose_precision

PAIRINGS = {"vit+vit": "vit_base_patch16_224", "deit+deit": "deit_base_patch16_224"}
BATCHES = (50, 100, 200, 400)
STEPS = 8
SIDE = 8192
"""Of the square matrices whose product shows the peak."""


def measure(site: Site) -> Iterator[Row]:
    """Yield two rows a pairing; without a GPU they say so, and nothing is estimated."""
    for name, timm_id in PAIRINGS.items():
        utilisation = Row(
            f"training step of {name}, bf16, best batch", "of the bf16 matrix peak measured in the same run", 0.5
        )
        waiting = Row(f"input path of {name}", "of the step", 0.02, "at most")
        if site.device != "cuda":
            yield from (_missing(row) for row in (utilisation, waiting))
            continue
        shards = Shards(site.material.shards)
        learner = build_learner(timm_id, site, torch.device("cuda"), classes=len(shards.categories))
        peak = matrix_peak(torch.device("cuda"), SIDE)
        flops, source = flops_a_sample(learner, site.material.image_size), load_train(shards)
        timings = {batch: time_steps(learner, source, batch, STEPS) for batch in BATCHES}
        best = max(timings, key=lambda batch: batch / sum(timings[batch]))
        wait, step = timings[best]
        figures: Json = {"best_batch": best, "samples_per_second": best / (wait + step), "peak_teraflops": peak / 1e12}
        yield _with(utilisation, flops * best / (wait + step) / peak, figures)
        yield _with(waiting, wait / (wait + step), figures)


def _missing(row: Row) -> Row:
    return Row(row.name, row.against, row.reach, row.sense, missing="no GPU")


def _with(row: Row, ratio: float, figures: Json) -> Row:
    return Row(row.name, row.against, row.reach, row.sense, (ratio,), figures)


def build_learner(timm_id: str, site: Site, device: torch.device, *, classes: int) -> Learner:
    """Return a learner of one backbone twice, with random weights."""
    params, size = site.material.study.train, site.material.image_size
    model = pairing(timm_id, params, size=size, classes=classes).to(device)
    weights = class_weights(torch.zeros(1, dtype=torch.long), classes, params.balance_beta)
    return Learner(model, params, make_objective(params, weights), choose_precision("auto", device))


def pairing(timm_id: str, params: TrainParams, *, size: int, classes: int) -> RveRNet:
    """Return RveRNet with the same backbone in both branches."""
    card = BackboneCard(
        name=timm_id,
        timm=timm_id,
        options={},
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        input_size=size,
        source="none",
        file=None,
        revision=None,
        sha256=None,
        licence=None,
    )
    branches = [build_backbone(card, params, image_size=size, tensors=None) for _ in range(2)]
    return join_branches(*branches, num_classes=classes, hidden=params.hidden, seed=0)


def matrix_peak(device: torch.device, side: int) -> float:
    """Return the operations a second of a bf16 matrix product."""
    one, other = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return max(2 * side**3 / seconds(lambda: one @ other, device) for _ in range(STEPS))


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return how long some work takes until the device is done with it."""
    _wait(device)
    begin = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - begin


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def flops_a_sample(learner: Learner, size: int, samples: int = 2) -> float:
    """Count the operations of a forward and a backward pass."""
    views = [torch.zeros(samples, 3, size, size, dtype=torch.uint8, device=learner.device) for _ in range(2)]
    with FlopCounterMode(display=False) as counter:
        learner.model(*views).sum().backward()
    learner.optimizer.zero_grad()
    return float(counter.get_total_flops()) / samples


def time_steps(learner: Learner, source: Source, batch: int, steps: int) -> Sequence[float]:
    """Return seconds a step waits for its samples and seconds it computes; means after a step to warm up."""
    draws = (Draw(torch.randint(len(source), (batch,)), torch.rand(batch, 2) < 1 / 2) for _ in range(steps + 1))
    stream, times = source.stream(draws, learner.device), []
    for number in range(steps + 1):
        held: list[Batch] = []
        waited = seconds(partial(_draw, stream, held), learner.device)
        computed = seconds(partial(learner.step, held, weight=batch, rate=1e-5, number=number), learner.device)
        times.append((waited, computed))
    return [sum(column) / steps for column in zip(*times[1:], strict=True)]


def _draw(stream: Iterator[Batch], held: list[Batch]) -> None:
    held.append(next(stream))
