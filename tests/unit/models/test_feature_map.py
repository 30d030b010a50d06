"""Feature maps of timm's families, and their means inside a mask."""

import pytest
import timm
import torch
from torch import nn

from pipeline.models import demo_backbones  # noqa: F401 - registers the demo's backbones with timm
from pipeline.models.feature_map import mask_pool, to_feature_map
from pipeline.runtime.errors import ModelError

MASKS = torch.zeros(3, 20, 20, dtype=torch.bool)
MASKS[0] = True
MASKS[1, 3:9, 4:19] = True
MASKS[2, 7, 7] = True


@pytest.mark.parametrize("grid", [(5, 5), (7, 3), (1, 1)], ids=str)
def test_a_constant_map_pools_to_the_constant(grid: tuple[int, int]) -> None:
    """Inside any mask that has a pixel, also where cells do not divide the picture."""
    constants = torch.tensor([2.0, -3.0, 1e6])
    maps = constants.view(1, 3, 1, 1).expand(3, 3, *grid)
    torch.testing.assert_close(mask_pool(maps, MASKS), constants.expand(3, 3))


def test_a_mask_of_everything_is_the_mean_and_of_nothing_zeros() -> None:
    """Average pooling, as of a CNN's head."""
    maps = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    masks = torch.stack([torch.ones(20, 20), torch.zeros(20, 20)]).bool()
    torch.testing.assert_close(mask_pool(maps, masks), torch.stack([maps[0].mean(dim=(1, 2)), torch.zeros(4)]))


def test_cells_count_by_their_share_of_the_mask() -> None:
    """Two cells, one wholly and one half inside."""
    masks = torch.tensor([[[True, True], [True, False]]])
    maps = torch.tensor([[[[3.0, 9.0]]]])  # two columns
    torch.testing.assert_close(mask_pool(maps, masks), torch.tensor([[5.0]]))


@pytest.mark.parametrize(
    ("name", "options", "grid"),
    [
        ("demo_mobilenetv2", {}, (8, 8)),
        ("demo_vit", {}, (8, 8)),
        ("demo_mixer", {}, (8, 8)),
        ("demo_deit_distilled", {}, (8, 8)),
        (
            "swin_tiny_patch4_window7_224",
            {"img_size": 64, "depths": (1, 1), "num_heads": (2, 4), "embed_dim": 8},
            (8, 8),
        ),
        ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (4, 8, 8, 8)}, (2, 2)),
    ],
)
def test_positions_lie_where_the_picture_has_them(name: str, options: dict[str, object], grid: tuple[int, int]) -> None:
    """A picture that is bright above is told from one that is bright on the left: rows come first, tokens apart."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0, **options).eval()
    above, left = torch.zeros(2, 1, 3, 64, 64)
    above[:, :, :32], left[:, :, :, :32] = 1, 1
    with torch.inference_mode():
        maps = [
            to_feature_map(model.forward_features(picture), model)
            for picture in (torch.zeros(1, 3, 64, 64), above, left)
        ]
    assert [tuple(found.shape[2:]) for found in maps] == [grid] * 3
    changed = [(found - maps[0]).abs().mean(dim=(0, 1)) for found in maps[1:]]
    half = grid[0] // 2
    if name != "demo_mixer":  # whose positions mix by random weights
        assert changed[0][:half].mean() > changed[0][half:].mean()
        assert changed[1][:, :half].mean() > changed[1][:, half:].mean()


def test_features_without_positions_are_refused() -> None:
    """A vector a picture has nothing to pool."""
    with pytest.raises(ModelError, match="Identity gives no feature map"):
        to_feature_map(torch.zeros(2, 5), nn.Identity())
