"""Weights of SAM are read without running anything, and fit or are refused."""

from pathlib import Path

import pytest
import torch

from pipeline.models.state_dicts import write_tensors
from pipeline.runtime.errors import WeightsError
from pipeline.segmentation.sam import ARCHITECTURES, build_sam, load_sam, random_tensors
from tests.mask_sources import crafted


def test_what_was_written_is_what_is_loaded(tmp_path: Path) -> None:
    """As safetensors and as the pickled state dict the authors publish; the buffers that no file holds are there."""
    tensors = random_tensors("tiny")
    write_tensors(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        model = load_sam(tmp_path / name, "tiny")
        assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in tensors.items())
        assert model.pixel_mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
        assert not model.training


def test_random_weights_are_the_same_every_time() -> None:
    """A trial can be repeated; the global generator is left alone."""
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one, other = random_tensors("tiny"), random_tensors("tiny")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(("name", "millions"), [("vit_b", 93.7), ("vit_l", 312.3), ("vit_h", 641.1), ("tiny", 0.11)])
def test_architectures_have_the_published_size(name: str, millions: float) -> None:
    """Parameters of the official checkpoints."""
    with torch.device("meta"):
        model = build_sam(ARCHITECTURES[name])  # type: ignore[index]
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


def test_a_file_that_wants_to_run_code_does_not(tmp_path: Path) -> None:
    """Refused, and nothing ran."""
    path = crafted(tmp_path / "evil.pth", touches=tmp_path / "ran")
    with pytest.raises(
        WeightsError, match=r"evil.pth: not a readable state dict .*fetch https://dl\S+vit_b_01ec64.pth"
    ):
        load_sam(path, "vit_b")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a zip", b"<html>"])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    """Whatever the damage and the format."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name}: not a readable state dict") as caught:
        load_sam(tmp_path / name, "vit_b")
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    """Cut in the middle of its tensors."""
    write_tensors(random_tensors("tiny"), tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="a.safetensors: not a readable state dict"):
        load_sam(tmp_path / "a.safetensors", "tiny")


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    """Other shapes, other names, or no tensors at all."""
    tensors = random_tensors("tiny")
    write_tensors(tensors, tmp_path / "tiny.safetensors")
    with pytest.raises(WeightsError, match="not the weights of SAM vit_b: .* correct masks.sam.architecture"):
        load_sam(tmp_path / "tiny.safetensors", "vit_b")
    del tensors["mask_decoder.iou_token.weight"]
    write_tensors(tensors, tmp_path / "less.safetensors")
    with pytest.raises(WeightsError, match="1 tensors differ, first mask_decoder.iou_token.weight"):
        load_sam(tmp_path / "less.safetensors", "tiny")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="other things than named tensors"):
        load_sam(tmp_path / "other.pth", "tiny")


def test_an_absent_file_names_the_official_one(tmp_path: Path) -> None:
    """The line says where to get it."""
    with pytest.raises(WeightsError, match=r"no such file; fetch \S+sam_vit_h_4b8939.pth \(2565 MB\)"):
        load_sam(tmp_path / "absent.pth", "vit_h")
