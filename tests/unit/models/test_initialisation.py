"""torchvision's initialisation in timm's models, against torchvision's own models."""

import pytest
import timm
import torch
import torchvision
from scipy.stats import ks_2samp
from torch import Tensor, nn

from pipeline.models.backbone import build_backbone, check_torchvision_init, init_as_torchvision
from pipeline.models.state_dicts import to_timm_names
from pipeline.runtime.errors import ModelError
from tests.small_run import TRAIN, backbone_card

LOGITS = TRAIN.model_copy(update={"features": "logits"})
VIT = {"img_size": 32, "patch_size": 8, "depth": 2, "num_heads": 2, "embed_dim": 64, "mlp_ratio": 2}
MOST = 20_000
"""Values compared of one tensor."""


def torchvision_vit() -> nn.Module:
    """Return torchvision's ViT of the sizes of `VIT`."""
    return torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=64, mlp_dim=128
    )


@pytest.fixture(scope="module", params=["mobilenetv2_100", "vit_tiny_patch16_224"])
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, dict[str, Tensor], str]:
    """Return timm's model with its own initialisation, torchvision's tensors under timm's names, and timm's id."""
    torch.manual_seed(0)
    if request.param.startswith("vit"):
        model, theirs = timm.create_model(request.param, **VIT), torchvision_vit()
    else:
        model, theirs = timm.create_model(request.param), torchvision.models.mobilenet_v2()
    return model, to_timm_names(theirs.state_dict(), model), request.param


def differing(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> list[str]:
    """Return the tensors that are no draws of the same distribution."""
    return [name for name, tensor in theirs.items() if not alike(ours[name], tensor)]


def alike(ours: Tensor, theirs: Tensor) -> bool:
    """Tell whether constants are equal and draws pass for one distribution."""
    if theirs.numel() == 1 or theirs.float().std() == 0:
        return torch.equal(ours, theirs)
    return bool(ks_2samp(ours.flatten()[:MOST].numpy(), theirs.flatten()[:MOST].numpy()).pvalue > 1e-5)


def test_every_tensor_is_drawn_from_torchvisions_distribution(
    pair: tuple[nn.Module, dict[str, Tensor], str],
) -> None:
    """Kolmogorov-Smirnov on each; timm's own initialisation fails it, in convolutions and in attention."""
    model, theirs, timm_id = pair
    assert {"conv_dw", "qkv"} & {part for name in differing(model.state_dict(), theirs) for part in name.split(".")}
    torch.manual_seed(1)
    init_as_torchvision(model, timm_id)
    assert differing(model.state_dict(), theirs) == []


@pytest.mark.parametrize("timm_id", ["demo_mobilenetv2", "demo_vit"])
def test_a_branch_is_drawn_as_its_card_says(timm_id: str) -> None:
    """From the seeded generator, and only where no weights fill the model; the ViT's head starts at zero."""
    card = backbone_card("b").model_copy(update={"timm": timm_id, "options": {}, "input_size": 64})
    drawn = []
    for init in ("torchvision", "torchvision", "timm"):
        torch.manual_seed(3)
        changed = card.model_copy(update={"init": init})
        drawn.append(build_backbone(changed, LOGITS, image_size=64, tensors=None).backbone.state_dict())
    first, second, by_timm = drawn
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], by_timm[name]) for name in first)
    assert timm_id != "demo_vit" or not first["head.weight"].any()
    changed = card.model_copy(update={"init": "torchvision"})
    filled = build_backbone(changed, LOGITS, image_size=64, tensors=dict(by_timm)).backbone.state_dict()
    assert all(torch.equal(filled[name], by_timm[name]) for name in filled)


@pytest.mark.parametrize("timm_id", ["mixer_b16_224.goog_in21k_ft_in1k", "demo_deit", "efficientnet_b0", "levit_128"])
def test_other_architectures_are_refused(timm_id: str) -> None:
    """With what to set instead."""
    with pytest.raises(ModelError, match=f"initialisation of '{timm_id}' is not known.*set .*init to timm"):
        check_torchvision_init(timm_id)


def test_what_only_bears_the_name_is_refused() -> None:
    """A hybrid is called vit_..., and is none."""
    check_torchvision_init("vit_base_patch16_224.augreg_in1k")
    with pytest.raises(ModelError, match="not known"):
        init_as_torchvision(nn.Linear(2, 2), "vit_of_another_kind")
