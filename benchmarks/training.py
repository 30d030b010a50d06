"""Training steps: their input path, and on a GPU what they reach of its matrix units."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import count, islice, repeat

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import cost_of
from benchmarks.row import Json, Row
from benchmarks.site import Site
from pipeline.datasets.class_set import select_classes
from pipeline.datasets.sample_batch import VIEW_NAMES
from pipeline.datasets.shards import Shards
from pipeline.models.backbone import build_backbone
from pipeline.models.card import BackboneCard
from pipeline.models.device import choose_precision, free_pixel_bytes, set_deterministic
from pipeline.models.rvernet import RveRNet, join_branches
from pipeline.params.model import TrainParams
from pipeline.runtime.errors import TrainingError
from pipeline.training.dataset import MicroBatch, Split, load_split
from pipeline.training.losses import class_weights, make_objective
from pipeline.training.trainer import Trainer

LIGHTEST = "mobilenetv2_100"
"""Backbone of the paper whose steps are shortest, so whose input counts most."""
PAPER_BATCH = 50
INPUT_ROUNDS = 5
"""Batches gathered for one step of the model."""
PAIRINGS = {"vit+vit": "vit_base_patch16_224", "deit+deit": "deit_base_patch16_224"}
BATCHES = (50, 100, 200, 300)
STEPS, WARM_UP = 12, 3
SIDE = 8192
"""Of the square matrices whose product shows the peak."""


def measure(site: Site) -> Iterator[Row]:
    """Yield the input path on a CPU, then two rows a pairing; without a GPU they say so, and nothing is estimated."""
    yield _on_cpu(site)
    for name, timm_id in PAIRINGS.items():
        goal = "of the bf16 matrix peak measured in the same run"
        rows = (
            Row(f"training step of {name}, bf16, best batch, train.compile", goal, 0.5),
            Row(f"input path of {name}", "of the step", 0.02, "at most"),
        )
        if site.device == "cuda":
            yield from _measured(rows, timm_id, site, torch.device("cuda"))
        else:
            yield from (replace(row, missing="no GPU") for row in rows)


def _on_cpu(site: Site) -> Row:
    """Measure processor time of gathering and flipping a batch and of the step it is for, on one thread."""
    threads, cpu, shards = torch.get_num_threads(), torch.device("cpu"), Shards(site.material.shards)
    set_deterministic(1, seed=0)  # as stage `train` does
    try:
        source = load_train(shards, cpu)
        trainer = build_trainer(LIGHTEST, site, cpu, classes=len(shards.categories))
        batches = source.stream(random_batches(len(source), PAPER_BATCH), cpu)
        held = next(batches)
        trainer.step([held], normalizer=PAPER_BATCH, rate=1e-5, global_step=0)
        steps, inputs = [], []
        for _ in range(site.rounds):
            steps.append(cost_of(lambda: trainer.step([held], normalizer=PAPER_BATCH, rate=1e-5, global_step=0)).cpu)
            inputs.append(cost_of(lambda: [next(batches) for _ in range(INPUT_ROUNDS)]).cpu / INPUT_ROUNDS)
    finally:
        set_deterministic(threads, seed=0)
    return Row(
        f"input path of {LIGHTEST} twice, batch {PAPER_BATCH}, on a CPU",
        "of the step",
        0.02,
        "at most",
        ratios=tuple(one / (one + other) for one, other in zip(inputs, steps, strict=True)),
        detail={"input_ms": 1000 * statistics.median(inputs), "model_ms": 1000 * statistics.median(steps)},
    )


def load_train(shards: Shards, device: torch.device) -> Split:
    """Return the train split as a run of two branches and all classes holds it."""
    split = load_split(shards, "train", select_classes(shards.categories, ()), views=frozenset(VIEW_NAMES))
    return split.resident(device, free_pixel_bytes(device))


def random_batches(samples: int, batch: int) -> Iterator[MicroBatch]:
    """Yield batches of random samples and flips for ever."""
    return (MicroBatch(torch.randint(samples, (batch,)), torch.rand(batch, 2) < 1 / 2) for _ in count())


def _measured(rows: tuple[Row, Row], timm_id: str, site: Site, device: torch.device) -> Iterator[Row]:
    shards = Shards(site.material.shards)
    source, classes = load_train(shards, device), len(shards.categories)
    plain = build_trainer(timm_id, site, device, classes=classes)
    peak, flops = matrix_peak(device, SIDE), flops_a_sample(plain, site.material.image_size)
    held: dict[int, tuple[float, ...]] = {}
    torch.cuda.reset_peak_memory_stats()
    for batch in BATCHES:
        try:
            held[batch] = time_steps(plain, source, batch, site.rounds, streamed=False)
        except TrainingError:  # no memory for more
            break
    best = max(held, key=_rates(held).__getitem__)
    streamed = time_steps(plain, source, best, site.rounds, streamed=True)
    waits = tuple(max(0.0, 1 - one / other) for one, other in zip(held[best], streamed, strict=True))
    figures: Json = {"plain_peak_gigabytes": torch.cuda.max_memory_allocated() / 1e9}
    del plain
    compiled = build_trainer(timm_id, site, device, classes=classes, compiled=True)
    quick = {each: time_steps(compiled, source, each, site.rounds, streamed=False) for each in (best, BATCHES[0])}
    figures |= {
        "best_batch": best,
        "samples_per_second_by_batch": _rates(quick),
        "plain_samples_per_second_by_batch": _rates(held),
        "plain_utilisation": statistics.median(_utilisation(held[best], best, flops, peak)),
        "peak_teraflops": peak / 1e12,
        "gigaflops_a_sample": flops / 1e9,
    }
    yield replace(rows[0], ratios=_utilisation(quick[best], best, flops, peak), detail=figures)
    yield replace(rows[1], ratios=waits, detail={"batch": best})


def _rates(times: Mapping[int, tuple[float, ...]]) -> dict[int, float]:
    """Return samples a second by batch size, of seconds a step."""
    return {batch: batch / statistics.median(each) for batch, each in times.items()}


def _utilisation(times: tuple[float, ...], batch: int, flops: float, peak: float) -> tuple[float, ...]:
    """Return the model's own operations a second by the peak, round by round; times are of one step, in seconds."""
    return tuple(flops * batch / each / peak for each in times)


