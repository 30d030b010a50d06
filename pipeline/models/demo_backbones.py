"""Tiny relatives of the paper's five backbones for 64-pixel pictures, registered with timm.

Each keeps the inductive bias of its family (inverted residuals, attention, token mixing, a distillation token) and is
small enough to learn from scratch within a few passes over a thousand pictures on two CPU cores.
"""

from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.deit import VisionTransformerDistilled
from timm.models.efficientnet import EfficientNet
from timm.models.mlp_mixer import MlpMixer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

IMAGE_SIZE = 64  # side of the pictures in pixels

INVERTED_RESIDUALS = [["ds_r1_k3_s2_c16"], ["ir_r2_k3_s2_e4_c32"], ["ir_r1_k3_s1_e4_c64"]]
"""MobileNetV2 blocks in timm's notation: repeats, kernel, stride, expansion, channels."""

PATCHES: dict[str, Any] = {"img_size": IMAGE_SIZE, "patch_size": 8, "embed_dim": 64}
ATTENTION: dict[str, Any] = PATCHES | {"depth": 2, "num_heads": 2, "mlp_ratio": 2.0}
MIXING: dict[str, Any] = PATCHES | {"num_blocks": 3, "mlp_ratio": (0.5, 2.0)}


def _describe(first_conv: str, classifier: str | tuple[str, ...]) -> dict[str, Any]:
    return {
        "num_classes": 1000,
        "input_size": (3, IMAGE_SIZE, IMAGE_SIZE),
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "first_conv": first_conv,
        "classifier": classifier,
        "fixed_input_size": first_conv != "conv_stem",
        "license": "mit",
    }


default_cfgs = generate_default_cfgs(
    {
        "demo_mobilenetv2": _describe("conv_stem", "classifier"),
        "demo_vit": _describe("patch_embed.proj", "head"),
        "demo_mixer": _describe("stem.proj", "head"),
        "demo_deit": _describe("patch_embed.proj", "head"),
        "demo_deit_distilled": _describe("patch_embed.proj", ("head", "head_dist")),
    }
)


@register_model
def demo_mobilenetv2(*, pretrained: bool = False, **options: Any) -> EfficientNet:
    """Four inverted residuals after one strided convolution."""
    shape: dict[str, Any] = {"block_args": decode_arch_def(INVERTED_RESIDUALS), "stem_size": 16, "num_features": 128}  # type: ignore[no-untyped-call]
    layers = {"norm_layer": nn.BatchNorm2d, "act_layer": nn.ReLU6}
    return build_model_with_cfg(EfficientNet, "demo_mobilenetv2", pretrained, **shape | layers | options)


@register_model
def demo_vit(*, pretrained: bool = False, **options: Any) -> VisionTransformer:
    """A vision transformer that reads its class token."""
    return build_model_with_cfg(VisionTransformer, "demo_vit", pretrained, **ATTENTION | options)


@register_model
def demo_mixer(*, pretrained: bool = False, **options: Any) -> MlpMixer:
    """An MLP-mixer."""
    return build_model_with_cfg(MlpMixer, "demo_mixer", pretrained, **MIXING | options)


@register_model
def demo_deit(*, pretrained: bool = False, **options: Any) -> VisionTransformer:
    """A DeiT without distillation: a vision transformer again, here one block deeper."""
    return build_model_with_cfg(VisionTransformer, "demo_deit", pretrained, **ATTENTION | {"depth": 3} | options)


@register_model
def demo_deit_distilled(*, pretrained: bool = False, **options: Any) -> VisionTransformerDistilled:
    """A DeiT with a distillation token beside the class token."""
    return build_model_with_cfg(VisionTransformerDistilled, "demo_deit_distilled", pretrained, **ATTENTION | options)
