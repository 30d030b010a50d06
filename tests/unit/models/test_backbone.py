"""Branches from timm models."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from pipeline.models.backbone import Branch, architecture_options, build_backbone, check_timm_id, create_timm_model
from pipeline.models.card import BackboneCard
from pipeline.params.model import TrainParams
from pipeline.runtime.errors import ModelError
from tests.small_run import TRAIN, backbone_card

DEMO = ("demo_mobilenetv2", "demo_vit", "demo_mixer", "demo_deit", "demo_deit_distilled")
RELEASED = TRAIN.model_copy(update={"normalize": "none", "features": "logits"})


def card_of(timm_id: str, *, input_size: int = 64, **options: Any) -> BackboneCard:
    """Return the card of any timm model."""
    return backbone_card("b").model_copy(update={"timm": timm_id, "options": options, "input_size": input_size})


@pytest.mark.parametrize("timm_id", DEMO)
@pytest.mark.parametrize("params", [TRAIN, RELEASED], ids=["pooled", "logits"])
def test_demo_backbones_reach_every_parameter(timm_id: str, params: TrainParams) -> None:
    """The output has the width the branch states, and every parameter gets gradient."""
    branch = build_backbone(card_of(timm_id), params, image_size=64, tensors=None)
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))  # timm's mixer starts with a head of zeros
    features = branch(torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8))
    assert features.shape == (3, branch.num_features)
    assert params.features == "pooled" or branch.num_features == 1000
    features.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in branch.parameters())


@pytest.mark.parametrize("timm_id", DEMO)
def test_samples_do_not_mix_in_eval_mode(timm_id: str) -> None:
    """A picture's features do not depend on its neighbours in the batch."""
    branch = build_backbone(card_of(timm_id), TRAIN, image_size=64, tensors=None).eval()
    pixels = torch.randint(0, 256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    changed = pixels.clone()
    changed[1] = 255 - changed[1]
    before, after = branch(pixels), branch(changed)
    torch.testing.assert_close(before[[0, 2]], after[[0, 2]])
    assert not torch.allclose(before[1], after[1])


def test_a_branch_normalises_raw_pixels_itself() -> None:
    """It equals the backbone on (pixels / 255 - mean) / std, and without normalisation on pixels / 255."""
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    for normalize, expected in (("backbone", (pixels / 255 - 0.5) / 0.5), ("none", pixels / 255)):
        params = TRAIN.model_copy(update={"normalize": normalize})
        branch = build_backbone(card_of("demo_vit"), params, image_size=64, tensors=None).eval()
        torch.testing.assert_close(branch(pixels), branch.backbone(expected))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (64, 64)], ids=str)
def test_rows_are_normalised_to_the_last_bit(dtype: torch.dtype, size: tuple[int, int]) -> None:
    """As the formula says, in its layout, gradients too; what is given stays as it is."""
    branch = Branch(nn.Identity(), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), num_features=3)
    pixels = torch.randint(256, (3, 3, *size), dtype=torch.uint8).to(dtype)
    wanted = pixels.clone().requires_grad_(dtype.is_floating_point)
    expected = (wanted - branch.mean) / branch.std
    for layout in (torch.contiguous_format, torch.channels_last):
        given = pixels.clone(memory_format=layout).requires_grad_(dtype.is_floating_point)
        found = branch.normalise(given)
        assert torch.equal(found, expected)
        assert found.dtype == expected.dtype
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(given, pixels)
        if dtype.is_floating_point:
            slopes = (
                torch.autograd.grad(out.sum(), x, retain_graph=True)[0]
                for out, x in ((found, given), (expected, wanted))
            )
            assert torch.equal(*slopes)


def test_distilled_features_are_the_mean_of_both_tokens() -> None:
    """The class and the distillation token weigh the same."""
    branch = build_backbone(card_of("demo_deit_distilled"), TRAIN, image_size=64, tensors=None).eval()
    tokens = branch.backbone.forward_features(torch.zeros(1, 3, 64, 64))
    torch.testing.assert_close(branch.backbone(torch.zeros(1, 3, 64, 64)), (tokens[:, 0] + tokens[:, 1]) / 2)