def build_trainer(timm_id: str, site: Site, device: torch.device, *, classes: int, compiled: bool = False) -> Trainer:
    """Return a trainer of one backbone twice, with random weights."""
    params = site.material.study.train.model_copy(update={"compile": compiled})
    size = site.material.image_size
    model = pairing(timm_id, params, size=size, classes=classes).to(device)
    weights = class_weights(torch.zeros(1, dtype=torch.long), classes, params.balance_beta)
    return Trainer(model, params, make_objective(params, weights), choose_precision("auto", device))


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


def flops_a_sample(trainer: Trainer, size: int, samples: int = 2) -> float:
    """Count the operations of a forward and a backward pass."""
    views = [torch.zeros(samples, 3, size, size, dtype=torch.uint8, device=trainer.device) for _ in range(2)]
    with FlopCounterMode(display=False) as counter:
        trainer.model(*views).sum().backward()
    trainer.optimizer.zero_grad()
    return float(counter.get_total_flops()) / samples


def time_steps(trainer: Trainer, source: Split, batch: int, rounds: int, *, streamed: bool) -> tuple[float, ...]:
    """Return the seconds of an optimiser step, one mean a round.

    Args:
        trainer: Takes the steps.
        source: Where samples come from.
        batch: Samples a step.
        rounds: How many means.
        streamed: Whether each step draws its samples, as an epoch does, or all take the very same ones.
    """
    drawn = source.stream(random_batches(len(source), batch), trainer.device)
    batches = drawn if streamed else repeat(next(drawn))

    def steps(number: int) -> None:
        for each in islice(batches, number):
            trainer.step([each], normalizer=batch, rate=1e-5, global_step=0)

    steps(WARM_UP)
    return tuple(seconds(partial(steps, STEPS), trainer.device) / STEPS for _ in range(rounds))
