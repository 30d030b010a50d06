"""What a step of a backbone costs, measured."""

import pytest
from timm import create_model

from pipeline.models import demo_backbones  # noqa: F401 - registers them
from pipeline.training import step_cost
from pipeline.training.step_cost import count_parameters, time_sample

CPU = {"batch": 8, "threads": 1, "device": "cpu"}


def test_parameters_are_those_of_the_model_with_and_without_its_classifier() -> None:
    """Without a weight being drawn."""
    model = create_model("demo_vit")
    bare, whole = count_parameters("demo_vit", "{}")
    assert whole == sum(parameter.numel() for parameter in model.parameters())
    assert whole - bare == sum(p.numel() for p in model.get_classifier().parameters())


def test_models_of_the_same_matrices_are_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """ViT and DeiT; MobileNetV2, which takes pictures of any size, costs more for larger ones."""
    monkeypatch.setattr(step_cost, "_timed", {})
    found = time_sample("vit_tiny_patch16_224", "{}", size=32, **CPU)
    assert found is not None
    assert found[0] > found[1] > 0
    assert time_sample("deit_tiny_patch16_224", "{}", size=32, **CPU) == found
    monkeypatch.setattr(step_cost, "_spent", [step_cost.ALL + 1])
    assert time_sample("deit_tiny_patch16_224", "{}", size=32, **CPU) == found
    assert time_sample("demo_mobilenetv2", "{}", size=64, **CPU) is None, "nobody waits longer"
    monkeypatch.setattr(step_cost, "_spent", [])
    small, large = (time_sample("demo_mobilenetv2", "{}", size=size, **CPU) for size in (64, 256))
    assert small is not None
    assert large is not None
    assert large[0] > small[0]


def test_a_model_that_takes_no_such_pictures_has_no_time() -> None:
    """Smaller than a patch; `train` says so in words."""
    assert time_sample("demo_vit", "{}", size=4, **CPU) is None
