"""Read pre-trained tensors from files and fit them to a timm model."""

import argparse
import lzma
import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from pipeline.models.card import BackboneCard
from pipeline.runtime.errors import WeightsError, one_line, raise_if_machine_error
from pipeline.runtime.manifest import sha256_of

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pth.tar")
MAX_LISTED = 5
READ_ERRORS = (
    *(SafetensorError, pickle.PickleError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, AssertionError),
    *(EOFError, OSError),
)
"""Errors of readers of tensors on damaged files and files of another kind."""
ZIP_START = b"PK\x03\x04"
STATE_DICT_KEYS = (
    *("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model_state", "model", "network", "net"),
)
"""Keys of a model's state dict in checkpoints of training programs; averages first."""
WRAPPER_PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.", "backbone.")
"""Prefixes that DataParallel, torch.compile, Lightning and other wrappers add to every name."""

TORCHVISION_VIT = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_1\.", ".norm1."),
    (r"\.ln_2\.", ".norm2."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
)
"""torchvision's names of vision transformers, and timm's."""
HUGGING_FACE_VIT = (
    (r"^(vit|deit)\.", ""),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^(encoder\.layer|layers)\.(\d+)\.", r"blocks.\2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.(attention\.query|q_proj)\.", ".attn.q."),
    (r"\.attention\.(attention\.key|k_proj)\.", ".attn.k."),
    (r"\.attention\.(attention\.value|v_proj)\.", ".attn.v."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"^layernorm\.", "norm."),
    (r"^(cls_)?classifier\.", "head."),
    (r"^distillation_classifier\.", "head_dist."),
)
"""Names of ViT and DeiT in files of Hugging Face's transformers, or in its models since version 5, and timm's; timm
holds query, key and value in one tensor."""

EFFICIENTNET_PYTORCH = {
    "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier",
}  # fmt: skip
"""Names of the package efficientnet_pytorch and its relatives outside of blocks, and timm's."""
EXPANDING_BLOCK = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand", "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
"""Likewise, of a block that first expands its channels."""
PLAIN_BLOCK = EXPANDING_BLOCK | {"_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Likewise, of a block that does not."""

HUGGING_FACE_PATCHES = re.compile(r"^((vit|deit)\.)?embeddings\.patch_embeddings\.projection\.weight$")
"""Name that only its ViT and DeiT have."""


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file with the usual permissions; the library's own file is readable by this user alone."""
    path.unlink(missing_ok=True)  # an older file may be a link into DVC's cache
    path.touch()
    mode = path.stat().st_mode
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    path.chmod(mode)


def load_checkpoint_file(path: Path, *, mmap: bool = False) -> Any:
    """Return what `torch.save` wrote, on the CPU; read with `weights_only`, so that no code of the file runs.

    The checksums of the file are compared first, which torch does not do. Files of torch before 1.6 have none.

    With `mmap` tensors stay on disk until they are used.

    Raises:
        Exception: One of `READ_ERRORS`.
    """
    with path.open("rb") as file:
        is_zip = file.read(len(ZIP_START)) == ZIP_START
    if is_zip:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"damaged at {damaged}")
    # Checkpoints hold options beside the tensors; a Namespace holds values alone.
    try:
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        # torch's own message advises to run the code of the file.
        asked = re.search(r"unsupported (global: )?\w+ \S+", str(error), re.IGNORECASE)
        raise pickle.UnpicklingError(asked[0] if asked else "no pickle of tensors") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict, also one nested in a checkpoint of a training program; no code of the file runs.

    Prefixes of wrappers (`module.`, `model.`, ...) are removed.

    Raises:
        WeightsError: If the file is absent, of another kind, damaged, a pickle that wants more than tensors, or holds
            numbers that are not finite.
    """
    if not path.name.lower().endswith(SUFFIXES):
        raise WeightsError(f"{path}: unknown kind of weights; give one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give the path of a state dict, or set weights to hub or none")
    safe = path.suffix.lower() == ".safetensors"
    try:
        held = safetensors.torch.load_file(path) if safe else load_checkpoint_file(path)
    except READ_ERRORS as error:
        raise_if_machine_error(path, error)
        advice = "save plain tensors, best as safetensors"
        raise WeightsError(f"{path}: not a readable state dict: {one_line(error)}; {advice}") from error
    tensors = _state_dict_in(held)
    if tensors is None:
        raise WeightsError(f"{path}: holds other things than named tensors; save `model.state_dict()`")
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise WeightsError(f"{path}: {name!a} holds numbers that are not finite; the training it is from diverged")
    while prefix := next((p for p in WRAPPER_PREFIXES if all(name.startswith(p) for name in tensors)), ""):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _state_dict_in(held: object) -> dict[str, Tensor] | None:
    """Return the state dict that a file holds, at whatever depth; None if there is none."""
    if not isinstance(held, Mapping) or not held:
        return None
    if all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in held.items()):
        return dict(held)
    nested = (_state_dict_in(held.get(key)) for key in STATE_DICT_KEYS)
    return next((tensors for tensors in nested if tensors is not None), None)


def read_stored_tensors(path: Path, card: BackboneCard) -> dict[str, Tensor]:
    """Read what stage `weights` stored for a backbone.

    Raises:
        WeightsError: If the file is absent, damaged or not the one that the card names.
    """
    stage = f"weights@{path.parent.name}"
    try:
        tensors = safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise_if_machine_error(path, error)
        raise WeightsError(f"{path}: absent or damaged ({error}); run `dvc repro -f {stage}`") from error
    if card.stored_sha256 not in {None, sha256_of(path)}:
        raise WeightsError(f"{path}: not the weights that {card.name}'s card names; run `dvc repro {stage}`")
    return tensors


def is_from_torchvision(names: Collection[str]) -> bool:
    """Tell whether names are those of torchvision's MobileNetV2 or vision transformer."""
    return _is_vit(names) or _is_mobilenetv2(names)


