"""torchvision's rules of drawing random weights, for timm's models of the same architectures.

They matter where no pre-trained weights are loaded. Both libraries build the same layers; timm divides the fan of a
depthwise convolution by its groups and draws transformers from one narrow normal distribution, torchvision does not.
"""

import math
from typing import Any

from timm.models.efficientnet import EfficientNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from pipeline.errors import ModelError

CLASSIFIER_STD = 0.01
POSITION_STD = 0.02
BIAS_STD = 1e-6


def draw_as_torchvision(model: nn.Module, timm_id: str) -> None:
    """Draw every parameter anew, from the global generator.

    Raises:
        ModelError: If torchvision has no such architecture.
    """
    check_torchvision_draws(timm_id)
    match model:
        case EfficientNet():
            _draw_mobilenetv2(model)
        case VisionTransformer():
            _draw_vit(model)
        case _:
            raise _unknown(timm_id)


def check_torchvision_draws(timm_id: str) -> None:
    """Raise unless the name is one of an architecture that torchvision has.

    Raises:
        ModelError: If it is not.
    """
    if not timm_id.removeprefix("demo_").startswith(("mobilenetv2", "vit")):
        raise _unknown(timm_id)


def _unknown(timm_id: str) -> ModelError:
    return ModelError(
        f"torchvision's initialisation of {timm_id!r} is not known here, only those of mobilenetv2 and vit; "
        "set backbones.<name>.init to timm"
    )


def _draw_mobilenetv2(model: EfficientNet) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=CLASSIFIER_STD)
            nn.init.zeros_(module.bias)


def _draw_vit(model: VisionTransformer) -> None:
    patches = model.patch_embed.proj
    nn.init.trunc_normal_(patches.weight, std=math.sqrt(1 / patches.weight[0].numel()))
    nn.init.zeros_(patches.bias)
    if model.cls_token is not None:
        nn.init.zeros_(model.cls_token)
    if model.pos_embed is not None:
        nn.init.normal_(model.pos_embed, std=POSITION_STD)
    for block in model.blocks:
        _draw_block(block)
    if isinstance(model.head, nn.Linear):
        nn.init.zeros_(model.head.weight)
        nn.init.zeros_(model.head.bias)


def _draw_block(block: Any) -> None:
    nn.init.xavier_uniform_(block.attn.qkv.weight)
    nn.init.zeros_(block.attn.qkv.bias)
    nn.init.kaiming_uniform_(block.attn.proj.weight, a=math.sqrt(5))  # the one layer it leaves to PyTorch's default
    nn.init.zeros_(block.attn.proj.bias)
    for layer in (block.mlp.fc1, block.mlp.fc2):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.normal_(layer.bias, std=BIAS_STD)
