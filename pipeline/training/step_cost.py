"""What one training step of a backbone costs on this machine: seconds a sample, parameters, memory of a GPU."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import torch
from torch import nn

from pipeline.models.backbone import TIMM_ERRORS, create_timm_model
from pipeline.models.device import pick_device
from pipeline.runtime.console import note
from pipeline.runtime.errors import ModelError

ENOUGH, PATIENCE, TRIES = 0.3, 2.0, 4
"""Seconds of a step that tell its speed; seconds of steps, and steps, after which the last one is taken."""
ALL = 6.0  # seconds of steps after which no further model is timed
_timed: dict[object, tuple[float, float]] = {}
_spent: list[float] = []


@cache
def count_parameters(timm_id: str, options: str) -> tuple[int, int]:
    """Return the parameters of a model with options, as JSON, without and with its own classifier."""
    with torch.device("meta"):
        models = [create_timm_model(timm_id, json.loads(options), headless=headless) for headless in (True, False)]
    bare, whole = (sum(each.numel() for each in model.parameters()) for model in models)
    return bare, whole


def time_sample(  # noqa: PLR0913 - the model, and all that its speed depends on
    timm_id: str, options: str, *, size: int, batch: int, threads: int, device: str
) -> tuple[float, float] | None:
    """Return the seconds a sample of training and of prediction.

    None if the model takes no such pictures, or `ALL` seconds are over. The weights are zeros; steps grow up to `batch`
    samples until one lasts long enough to tell. Models whose matrices and kernels have the same shapes are timed once.
    """
    torch.set_num_threads(threads)
    place = pick_device(device)
    with torch.device("meta"):
        model = _model_for(timm_id, json.loads(options), size)
    key = size, *sorted(tuple(each.shape) for each in model.parameters() if each.ndim in {2, 4})
    if key in _timed or sum(_spent) > ALL:
        return _timed.get(key)
    note(f"timing a step of {timm_id}")
    model.to_empty(device=place)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.zero_()
    samples, spent = 1, 0.0
    for number in range(TRIES):
        try:
            forward, backward = _step_seconds(model, torch.zeros(samples, 3, size, size, device=place))
        except (*TIMM_ERRORS, RuntimeError):
            return None
        _timed[key] = (forward + backward) / samples, forward / samples
        spent += forward + backward
        _spent.append(forward + backward)
        if spent > PATIENCE or (number and (forward + backward > ENOUGH or samples == batch)):  # the first is slower
            break
        samples = min(batch, 1 + int(1.5 * samples * ENOUGH / (forward + backward)))
    return _timed[key]


def _model_for(timm_id: str, options: dict[str, Any], size: int) -> nn.Module:
    with suppress(ModelError):
        return create_timm_model(timm_id, options | {"img_size": size}, headless=True)
    return create_timm_model(timm_id, options, headless=True)  # takes pictures of any size


def _step_seconds(model: nn.Module, pixels: torch.Tensor) -> tuple[float, float]:
    def now() -> float:
        if pixels.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    start = now()
    loss = model(pixels).float().sum()
    middle = now()
    loss.backward()
    return middle - start, now() - middle


def gpu_step(models: Sequence[tuple[str, dict[str, Any]]], *, batch: int, size: int) -> tuple[int, int]:
    """Return the peak memory of one training step of several backbones, and the GPU's memory, in bytes.

    A step that the GPU has no room for counts as twice its memory.
    """
    total: int = torch.cuda.get_device_properties(0).total_memory
    try:
        branches = nn.ModuleList(_model_for(name, options, size) for name, options in models).cuda()
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
