"""What a step of a backbone costs, measured."""

import pytest
import torch
from timm import create_model

from pipeline.models import demo_backbones  # noqa: F401 - registers them
from pipeline.training.step_cost import gpu_step, measure_step


def test_a_step_is_timed_and_its_parameters_counted() -> None:
    """Training costs more than prediction; the parameters are those of the model with and without its classifier."""
    cost = measure_step("demo_vit", "{}", size=64)
    model = create_model("demo_vit")
    assert cost["stored"] == sum(parameter.numel() for parameter in model.parameters())
    assert cost["stored"] - cost["parameters"] == sum(p.numel() for p in model.get_classifier().parameters())
    assert cost["training"] > cost["forward"] > 0


def test_without_a_gpu_nothing_is_said_of_its_memory() -> None:
    """No number is made up."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert gpu_step([("demo_vit", {})], batch=2, size=64) is None