def _is_vit(names: Collection[str]) -> bool:
    return "class_token" in names and "conv_proj.weight" in names


def _is_mobilenetv2(names: Collection[str]) -> bool:
    return "features.0.0.weight" in names and "features.18.0.weight" in names


def to_timm_names(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors under timm's names if they are of another library.

    Known are torchvision's MobileNetV2 and vision transformer, Hugging Face's ViT and DeiT, with one classifier or
    with DeiT's two, and efficientnet_pytorch's EfficientNet and Lite. Other tensors pass unchanged.
    """
    if _is_mobilenetv2(tensors):
        return _in_order_of(tensors, model)
    if "_conv_stem.weight" in tensors:
        return _from_efficientnet_pytorch(tensors, model)
    rules = TORCHVISION_VIT if _is_vit(tensors) else HUGGING_FACE_VIT
    if rules is HUGGING_FACE_VIT and not any(HUGGING_FACE_PATCHES.match(name) for name in tensors):
        return tensors
    renamed = {}
    for name, tensor in tensors.items():
        ours = name
        for pattern, replacement in rules:
            ours = re.sub(pattern, replacement, ours)
        renamed[ours] = tensor
    # Query, key and value of each block as one tensor, in this order; incomplete ones stay as they are.
    for query in [name for name in renamed if ".attn.q." in name]:
        parts = [query.replace(".attn.q.", f".attn.{part}.") for part in "qkv"]
        if all(part in renamed for part in parts):
            renamed[query.replace(".attn.q.", ".attn.qkv.")] = torch.cat([renamed.pop(part) for part in parts])
    return renamed


def _in_order_of(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Pair torchvision's and timm's MobileNetV2 layer by layer: both list the same layers in the same order."""
    from torchvision.models import mobilenet_v2  # noqa: PLC0415 - costs a second, needed for one file format

    with torch.device("meta"):
        order = list(mobilenet_v2().state_dict())  # a safetensors file does not keep the order itself
    pairs = list(zip(model.state_dict(), order, strict=False))
    absent = {theirs for theirs in order if theirs not in tensors}
    if len(pairs) != len(order) or set(tensors) - set(order) or absent - {"classifier.1.weight", "classifier.1.bias"}:
        return tensors
    return {ours: tensors[theirs] for ours, theirs in pairs if theirs in tensors}


def _from_efficientnet_pytorch(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Rename tensors of efficientnet_pytorch, which numbers blocks through, where timm numbers them within a stage."""
    found = [re.match(r"blocks\.\d+\.\d+", name) for name in model.state_dict()]
    blocks = list(dict.fromkeys(block[0] for block in found if block))
    renamed = {}
    for name, tensor in tensors.items():
        place, names, rest = "", EFFICIENTNET_PYTORCH, name
        if block := re.match(r"_blocks\.(\d+)\.", name):
            if int(block[1]) >= len(blocks):
                return tensors  # of a deeper model
            names = EXPANDING_BLOCK if f"{block[0]}_expand_conv.weight" in tensors else PLAIN_BLOCK
            place, rest = f"{blocks[int(block[1])]}.", name.removeprefix(block[0])
        layer, _, parameter = rest.partition(".")
        renamed[f"{place}{names.get(layer, layer)}.{parameter}"] = tensor
    return renamed


def classifier_names(model: nn.Module) -> frozenset[str]:
    """Return the names of the tensors of a timm model that turn features into classes; none where it has no classes."""
    get_classifier: Any = model.get_classifier
    heads = get_classifier()
    heads = heads if isinstance(heads, tuple) else (heads,)
    places = [name for name, module in model.named_modules() if any(module is head for head in heads)]
    return frozenset(name for name in model.state_dict() if name.startswith(tuple(f"{place}." for place in places)))


def drop_foreign_classifier(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor] | None:
    """Return the tensors without their classifier if it is absent or of other classes; None if it is the model's."""
    names, wanted = classifier_names(model), model.state_dict()
    if all(name in tensors and tensors[name].shape == wanted[name].shape for name in names):
        return None
    return {name: tensor for name, tensor in tensors.items() if name not in names}


def describe_mismatch(tensors: dict[str, Tensor], model: nn.Module) -> str:
    """Say in one line which tensors are missing, unknown or of the wrong shape for a model; empty if none."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    wrong = [
        f"{name} {tuple(tensor.shape)} for {wanted[name]}"
        for name, tensor in tensors.items()
        if name in wanted and tuple(tensor.shape) != wanted[name]
    ]
    missing, unknown = wanted.keys() - tensors.keys(), tensors.keys() - wanted.keys()
    said = []
    for what, names in (("missing", missing), ("unknown", unknown), ("wrong shape", wrong)):
        if names:
            listed = ", ".join(sorted(names)[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
            said.append(f"{len(names)} {what}: {listed}")
    return "; ".join(said)
