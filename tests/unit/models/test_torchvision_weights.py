"""Which of torchvision's official files belongs to a timm model."""

import pytest

from pipeline.models.pretrained import find_torchvision_file, is_torchvision
from pipeline.runtime.errors import WeightsError

BASE = "https://download.pytorch.org/models"


@pytest.mark.parametrize(
    ("timm_id", "weights", "file"),
    [
        ("mobilenetv2_100.ra_in1k", "torchvision", "mobilenet_v2-b0353104.pth"),
        ("mobilenetv2_100", "torchvision:IMAGENET1K_V2", "mobilenet_v2-7ebf99e0.pth"),
        ("vit_base_patch16_224.augreg_in1k", "torchvision", "vit_b_16-c867db91.pth"),
        ("resnet18.a1_in1k", "torchvision", "resnet18-f37072fd.pth"),
    ],
)
def test_a_timm_model_has_its_file(timm_id: str, weights: str, file: str) -> None:
    """The oldest weights unless an entry is named; models whose layers both libraries name alike need no table."""
    assert is_torchvision(weights)
    found = find_torchvision_file(timm_id, weights)
    assert found == (f"{BASE}/{file}", "bsd-3-clause")


def test_weights_under_another_licence_name_it() -> None:
    """SWAG's weights are not free for commerce."""
    entry = find_torchvision_file("vit_base_patch16_224", "torchvision:IMAGENET1K_SWAG_LINEAR_V1")
    assert entry.licence.startswith("https://github.com/facebookresearch/SWAG")


@pytest.mark.parametrize(
    ("timm_id", "weights", "message"),
    [
        ("deit_base_patch16_224", "torchvision", "torchvision has no weights for 'deit_base_patch16_224'; set weights"),
        ("mobilenetv2_100", "torchvision:V3", "no weights 'V3' of mobilenet_v2; choose IMAGENET1K_V1, IMAGENET1K_V2"),
        ("convnext_tiny", "torchvision", "other layers than timm's convnext_tiny .*missing.*set weights to hub"),
    ],
)
def test_what_torchvision_lacks_is_told_before_any_download(timm_id: str, weights: str, message: str) -> None:
    """An unknown model, an unknown entry, and a namesake whose layers are other ones."""
    with pytest.raises(WeightsError, match=message):
        find_torchvision_file(timm_id, weights)


def test_other_sources_are_not_official() -> None:
    """A path may begin alike."""
    assert not any(map(is_torchvision, ("none", "hub", "torchvision/vit.pth", "/data/torchvision.pth")))
