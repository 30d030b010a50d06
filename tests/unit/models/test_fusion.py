"""One backbone on the whole photo and its mask."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

from pipeline.models import demo_backbones  # noqa: F401 - registers the demo's backbones with timm
from pipeline.models.artifact import build_run
from pipeline.models.backbone import Branch
from pipeline.models.device import Precision
from pipeline.models.fusion import MaskChannel, MaskPool, fused_branch
from pipeline.params.run_name import FUSIONS
from pipeline.runtime.errors import ModelError
from pipeline.training.losses import CrossEntropy
from pipeline.training.trainer import Trainer
from tests.small_run import TRAIN, run_card

SIDE = 64
FAMILIES: dict[str, dict[str, Any]] = {
    "demo_mobilenetv2": {},
    "demo_vit": {},
    "demo_mixer": {},
    "demo_deit_distilled": {},
    "mobilenetv3_small_050": {},  # a convolution after its pooling
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (4, 8, 8, 8)},
    "swin_tiny_patch4_window7_224": {"img_size": 64, "depths": (1, 1), "num_heads": (2, 4), "embed_dim": 8},
}
POOLED = ("demo_mobilenetv2", "demo_mixer", "convnext_atto", "swin_tiny_patch4_window7_224")
"""Families that pool all positions, and nothing else."""


def backbone_of(family: str) -> nn.Module:
    """Return a tiny backbone without classifier, the same at every call."""
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(family, num_classes=0, **FAMILIES[family])
    return model.eval()


def branch_of(kind: type[Branch], family: str) -> Branch:
    """Return a branch in eval mode."""
    model = backbone_of(family)
    width = int(model(torch.zeros(1, 3, SIDE, SIDE)).shape[1])
    return kind(model, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.3), num_features=width).eval()


def photos(seed: int = 0, *, side: int = SIDE) -> torch.Tensor:
    """Return three photos of random pixels and their regions: a band of padding, the ROI in a corner, the rest."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (3, 4, side, side), generator=generator, dtype=torch.uint8)
    pixels[:, 3], pixels[:, 3, :9], pixels[:, 3, 9 : side // 2, : side // 2] = 1, 0, 2
    return pixels


@pytest.mark.parametrize("kind", [MaskPool, MaskChannel])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_gets_gradient(kind: type[Branch], family: str) -> None:
    """Prefix tokens and position embeddings through attention, layers behind the pooling through both means."""
    branch = branch_of(kind, family)
    features = branch(photos())
    assert features.shape == (3, branch.num_features)
    (features * torch.linspace(0, 1, features.shape[1])).sum().backward()
    idle = [name for name, p in branch.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert idle == []


@pytest.mark.parametrize("kind", [MaskPool, MaskChannel])
@pytest.mark.parametrize("family", FAMILIES)
def test_samples_do_not_mix(kind: type[Branch], family: str) -> None:
    """Features depend on a sample's own pixels and regions alone, also in another batch."""
    branch, pixels = branch_of(kind, family), photos()
    with torch.inference_mode():
        whole, alone = branch(pixels), branch(pixels[1:2])
        changed = pixels.clone()
        changed[1] = 255 - changed[1]
        other = branch(changed)
    torch.testing.assert_close(alone, whole[1:2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other[[0, 2]], whole[[0, 2]], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(other[1], whole[1])


@pytest.mark.parametrize("family", POOLED)
def test_a_mask_of_everything_is_the_plain_backbone(family: str) -> None:
    """Inside; outside is what the backbone's head makes of zeros, since there is nothing to pool."""
    branch, pixels = branch_of(MaskPool, family), photos()
    pixels[:, 3] = 2
    model: Any = branch.backbone
    with torch.inference_mode():
        inside, outside = branch(pixels).chunk(2, dim=1)
        torch.testing.assert_close(inside, model(branch.normalise(pixels)), rtol=1e-4, atol=1e-5)
        nothing = torch.zeros_like(model.forward_features(branch.normalise(pixels)))
        torch.testing.assert_close(outside, model.forward_head(nothing))


def test_of_a_transformer_patch_tokens_are_pooled() -> None:
    """The mean of all of them under a mask of everything; class and distillation token are left out."""
    branch, pixels = branch_of(MaskPool, "demo_deit_distilled"), photos()
    pixels[:, 3] = 2
    model: Any = branch.backbone
    with torch.inference_mode():
        tokens = model.forward_features(branch.normalise(pixels))
        torch.testing.assert_close(branch(pixels).chunk(2, dim=1)[0], tokens[:, 2:].mean(dim=1))


def test_the_regions_decide_what_is_pooled_where() -> None:
    """Swapping them swaps the halves; padding is in neither."""
    branch, pixels = branch_of(MaskPool, "demo_mobilenetv2"), photos()
    swapped = pixels.clone()
    swapped[:, 3] = torch.tensor([0, 2, 1], dtype=torch.uint8)[pixels[:, 3].long()]
    padded = pixels.clone()
    padded[:, 3] = 0
    with torch.inference_mode():
        inside, outside = branch(pixels).chunk(2, dim=1)
        torch.testing.assert_close(branch(swapped), torch.cat([outside, inside], dim=1))
        assert not torch.allclose(inside, outside)
        assert not branch(padded).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mask_channel_starts_as_the_plain_backbone(family: str) -> None:
    """Whatever the mask; with weights of its own it is looked at."""
    plain, branch, pixels = backbone_of(family), branch_of(MaskChannel, family), photos()
    assert isinstance(branch, MaskChannel)
    with torch.inference_mode():
        features = branch(pixels)
        torch.testing.assert_close(features, plain(branch.normalise(pixels)[:, :3]), rtol=1e-4, atol=1e-5)
        branch.widened[0].weight[:, 3] = 1
        assert not torch.allclose(branch(pixels), features)


def test_a_model_without_a_first_convolution_takes_no_mask_channel() -> None:
    """The message says what to do."""
    with pytest.raises(ModelError, match="has no first convolution to give a channel for the mask; choose another"):
        MaskChannel(nn.Identity(), mean=(0.0,) * 3, std=(1.0,) * 3, num_features=3)


def test_an_unknown_fusion_is_refused() -> None:
    """A damaged card does not end in a traceback."""
    with pytest.raises(ModelError, match="'vit' is no fusion of photo and mask; there are mask_pool and mask_channel"):
        fused_branch("vit")


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_fusion_has_the_head_of_two_branches(fusion: str) -> None:
    """Linear-ReLU-Linear, over twice the width where two means are pooled; in a state dict its branch is `photo`."""
    model = build_run(run_card(("photo",), fusion=fusion), {})
    assert model.roi is model.extra_roi is None
    assert [type(layer) for layer in model.head] == [nn.Linear, nn.ReLU, nn.Linear]
    assert model.head[0].in_features == 16 * (1 + (fusion == "mask_pool"))
    assert {name.partition(".")[0] for name in model.state_dict()} == {"photo", "head"}


@pytest.mark.parametrize(("fusion", "learning"), [("mask_pool", set()), ("mask_channel", {"patch_embed.proj"})])
@pytest.mark.parametrize("freeze", ["roi", "both"])
def test_a_frozen_backbone_still_learns_to_read_its_mask(fusion: str, learning: set[str], freeze: str) -> None:
    """`freeze: extra_roi` has nothing to freeze."""
    for frozen, expected in ((freeze, learning), ("extra_roi", None)):
        params = TRAIN.model_copy(update={"freeze": frozen})
        model = build_run(run_card(("photo",), fusion=fusion), {})
        Trainer(model, params, CrossEntropy(), Precision("fp32", "cpu"))
        assert model.photo is not None
        names = {name.rpartition(".")[0] for name, p in model.photo.backbone.named_parameters() if p.requires_grad}
        assert names == expected if expected is not None else len(names) > 5
