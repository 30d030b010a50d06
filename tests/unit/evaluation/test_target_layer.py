"""Where Grad-CAM looks into backbones of every family."""

import pytest
import timm
import torch
from torch import nn

from pipeline.evaluation.grad_cam import find_target_layer, tap_activations
from pipeline.models import demo_backbones  # noqa: F401 - registers them
from pipeline.models.feature_map import grid_of
from pipeline.runtime.errors import ModelError

SIDE = 64
FAMILIES = [
    ("demo_mobilenetv2", "forward_features", (8, 8)),
    ("demo_vit", "blocks.1.norm1", (8, 8)),
    ("demo_mixer", "blocks.2.norm1", (8, 8)),
    ("demo_deit", "blocks.2.norm1", (8, 8)),
    ("demo_deit_distilled", "blocks.1.norm1", (8, 8)),
    ("resnet10t", "forward_features", (2, 2)),
    ("test_vit", "blocks.5.norm1", (10, 10)),
    ("test_convnext", "forward_features", (2, 2)),
]


def pictures(side: int) -> torch.Tensor:
    """Return two random pictures."""
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def backbone_of(name: str) -> tuple[nn.Module, torch.Tensor]:
    """Return a small timm model and pictures for it."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0).eval()
    fixed = getattr(model, "patch_embed", None) is not None
    return model, pictures(model.pretrained_cfg["input_size"][-1] if fixed else SIDE)


@pytest.mark.parametrize(("name", "seam", "grid"), FAMILIES)
def test_every_family_has_a_seam_with_places(name: str, seam: str, grid: tuple[int, int]) -> None:
    """CNN, transformer with one and two prefix tokens, mixer; (B, C, h, w) whatever the model's own layout."""
    model, pixels = backbone_of(name)
    found, lens, shapes = find_target_layer(model, pixels), nn.Identity(), []
    lens.register_forward_hook(lambda _, __, output: shapes.append(output.shape))
    with tap_activations(model, found, lens):
        model(pixels)
    assert found.name == seam
    assert [tuple(shape[2:]) for shape in shapes] == [grid]


@pytest.mark.parametrize("name", [name for name, *_ in FAMILIES])
def test_looking_changes_no_output_and_leaves_no_trace(name: str) -> None:
    """The same features with a lens, and the same model after it."""
    model, pixels = backbone_of(name)
    before, names = model(pixels), set(vars(model))
    with tap_activations(model, find_target_layer(model, pixels), nn.Identity()):
        torch.testing.assert_close(model(pixels), before)
    assert set(vars(model)) == names
    torch.testing.assert_close(model(pixels), before)


def test_channels_last_features_are_turned_around() -> None:
    """As Swin lays them out."""

    class ChannelsLast(nn.Module):
        output_fmt = "NHWC"

        def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.movedim(1, 3)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.forward_features(pixels).mean(dim=(1, 2))

    model, lens, shapes = ChannelsLast(), nn.Identity(), []
    lens.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape)))
    with tap_activations(model, find_target_layer(model, pictures(6)), lens):
        assert model(pictures(6)).shape == (2, 3)
    assert shapes == [(2, 3, 6, 6)]


@pytest.mark.parametrize(
    ("tokens", "grid"), [(196, (14, 14)), (197, (14, 14)), (198, (14, 14)), (201, (14, 14)), (6, (2, 2)), (95, None)]
)
def test_a_grid_is_found_behind_prefix_tokens(tokens: int, grid: tuple[int, int] | None) -> None:
    """Where the model does not say how many there are."""
    assert grid_of(nn.Identity(), tokens) == grid


def test_a_model_without_places_is_refused_with_advice() -> None:
    """The message says what to leave out where."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 4))
    with pytest.raises(ModelError, match="Sequential: Grad-CAM finds no features .* leave the run out .* dvc.yaml"):
        find_target_layer(model, pictures(SIDE))