@pytest.mark.parametrize("timm_id", ["test_vit", "test_convnext", "test_efficientnet", "test_resnet"])
def test_other_picture_sizes_suit_any_family(timm_id: str) -> None:
    """Transformers are told the size, convolutions need not be."""
    branch = build_backbone(card_of(timm_id, input_size=160), TRAIN, image_size=96, tensors=None)
    assert branch(torch.zeros(2, 3, 96, 96)).shape == (2, branch.num_features)


WINDOWS = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
ONE_LINERS: dict[str, dict[str, Any]] = {
    "convnextv2_atto": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
    "swin_tiny_patch4_window7_224": WINDOWS,
    "swin_base_patch4_window12_384": WINDOWS,
    "swinv2_tiny_window8_256": WINDOWS,
    "eva02_tiny_patch14_336": {"depth": 1},
    "vit_small_patch14_reg4_dinov2": {"depth": 1},
    "vit_small_patch16_dinov3": {"depth": 1},
    "maxvit_pico_rw_256": {},
    "xcit_nano_12_p16_384": {"depth": 1},
    "repvgg_a0": {},
}
"""Families that differ in how they take a picture's size, by the options that make them small."""
HEADLESS = ("vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3")
"""Pre-trained without labels: there is no classifier."""


@pytest.mark.parametrize("size", [64, 224])
@pytest.mark.parametrize("timm_id", ONE_LINERS)
def test_any_timm_model_is_a_backbone_by_one_line(timm_id: str, size: int) -> None:
    """Whatever its native size, at small and at the paper's pictures: features, logits, and gradient throughout."""
    entry, options = timm.get_pretrained_cfg(timm_id), ONE_LINERS[timm_id]
    card = card_of(timm_id, input_size=entry.input_size[-1], **options)
    for params in (TRAIN,) if timm_id in HEADLESS else (TRAIN, RELEASED):
        branch = build_backbone(card, params, image_size=size, tensors=None)
        features = branch(torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8))
        assert features.shape == (2, 1000 if params is RELEASED else branch.num_features)
        features.square().sum().backward()
        assert all(parameter.grad is not None for parameter in branch.parameters())
        assert all(parameter.grad.isfinite().all() for parameter in branch.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("timm_id", HEADLESS)
def test_a_model_without_classifier_gives_no_logits(timm_id: str) -> None:
    """The released features are logits; the message says which features there are."""
    with pytest.raises(ModelError, match=f"{timm_id}.*no classifier; set train.features to pooled"):
        build_backbone(card_of(timm_id, input_size=518, depth=1), RELEASED, image_size=64, tensors=None)


@pytest.mark.parametrize(
    ("timm_id", "size", "native"),
    [
        ("maxvit_pico_rw_256", 100, 256),  # refuses in its forward pass
        ("xcit_nano_12_p16_384", 100, 384),  # refuses when it is built
        ("mvitv2_tiny", 40, 224),  # fails where it did not expect to
        ("vit_small_patch16_224", 8, 224),  # smaller than a patch
    ],
)
def test_a_size_a_family_cannot_take_is_one_line(timm_id: str, size: int, native: int) -> None:
    """With the native size to go back to."""
    options = {"depth": 1} if timm_id.startswith(("xcit", "vit")) else {}
    message = rf"^backbone 'b' \({timm_id}\) does not take {size} px pictures: .*; set pair.image_size to {native}"
    with pytest.raises(ModelError, match=message) as caught:
        build_backbone(card_of(timm_id, input_size=native, **options), TRAIN, image_size=size, tensors=None)
    assert "\n" not in str(caught.value)


def test_the_layout_is_channels_last_where_that_is_safe() -> None:
    """Gradients of a strided 1 x 1 convolution on RGB would write past their memory; elsewhere it is faster."""
    identity = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "num_features": 8}
    layouts = {}
    for kernel, channels in ((1, 3), (3, 3), (1, 32)):
        convolutions = nn.Conv2d(3, channels, 3, padding=1), nn.Conv2d(channels, 8, kernel, stride=2)
        branch = Branch(nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten()), **identity)
        branch(torch.zeros(2, 3, 16, 16)).sum().backward()
        layouts[kernel, channels] = branch.layout
    assert layouts.pop((1, 3)) == torch.contiguous_format
    assert set(layouts.values()) == {torch.channels_last}


