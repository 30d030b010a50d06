"""Mixed precision."""

import pytest
import torch

from pipeline.models.device import Name, Precision, choose_precision
from pipeline.runtime.errors import ParamsError

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("name", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_products_are_computed_in_the_precision_asked_for(name: Name, kind: torch.dtype) -> None:
    """Inside the context only; what comes in stays fp32."""
    layer, pixels = torch.nn.Linear(4, 3), torch.ones(2, 4)
    with Precision(name, "cpu").autocast():
        assert layer(pixels).dtype == kind
    assert layer(pixels).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


def test_only_fp16_scales_its_loss() -> None:
    """Where bf16 and fp32 have range enough."""
    scaling = {name: Precision(name, "cpu").scaler().is_enabled() for name in ("fp32", "bf16", "fp16")}
    assert scaling == {"fp32": False, "bf16": False, "fp16": True}


@pytest.mark.parametrize(("native", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_auto_takes_bf16_where_a_gpu_has_it(monkeypatch: pytest.MonkeyPatch, native: bool, chosen: str) -> None:
    """What a GPU says of itself decides; a CPU computes bf16 slower than fp32, so it never does by itself."""
    monkeypatch.setattr(
        "torch.cuda.is_bf16_supported", lambda *, including_emulation: native and not including_emulation
    )
    assert choose_precision("auto", GPU) == Precision(chosen, "cuda")  # type: ignore[arg-type]
    assert choose_precision("auto", CPU) == Precision("fp32", "cpu")


def test_bf16_is_refused_where_a_gpu_would_only_emulate_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with the choices; on a CPU whoever asks for it gets it."""
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: False)
    with pytest.raises(ParamsError, match="train.precision: this GPU does not compute in bf16; choose fp16 or fp32"):
        choose_precision("bf16", GPU)
    assert choose_precision("bf16", CPU) == Precision("bf16", "cpu")
    assert choose_precision("fp16", GPU) == Precision("fp16", "cuda")
