"""What one training step of a backbone costs on this machine: seconds a sample, parameters, memory of a GPU."""

import json
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn

from pipeline.models.backbone import create_timm_model
from pipeline.models.device import pick_device

SAMPLES = {"cpu": 1, "mps": 8, "cuda": 32}
"""Samples of the timed step: a second or two."""


@cache
def measure_step(
    timm_id: str, options: str, *, size: int | None = None, threads: int = 1, device: str = "cpu"
) -> dict[str, float]:
    """Return the parameters of a model and, if `size` is given, the seconds a sample of training and of prediction.

    `options` are the model's, as JSON; `stored` are the parameters with its own classifier. The weights are random; the
    first of two steps is not timed.
    """
    with torch.device("meta"):
        models = {"parameters": create_timm_model(timm_id, json.loads(options), headless=True)}
        models["stored"] = create_timm_model(timm_id, json.loads(options))
    cost = {name: float(sum(each.numel() for each in model.parameters())) for name, model in models.items()}
    if size is None:
        return cost
    torch.set_num_threads(threads)
    place = pick_device(device)
    model, samples = create_timm_model(timm_id, json.loads(options), headless=True).to(place), SAMPLES[place.type]
    pixels = torch.zeros(samples, 3, size, size, device=place)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)

    def train() -> None:
        model(pixels).float().sum().backward()
        optimizer.step()

    def predict() -> None:
        with torch.no_grad():
            model(pixels)

    return cost | {"training": _seconds(train, place) / samples, "forward": _seconds(predict, place) / samples}


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    for _ in range(2):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def gpu_step(models: Sequence[tuple[str, dict[str, Any]]], *, batch: int, size: int) -> tuple[int, int] | None:
    """Return the peak memory of one training step of several backbones, and the GPU's memory, in bytes.

    None without a CUDA GPU. A step that the GPU has no room for counts as twice its memory.
    """
    if not torch.cuda.is_available():
        return None
    total: int = torch.cuda.get_device_properties(0).total_memory
    try:
        branches = nn.ModuleList(create_timm_model(name, options, headless=True) for name, options in models).cuda()
        optimizer = torch.optim.Adam(branches.parameters(), lr=0.0)
        for _ in range(2):  # Adam's moments exist from the second step on
            pixels = torch.zeros(batch, 3, size, size, device="cuda")
            loss = torch.stack([branch(pixels).float().sum() for branch in branches]).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    except torch.OutOfMemoryError:
        return 2 * total, total
    return torch.cuda.max_memory_allocated(), total
