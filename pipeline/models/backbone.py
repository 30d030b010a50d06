"""One branch of RveRNet: a timm model with normalisation, its features, its head and its initialisation.

The distilled DeiT of the released code was loaded through a class with one classifier, on the class token: its two
trained heads were dropped, and a random one took their place. The distillation token still takes part in attention.

torchvision draws random weights otherwise than timm: timm divides the fan of a depthwise convolution by its groups and
draws transformers from one narrow normal distribution.
"""

import dataclasses
import difflib
import inspect
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from pipeline.models import device  # noqa: F401 - before timm, which would import torch's compiler

# isort: split
import timm
import torch
from jaxtyping import Float, Num
from timm.models.deit import VisionTransformerDistilled
from timm.models.efficientnet import EfficientNet
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from pipeline.models import demo_backbones  # noqa: F401 - registers the demo's backbones with timm
from pipeline.models.card import BackboneCard
from pipeline.models.state_dicts import classifier_names
from pipeline.params.model import TrainParams
from pipeline.runtime.errors import ModelError, one_line

MAX_PIXEL = 255.0
TIMM_ERRORS = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError)
"""What timm's models raise on options and picture sizes they cannot take, beside the RuntimeError of a shape."""
LOADING_OPTIONS = frozenset(("self", "device", "dtype", "cache_dir", "checkpoint_path")) | frozenset(
    ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay")
)
"""Arguments of timm's functions that concern files, the network or a device, not the architecture."""
RESERVED_OPTIONS = frozenset({"num_classes", "img_size"})  # options that this project sets itself
VECTOR_WIDTH = 16  # numbers in AVX-512's, the widest, registers; with fewer channels convolutions read incomplete ones


class ClassTokenDeiT(VisionTransformerDistilled):
    """A distilled DeiT that returns its class token, through one linear layer where there are logits."""

    def forward_head(self, x: Float[Tensor, "B N D"], pre_logits: bool = False) -> Float[Tensor, "B C"]:  # noqa: FBT001, FBT002 - timm's signature
        """Return logits of the class token, or the token itself; `x` are tokens, the class token first."""
        token: Tensor = self.head_drop(x[:, 0])
        return token if pre_logits else self.head(token)


def reset_head(model: VisionTransformerDistilled) -> None:
    """Replace both heads by a random layer on the class token; a model without classifier returns the token."""
    model.__class__ = ClassTokenDeiT  # timm's factories choose the class; nothing else differs
    model.head_dist = nn.Identity()
    if model.num_classes:
        model.head = nn.Linear(model.embed_dim, model.num_classes)
        nn.init.trunc_normal_(model.head.weight, std=0.02)  # as DeiT's own
        nn.init.zeros_(model.head.bias)


def init_as_torchvision(model: nn.Module, timm_id: str) -> None:
    """Initialise every parameter by torchvision's rules, from the global generator.

    Raises:
        ModelError: If torchvision has no such architecture.
    """
    check_torchvision_init(timm_id, known=isinstance(model, EfficientNet | VisionTransformer))
    if isinstance(model, EfficientNet):
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
    elif isinstance(model, VisionTransformer):
        _init_vit(model)


def _init_vit(model: VisionTransformer) -> None:
    patches = model.patch_embed.proj
    nn.init.trunc_normal_(patches.weight, std=math.sqrt(1 / patches.weight[0].numel()))
    nn.init.zeros_(patches.bias)
    if model.cls_token is not None:
        nn.init.zeros_(model.cls_token)
    if model.pos_embed is not None:
        nn.init.normal_(model.pos_embed, std=0.02)
    for block in cast("list[Any]", model.blocks):
        nn.init.xavier_uniform_(block.attn.qkv.weight)
        nn.init.zeros_(block.attn.qkv.bias)
        nn.init.kaiming_uniform_(block.attn.proj.weight, a=math.sqrt(5))  # PyTorch's default
        nn.init.zeros_(block.attn.proj.bias)
        for layer in (block.mlp.fc1, block.mlp.fc2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)
    if isinstance(model.head, nn.Linear):
        nn.init.zeros_(model.head.weight)
        nn.init.zeros_(model.head.bias)


def check_torchvision_init(timm_id: str, *, known: bool = True) -> None:
    """Raise `ModelError` unless torchvision's initialisation of an architecture is known."""
    if not (known and timm_id.removeprefix("demo_").startswith(("mobilenetv2", "vit"))):
        raise ModelError(
            f"torchvision's initialisation of {timm_id!r} is not known here, only those of mobilenetv2 and vit; "
            "set backbones.<name>.init to timm"
        )