def test_weights_of_another_size_are_resampled_by_timm() -> None:
    """Position embeddings are interpolated; all other tensors are taken as they are."""
    donor = timm.create_model("test_vit")
    branch = build_backbone(card_of("test_vit", input_size=160), TRAIN, image_size=96, tensors=donor.state_dict())
    assert branch.backbone.pos_embed.shape[1] == 36 + donor.num_prefix_tokens
    assert torch.equal(branch.backbone.blocks[0].mlp.fc1.weight, donor.blocks[0].mlp.fc1.weight)


def test_an_impossible_size_is_refused() -> None:
    """The message says which size and what to change."""
    with pytest.raises(ModelError, match=r"'b' \(demo_vit\).*30.*pair.image_size"):
        build_backbone(card_of("demo_vit", input_size=30), TRAIN, image_size=30, tensors=None)


def test_weights_that_cannot_be_resampled_are_refused() -> None:
    """A mixer's token weights are made for one number of patches."""
    donor = timm.create_model("demo_mixer").state_dict()
    with pytest.raises(ModelError, match="do not suit 96 px pictures: .*set pair.image_size to 64"):
        build_backbone(card_of("demo_mixer"), TRAIN, image_size=96, tensors=donor)


@pytest.mark.parametrize(
    ("timm_id", "close"), [("vit_bas_patch16_224", "vit_base_patch16_224"), ("mobilenetv2_100.nope", "mobilenetv2_100")]
)
def test_unknown_models_are_refused_with_close_ones(timm_id: str, close: str) -> None:
    """A typing error costs one line, not a search."""
    with pytest.raises(ModelError, match=f"did you mean .*{close}"):
        check_timm_id(timm_id)


@pytest.mark.parametrize(
    "timm_id", [*DEMO, "mobilenetv2_100", "test_byobnet", "test_convnext", "swin_tiny_patch4_window7_224"]
)
def test_options_that_are_not_of_the_architecture_are_refused_unread(timm_id: str, tmp_path: Path) -> None:
    """Further arguments of timm read files and choose caches; a card from elsewhere may hold any of them."""
    there = str(tmp_path / "there.pth")
    for name, value in (
        ("checkpoint_path", there), ("cache_dir", there), ("pretrained_cfg", "x"), ("pretrained_cfg_overlay", there),
        ("features_only", True), ("pretrained", True), ("scriptable", True), ("out_indices", (1,)),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=f"has no option '{name}'"):
            create_timm_model(timm_id, {name: value})


def test_options_of_the_architecture_pass_and_draw_the_same_numbers() -> None:
    """Looking them up takes nothing from the generator, so that weights are those of timm alone."""
    torch.manual_seed(0)
    expected = timm.create_model("test_vit", depth=1, drop_path_rate=0.1).state_dict()
    torch.manual_seed(0)
    architecture_options.cache_clear()
    found = create_timm_model("test_vit", {"depth": 1, "drop_path_rate": 0.1}).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_unknown_options_and_missing_classifiers_are_refused() -> None:
    """Both name the model."""
    with pytest.raises(ModelError, match="demo_vit.*'colour'"):
        build_backbone(card_of("demo_vit", colour=1), TRAIN, image_size=64, tensors=None)
    with pytest.raises(ModelError, match="timm model 'demo_vit' has no option 'colour'"):
        build_backbone(card_of("demo_vit", colour=1), TRAIN, image_size=32, tensors=None)
    with pytest.raises(ModelError, match="demo_vit.*no classifier"):
        build_backbone(card_of("demo_vit", num_classes=0), RELEASED, image_size=64, tensors=None)
    with pytest.raises(ModelError, match="absent branch"):
        backbone_card("none").model_copy(update={"timm": None}).timm_id()
