"""Mixed precision: what a forward pass is computed in. Weights, their gradients and their updates stay fp32."""

from typing import Literal, NamedTuple, TypeAlias

import torch
from torch.amp import GradScaler

from pipeline.errors import ParamsError

Name: TypeAlias = Literal["fp32", "bf16", "fp16"]
TYPES: dict[Name, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision(NamedTuple):
    """A precision on a kind of device."""

    name: Name
    """Of the forward pass."""
    device: str
    """Kind of device: cpu, cuda or mps."""

    def autocast(self) -> torch.autocast:
        """Return a context in which matrix products and convolutions run in this precision."""
        reduced = self.name != "fp32"
        return torch.autocast(self.device, TYPES[self.name] if reduced else None, enabled=reduced)

    def scaler(self) -> GradScaler:
        """Return what keeps small fp16 gradients from vanishing; it passes everything through elsewhere."""
        return GradScaler(self.device, enabled=self.name == "fp16")


def choose_precision(name: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    """Return the precision called `name`.

    `auto`, which only settings of earlier versions hold, is bf16 on a GPU that computes in it, and fp32 elsewhere.

    Raises:
        ParamsError: If the GPU does not compute in bf16.
    """
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "auto":
        return Precision("bf16" if native else "fp32", device.type)
    if name == "bf16" and device.type == "cuda" and not native:
        raise ParamsError("params.yaml: train.precision: this GPU does not compute in bf16; choose fp16 or fp32")
    return Precision(name, device.type)
