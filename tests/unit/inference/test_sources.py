"""Mask sources by name, without the graph."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.prompts import Prompt
from pipeline.inference.regions import open_mask_source
from pipeline.runtime.errors import ParamsError, WeightsError
from pipeline.segmentation.weights import CARD, MaskWeightsCard
from tests.raw_folder import noise


def test_grabcut_needs_nothing() -> None:
    """And takes no weights."""
    assert open_mask_source("grabcut", None, "cpu").name == "grabcut"
    with pytest.raises(ParamsError, match="grabcut needs none"):
        open_mask_source("grabcut", Path("sam.pth"), "cpu")


def test_the_message_names_the_published_files() -> None:
    """So that one knows what to fetch."""
    with pytest.raises(ParamsError, match=r"--masks sam needs weights.*sam_vit_b_01ec64.pth"):
        open_mask_source("sam", None, "cpu")
    with pytest.raises(ParamsError, match=r"--masks fastsam needs weights.*FastSAM-s.pt"):
        open_mask_source("fastsam", None, "cpu")


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    """Published files are known by size and hash; the architecture is in the name."""
    (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(b"short")
    with pytest.raises(WeightsError, match="5 bytes, the official file has 375042383"):
        open_mask_source("sam", tmp_path / "sam_vit_b_01ec64.pth", "cpu")
    (tmp_path / "mine.pth").write_bytes(b"short")
    with pytest.raises(ParamsError, match="the name says no architecture"):
        open_mask_source("sam", tmp_path / "mine.pth", "cpu")
    with pytest.raises(WeightsError, match="no such file"):
        open_mask_source("sam", tmp_path / "absent_vit_b.pth", "cpu")


def test_a_folder_of_the_stage_says_itself_what_it_holds(tmp_path: Path) -> None:
    """The stand-in of SAM answers a click; asked for as FastSAM, it is refused."""
    pytest.importorskip("segment_anything", reason="SAM's package is optional")
    import safetensors.torch  # noqa: PLC0415

    from pipeline.segmentation.sam import random_tensors  # noqa: PLC0415

    safetensors.torch.save_file(random_tensors("tiny"), tmp_path / "sam.safetensors")
    facts = {"file": None, "sha256": None, "licence": None, "stored": "sam.safetensors"}
    MaskWeightsCard(source="sam", architecture="tiny", origin="random", **facts).write(tmp_path / CARD)
    source = open_mask_source("sam", tmp_path, "cpu")
    (answer,) = source.predict(noise(40, 60, 0), [Prompt("point", (30.0, 20.0))])
    assert answer.mask.shape == (40, 60)
    assert np.isfinite(answer.score)
    with pytest.raises(ParamsError, match="weights of sam, not of fastsam"):
        open_mask_source("fastsam", tmp_path, "cpu")