class Branch(nn.Module):
    """A backbone that normalises raw pixels itself, so that a stored run contains its normalisation."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: nn.Module, *, mean: tuple[float, ...], std: tuple[float, ...], num_features: int
    ) -> None:
        """Join a backbone (B, 3, H, W) -> (B, num_features) and mean and deviation by channel, in units of [0, 1]."""
        super().__init__()
        self.layout = _memory_format(backbone)
        self.backbone, self.num_features = backbone.to(memory_format=self.layout), num_features
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1) * MAX_PIXEL)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1) * MAX_PIXEL)

    def forward(self, pixels: Num[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
        """Return features of pictures with values in [0, 255]."""
        features: Tensor = self.backbone(self.normalise(pixels))
        return features

    def freeze(self) -> None:
        """Keep every parameter as it is."""
        self.requires_grad_(requires_grad=False)

    def normalise(self, pixels: Num[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Return (pixels - mean) / std in the layout that the backbone wants."""
        pixels = pixels.contiguous(memory_format=self.layout)
        # Not when compiling or exporting: the plain expression is faster there, and readable.
        eager = pixels.is_cpu and not torch.compiler.is_compiling()
        if not eager or self.layout != torch.channels_last:
            return (pixels - self.mean) / self.std
        # Broadcast over a whole row: per-pixel broadcasting is five times slower.
        batch, channels, height, width = pixels.shape
        rows = pixels.permute(0, 2, 3, 1).reshape(batch * height, width * channels)
        normalised = rows.clone() if rows.is_floating_point() else rows.to(self.mean.dtype)
        normalised.sub_(self.mean.flatten().repeat(width)).div_(self.std.flatten().repeat(width))
        return normalised.view(batch, height, width, channels).permute(0, 3, 1, 2)


class DropoutEfficientNet(EfficientNet):
    """MobileNetV2's family with the dropout before the classifier as a layer, where timm calls a function."""

    head_drop: nn.Dropout

    def forward_head(self, x: Float[Tensor, "B D H W"], pre_logits: bool = False) -> Float[Tensor, "B C"]:  # noqa: FBT001, FBT002 - timm's signature
        """Return logits of feature maps, or the features after dropout."""
        features: Tensor = self.head_drop(self.global_pool(x))
        return features if pre_logits else self.classifier(features)


def _memory_format(backbone: nn.Module) -> torch.memory_format:
    """Return channels last, which saves MobileNetV2 a third of the CPU time, unless it triggers a bug of oneDNN.

    In torch 2.15, on a CPU with channels last, the gradient of a strided 1 x 1 convolution of few channels, such as the
    first of RepVGG and FastViT, writes past its memory.
    """
    triggers_onednn_bug = any(
        layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.groups == 1
        and layer.in_channels < VECTOR_WIDTH
        for layer in backbone.modules()
        if isinstance(layer, nn.Conv2d)
    )
    return torch.contiguous_format if triggers_onednn_bug else torch.channels_last


def check_timm_id(timm_id: str) -> None:
    """Raise `ModelError`, which names close ones, unless timm knows the architecture and the tag after the dot."""
    architecture, _, tag = timm_id.partition(".")
    if timm.is_model(architecture) and (not tag or timm_id in timm.list_pretrained(f"{architecture}.*")):
        return
    close = difflib.get_close_matches(timm_id, timm.list_pretrained() + timm.list_models(), n=5)
    hint = (
        f"did you mean {', '.join(close)}?" if close else "`python -c 'import timm; print(timm.list_models())'` lists"
    )
    raise ModelError(f"timm has no model {timm_id!r}; {hint}")


def create_timm_model(
    timm_id: str, options: Mapping[str, Any], tensors: dict[str, Tensor] | None = None, *, headless: bool = False
) -> nn.Module:
    """Build a timm model and load tensors by timm's own rules, which resample position embeddings of other sizes.

    Args:
        timm_id: Model.
        options: Keyword arguments of the architecture; timm's others, some of which read files, are refused.
        tensors: Weights; None for a random initialisation.
        headless: Whether neither the model nor the tensors have a classifier.

    Raises:
        ModelError: If timm does not know the model or refuses an option.
        RuntimeError: If the tensors do not fit.
    """
    check_timm_id(timm_id)
    given = options.keys() - RESERVED_OPTIONS
    if given and (unknown := sorted(given - architecture_options(timm_id))):
        raise ModelError(f"timm model {timm_id!r} has no option {unknown[0]!r}; correct the options of its backbone")
    # With as many classes as the model timm wants every tensor.
    no_classes = {"num_classes": 0} if headless else {}
    source: dict[str, Any] = {}
    if tensors is not None:
        source["pretrained_cfg_overlay"] = {"state_dict": tensors, "custom_load": False, **no_classes}
    options = {**options, **no_classes}
    try:
        model: nn.Module = timm.create_model(timm_id, pretrained=tensors is not None, **source, **options)
    except TIMM_ERRORS as error:
        raise ModelError(f"timm model {timm_id!r} with options {options}: {one_line(error)}") from error
    return model


