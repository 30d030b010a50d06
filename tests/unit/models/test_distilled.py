"""The distilled DeiT without its trained heads, against the forward pass written out in plain operations."""

import copy
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.models.artifact import build_run, load_run, save_run
from pipeline.models.backbone import Branch, build_backbone
from tests.small_run import TRAIN, backbone_card, run_card

RELEASED = TRAIN.model_copy(update={"deit_distilled_head": "released", "normalize": "none", "features": "logits"})
POOLED = RELEASED.model_copy(update={"features": "pooled"})
CARD = backbone_card("b").model_copy(update={"timm": "demo_deit_distilled", "options": {}, "input_size": 64})
HEADS = 2
"""Attention heads of the demo's model."""


@pytest.fixture(scope="module")
def donor() -> dict[str, Tensor]:
    """Return pre-trained weights, trained heads included; no tensor is trivial."""
    torch.manual_seed(0)
    tensors = timm.create_model("demo_deit_distilled").state_dict()
    return {name: tensor + 0.1 * torch.randn_like(tensor) for name, tensor in tensors.items()}


def branch_of(params: object, donor: dict[str, Tensor]) -> Branch:
    """Return the branch in eval mode."""
    return build_backbone(CARD, params, image_size=64, tensors=dict(donor)).eval()  # type: ignore[arg-type]


def class_token(pixels: Tensor, w: dict[str, Tensor]) -> Tensor:
    """Return the class token of a distilled DeiT: both tokens take part in every block, then the last norm."""
    patches = functional.conv2d(pixels, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=8)
    tokens = torch.cat([w["cls_token"], w["dist_token"]], 1).expand(len(pixels), -1, -1)
    x = torch.cat([tokens, patches.flatten(2).transpose(1, 2)], 1) + w["pos_embed"]
    for block in (f"blocks.{number}" for number in range(2)):
        x = x + attention(norm(x, w, f"{block}.norm1"), w, block)
        hidden = functional.gelu(linear(norm(x, w, f"{block}.norm2"), w, f"{block}.mlp.fc1"))
        x = x + linear(hidden, w, f"{block}.mlp.fc2")
    return norm(x, w, "norm")[:, 0]


def norm(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    """Return the layer norm of that name."""
    return functional.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-6)


def linear(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    """Return the linear layer of that name."""
    return functional.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def attention(x: Tensor, w: dict[str, Tensor], block: str) -> Tensor:
    """Return softmax(q k / sqrt(d)) v of every head, joined and projected."""
    parts = linear(x, w, f"{block}.attn.qkv").unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
    query, key, value = parts
    weights = (query @ key.transpose(2, 3) / query.shape[-1] ** 0.5).softmax(3)
    return linear((weights @ value).transpose(1, 2).flatten(2), w, f"{block}.attn.proj")


def test_released_logits_are_a_linear_layer_on_the_class_token(donor: dict[str, Tensor]) -> None:
    """The body is pre-trained; the distillation token takes part in it, and its output is dropped."""
    branch, pixels = branch_of(RELEASED, donor), torch.rand(3, 3, 64, 64)
    head = branch.backbone.head
    expected = class_token(pixels, donor) @ head.weight.T + head.bias
    torch.testing.assert_close(branch(pixels * 255), expected, atol=1e-5, rtol=1e-5)
    assert branch.num_features == 1000


def test_the_released_head_is_new(donor: dict[str, Tensor]) -> None:
    """768 -> 1000 in the paper's size: truncated normal of 0.02, no bias, neither of the two trained heads."""
    weight, bias = (branch_of(RELEASED, donor).backbone.head.get_parameter(name) for name in ("weight", "bias"))
    assert weight.shape == donor["head.weight"].shape
    assert not bias.any()
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    trained = torch.stack([donor["head.weight"], donor["head_dist.weight"], donor["head.weight"].roll(1, 0)])
    correlations = [torch.corrcoef(torch.stack([weight.flatten(), other.flatten()]))[0, 1] for other in trained]
    assert max(map(abs, correlations)) < 0.02
    names = set(branch_of(RELEASED, donor).backbone.state_dict())
    assert names == donor.keys() - {"head_dist.weight", "head_dist.bias"}


def test_released_pooled_features_are_the_class_token(donor: dict[str, Tensor]) -> None:
    """Without a classifier there is nothing to be new."""
    pixels = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(branch_of(POOLED, donor)(pixels * 255), class_token(pixels, donor), atol=1e-5, rtol=1e-5)


def test_average_is_the_mean_of_both_trained_heads(donor: dict[str, Tensor]) -> None:
    """The way of timm, the default: no layer is new."""
    average = RELEASED.model_copy(update={"deit_distilled_head": "average"})
    branch, pixels = branch_of(average, donor), torch.rand(2, 3, 64, 64)
    tokens = branch.backbone.forward_features(pixels)
    expected = (linear(tokens[:, 0], donor, "head") + linear(tokens[:, 1], donor, "head_dist")) / 2
    torch.testing.assert_close(branch(pixels * 255), expected, atol=1e-5, rtol=1e-5)


def test_every_parameter_is_trained_the_distillation_token_too(donor: dict[str, Tensor]) -> None:
    """It reaches the class token through attention."""
    branch = branch_of(RELEASED, donor)
    branch(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in branch.parameters())


def test_a_released_run_comes_back_from_its_package(tmp_path: Path) -> None:
    """The card says which head the weights are of; copies, as weight averaging makes them, keep it."""
    card = run_card(("roi", "extra_roi"))
    changes = {"train": RELEASED, "image_size": 64, "backbones": dict.fromkeys(card.backbones, CARD)}
    card = card.model_copy(update=changes)
    model, pixels = build_run(card, {}).eval(), torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    save_run(model, card, tmp_path)
    loaded, _ = load_run(tmp_path, "cpu")
    assert torch.equal(loaded(pixels, pixels), model(pixels, pixels))
    assert torch.equal(copy.deepcopy(model)(pixels, pixels), model(pixels, pixels))


def test_other_backbones_have_no_such_choice() -> None:
    """A ViT is built the same under either value."""
    card = backbone_card("b")
    branches = []
    for params in (RELEASED, RELEASED.model_copy(update={"deit_distilled_head": "average"})):
        torch.manual_seed(1)
        branches.append(build_backbone(card, params, image_size=32, tensors=None).state_dict())
    assert all(torch.equal(branches[0][name], branches[1][name]) for name in branches[0])
