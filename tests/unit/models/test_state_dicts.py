"""Reading pre-trained tensors and fitting them to timm models."""

import argparse
import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
import torchvision

from pipeline.models.state_dicts import describe_mismatch, is_from_torchvision, read_tensors, to_timm_names
from pipeline.runtime.errors import WeightsError


class Bomb:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, path: Path) -> None:
        """Remember what to create."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Ask the loader to run a shell command."""
        return os.system, (f"touch {self.path}",)


def test_tensors_come_back_from_any_format(tmp_path: Path) -> None:
    """safetensors, a plain .pth, and a checkpoint that nests the state dict as trainers do."""
    tensors = {"a": torch.rand(2, 3), "b": torch.arange(4)}
    safetensors.torch.save_file(tensors, tmp_path / "t.safetensors")
    torch.save(tensors, tmp_path / "t.pth")
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": t for name, t in tensors.items()}}, tmp_path / "t.pt")
    for name in ("t.safetensors", "t.pth", "t.pt"):
        read = read_tensors(tmp_path / name)
        assert read.keys() == tensors.keys()
        assert all(torch.equal(read[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize("name", ["t.ckpt", "t.pth.tar", "T.PTH", "t.bin"])
@pytest.mark.parametrize(
    "nested",
    [
        lambda tensors: {"state_dict": {f"model.{name}": tensor for name, tensor in tensors.items()}, "epoch": 3},
        lambda tensors: {"model": {"state_dict": tensors}, "args": argparse.Namespace(lr=0.1)},
        lambda tensors: {f"module._orig_mod.{name}": tensor for name, tensor in tensors.items()},
        lambda tensors: {"optimizer": {"state": {}}, "model_state_dict": tensors, "loss": torch.tensor(1.0)},
        lambda tensors: {"model": {name: 2 * tensor for name, tensor in tensors.items()}, "model_ema": tensors},
    ],
    ids=["lightning", "nested-twice", "wrapped", "tutorial", "average-first"],
)
def test_checkpoints_of_training_programs_are_read(tmp_path: Path, name: str, nested: Any) -> None:
    """Whatever they nest the state dict in, and whatever wrapper put a prefix before every name."""
    tensors = {"blocks.0.weight": torch.rand(2, 3), "head.bias": torch.rand(4)}
    torch.save(nested(tensors), tmp_path / name)
    read = read_tensors(tmp_path / name)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[key], tensors[key]) for key in tensors)


def test_a_malicious_pickle_is_refused_unrun(tmp_path: Path) -> None:
    """One line names what it wanted; nothing of it runs."""
    torch.save({"a": Bomb(tmp_path / "ran")}, tmp_path / "bomb.pth")
    with pytest.raises(WeightsError, match="bomb.pth: not a readable state dict: .*system") as caught:
        read_tensors(tmp_path / "bomb.pth")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_with_their_tensor(tmp_path: Path, value: float) -> None:
    """The loss of the training that follows would only tell the samples it was met on."""
    torch.save({"a": torch.ones(2), "b": torch.tensor([1.0, value]), "n": torch.arange(3)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="w.pth: 'b' holds numbers that are not finite"):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["page.pth", "page.safetensors", "page.bin"])
def test_an_html_page_is_no_weights_file(tmp_path: Path, name: str) -> None:
    """A failed download often is one."""
    (tmp_path / name).write_text("<html>Not found</html>")
    with pytest.raises(WeightsError, match=f"{name}: not a readable state dict"):
        read_tensors(tmp_path / name)


def test_other_content_kinds_and_absent_files_are_refused(tmp_path: Path) -> None:
    """Each message says what to give instead."""
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    torch.save({"epoch": 3}, tmp_path / "number.pth")
    with pytest.raises(WeightsError, match="other things than named tensors"):
        read_tensors(tmp_path / "tensor.pth")
    with pytest.raises(WeightsError, match="other things than named tensors"):
        read_tensors(tmp_path / "number.pth")
    with pytest.raises(WeightsError, match="no such file"):
        read_tensors(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match=r"unknown kind .*\.safetensors"):
        read_tensors(tmp_path / "weights.onnx")


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Return a model of torchvision in eval mode without a trivial tensor: no zero, no one, no default statistics."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                noise = 0.02 * torch.randn(tensor.shape, generator=generator)
                tensor.add_(noise.abs() if name.endswith("running_var") else noise)
    return model.eval()


@pytest.mark.parametrize(
    ("theirs", "timm_id", "size"),
    [
        (torchvision.models.mobilenet_v2, "mobilenetv2_100", 96),
        (torchvision.models.vit_b_16, "vit_base_patch16_224", 224),
    ],
)
def test_torchvisions_tensors_give_its_logits_in_timm(theirs: Any, timm_id: str, size: int) -> None:
    """The same function within 1e-5, whatever the tensors, in any order of keys, since safetensors keeps none."""
    reference, ours = shaken(theirs()), timm.create_model(timm_id).eval()
    ours.load_state_dict(to_timm_names(dict(sorted(reference.state_dict().items())), ours))
    pixels = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = reference(pixels)
        assert expected.std() > 1e-3
        torch.testing.assert_close(ours(pixels), expected, atol=1e-5, rtol=0)


HUGGING_FACE_BLOCK = {
    "attention.attention.query": (768, 768), "attention.attention.key": (768, 768),
    "attention.attention.value": (768, 768), "attention.output.dense": (768, 768), "intermediate.dense": (3072, 768),
    "output.dense": (768, 3072), "layernorm_before": (768,), "layernorm_after": (768,),
}  # fmt: skip
"""Weights of a block of facebook/deit-base-patch16-224 and its distilled sister, as `save_pretrained` writes them."""
HUGGING_FACE_5 = {
    "attention.attention.query": "attention.q_proj", "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj", "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2", "encoder.layer": "layers",
}  # fmt: skip
"""What version 5 of transformers calls the same in its models, but not in its files."""


def hugging_face_shapes(*, distilled: bool) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes in the files of both."""
    prefix, tokens = ("deit", 198) if distilled else ("vit", 197)
    shapes: dict[str, tuple[int, ...]] = {
        f"{prefix}.embeddings.cls_token": (1, 1, 768),
        f"{prefix}.embeddings.position_embeddings": (1, tokens, 768),
    }
    if distilled:
        shapes[f"{prefix}.embeddings.distillation_token"] = (1, 1, 768)
    layers = {f"{prefix}.embeddings.patch_embeddings.projection": (768, 3, 16, 16), f"{prefix}.layernorm": (768,)}
    for number in range(12):
        layers |= {f"{prefix}.encoder.layer.{number}.{name}": shape for name, shape in HUGGING_FACE_BLOCK.items()}
    heads = ("cls_classifier", "distillation_classifier") if distilled else ("classifier",)
    layers |= dict.fromkeys(heads, (1000, 768))
    for name, shape in layers.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    ("timm_id", "distilled"), [("deit_base_patch16_224", False), ("deit_base_distilled_patch16_224", True)]
)
def test_hugging_faces_deit_fills_timms(timm_id: str, version: int, *, distilled: bool) -> None:
    """Every tensor finds its place, both heads included, and each block's query, key and value lie in this order."""
    with torch.device("meta"):
        ours = timm.create_model(timm_id)
        theirs = {name: torch.empty(shape) for name, shape in hugging_face_shapes(distilled=distilled).items()}
    block = f"{'deit' if distilled else 'vit'}.encoder.layer.7.attention.attention"
    theirs |= {f"{block}.{part}.weight": torch.full((768, 768), i) for i, part in enumerate(("query", "key", "value"))}
    if version == 5:
        for old, new in HUGGING_FACE_5.items():
            theirs = {name.replace(f".{old}.", f".{new}."): tensor for name, tensor in theirs.items()}
    fitted = to_timm_names(theirs, ours)
    assert describe_mismatch(fitted, ours) == ""
    assert torch.equal(
        fitted["blocks.7.attn.qkv.weight"], torch.arange(3).repeat_interleave(768)[:, None].expand(-1, 768)
    )
    del theirs[next(name for name in theirs if name.endswith(("key.bias", "k_proj.bias")))]
    assert "1 missing: blocks.0.attn.qkv.bias" in describe_mismatch(to_timm_names(theirs, ours), ours)


def test_layer_norms_have_the_same_epsilon() -> None:
    """A logit would not tell 1e-6 from 1e-5 where the variance is about one."""
    with torch.device("meta"):
        theirs, ours = torchvision.models.vit_b_16(), timm.create_model("vit_base_patch16_224")
    epsilons = [{m.eps for m in model.modules() if isinstance(m, torch.nn.LayerNorm)} for model in (theirs, ours)]
    assert epsilons == [{1e-6}, {1e-6}]


def test_only_torchvisions_names_are_taken_for_its_own() -> None:
    """Its normalisation hangs on it."""
    with torch.device("meta"):
        vit, mobilenet = torchvision.models.vit_b_16(), torchvision.models.mobilenet_v2()
        others = [timm.create_model(name) for name in ("vit_base_patch16_224", "mobilenetv2_100", "test_resnet")]
    assert is_from_torchvision(vit.state_dict())
    assert is_from_torchvision(mobilenet.state_dict())
    assert not any(is_from_torchvision(model.state_dict()) for model in others)


def test_tensors_with_timm_names_pass_unchanged() -> None:
    """Nothing is renamed that needs no renaming."""
    model = timm.create_model("test_vit")
    tensors = model.state_dict()
    assert to_timm_names(tensors, model) is tensors


def test_differences_name_what_does_not_fit() -> None:
    """Missing, unknown and misshapen tensors are told apart and counted."""
    model = torch.nn.Linear(2, 3)
    assert describe_mismatch(model.state_dict(), model) == ""
    wrong = {"weight": torch.zeros(3, 4), "scale": torch.zeros(1)}
    assert (
        describe_mismatch(wrong, model) == "1 missing: bias; 1 unknown: scale; 1 wrong shape: weight (3, 4) for (3, 2)"
    )