@cache
def architecture_options(timm_id: str) -> frozenset[str]:
    """Return the names of the options that timm's function for a model, its class and their configuration take."""
    with torch.device("meta"):
        model = timm.create_model(timm_id)
    classes = [cls for cls in type(model).__mro__ if issubclass(cls, nn.Module) and cls is not nn.Module]
    names: set[str] = set()
    for function in (timm.models.model_entrypoint(timm_id), *(cls.__init__ for cls in classes)):
        for parameter in inspect.signature(function).parameters.values():
            if dataclasses.is_dataclass(parameter.annotation):
                names.update(field.name for field in dataclasses.fields(parameter.annotation))
            elif parameter.kind not in {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}:
                names.add(parameter.name)
    return frozenset(names - LOADING_OPTIONS)


def build_backbone(
    card: BackboneCard,
    params: TrainParams,
    *,
    image_size: int,
    tensors: dict[str, Tensor] | None,
    kind: type[Branch] = Branch,
) -> Branch:
    """Build a branch of a kind for square pictures of one size.

    Of a distilled DeiT, `pooled` features are the mean of the class and the distillation token, and `logits` the mean
    of both heads, as timm has it; `deit_distilled_head: released` takes the class token alone, and a new layer on it.

    The tensors have timm's names; None keeps the random initialisation.

    Raises:
        ModelError: If the model cannot be built, has no classifier to give logits, or cannot take the size.
    """
    options = card.options | ({"num_classes": 0} if params.features == "pooled" else {})
    try:
        model = _create_for_size(card, options, image_size, tensors)
    except RuntimeError as error:
        if tensors is not None and classifier_names(create_timm_model(card.timm_id(), options)) - tensors.keys():
            raise ModelError(
                f"weights of backbone {card.name!r} ({card.timm}, {card.file}) have no classifier of these classes; "
                "set train.features to pooled, or give weights with one"
            ) from error
        raise ModelError(
            f"weights of backbone {card.name!r} ({card.timm}) do not suit {image_size} px pictures: "
            f"{one_line(error)}; set pair.image_size to {card.input_size}"
        ) from error
    if params.features == "logits" and not getattr(model, "num_classes", 0):
        raise ModelError(f"backbone {card.name!r} ({card.timm}) has no classifier; set train.features to pooled")
    if card.init == "torchvision" and tensors is None:
        init_as_torchvision(model, card.timm_id())
    if params.deit_distilled_head == "released" and isinstance(model, VisionTransformerDistilled):
        reset_head(model)
    if isinstance(model, EfficientNet) and model.drop_rate:
        model.__class__, model.head_drop = DropoutEfficientNet, nn.Dropout(model.drop_rate)
    if card.layer_norm_eps is not None:
        for layer in model.modules():
            if isinstance(layer, nn.LayerNorm):
                layer.eps = card.layer_norm_eps
    mean, std = ((0.0,) * 3, (1.0,) * 3) if params.normalize == "none" else (card.mean, card.std)
    return kind(model, mean=mean, std=std, num_features=_count_features(model, card, image_size))


def _create_for_size(
    card: BackboneCard, options: dict[str, Any], image_size: int, tensors: dict[str, Tensor] | None
) -> nn.Module:
    """Create the model, with the picture size where it is not the native one and the architecture takes it."""
    if image_size == card.input_size:
        return create_timm_model(card.timm_id(), options, tensors)
    try:
        return create_timm_model(card.timm_id(), options | {"img_size": image_size}, tensors)
    except ModelError as error:
        if error.__cause__ and not isinstance(error.__cause__, TypeError):
            raise _wrong_size(card, image_size, error.__cause__) from error
        if "'img_size'" not in str(error.__cause__):
            raise  # an option, or the model itself
    return create_timm_model(card.timm_id(), options, tensors)


def _count_features(model: nn.Module, card: BackboneCard, image_size: int) -> int:
    """Return the width of the output, from one picture: timm's attribute is wrong for some families."""
    model.eval()
    try:
        with torch.no_grad():
            output = model(torch.zeros(1, 3, image_size, image_size))
    except (*TIMM_ERRORS, RuntimeError) as error:
        raise _wrong_size(card, image_size, error) from error
    finally:
        model.train()
    if output.ndim != 2:  # noqa: PLR2004 - (B, D)
        raise ModelError(f"backbone {card.name!r} ({card.timm}) gives {tuple(output.shape)}, not one vector a picture")
    return int(output.shape[1])


def _wrong_size(card: BackboneCard, image_size: int, reason: BaseException) -> ModelError:
    return ModelError(
        f"backbone {card.name!r} ({card.timm}) does not take {image_size} px pictures: {one_line(reason)}; "
        f"set pair.image_size to {card.input_size} or choose another backbone"
    )
