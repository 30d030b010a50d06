"""FastSAM by a network of 0.25 M parameters, and ultralytics kept to itself."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

if importlib.util.find_spec("ultralytics") is None:  # importing it here would bypass its containment
    pytest.skip("ultralytics (AGPL-3.0) was left out", allow_module_level=True)

import torch

from pipeline.datasets.prompts import Prompt
from pipeline.imaging.decode import ORIENTATION_TAG, read_photo
from pipeline.runtime.errors import PhotoError, WeightsError
from pipeline.segmentation.fastsam import FastSam, load_fastsam, write_random
from pipeline.segmentation.mask_source import MaskSource
from pipeline.segmentation.proposals import CandidateSource
from tests.mask_sources import FASTSAM_DECODING, crafted, scene, tiny_fastsam

PROMPTS = [
    Prompt("box", (20.0, 10.0, 60.0, 50.0)),
    Prompt("point", (64.0, 48.0)),
    Prompt("box", (90.0, 70.0, 95.0, 75.0)),
]
SIDEWAYS = 6
"""EXIF orientation of a camera held upright."""
CONTAINED = """
import sys, torch
from pathlib import Path
from tests.mask_sources import FASTSAM_DECODING, scene
torch.set_num_threads(2)
from pipeline.segmentation.fastsam import FastSam
from pipeline.datasets.prompts import Prompt
source = FastSam(Path(sys.argv[1]), device="cpu", decoding=FASTSAM_DECODING)
source.predict(scene(), [Prompt("point", (64.0, 48.0))])
assert torch.get_num_threads() == 2, torch.get_num_threads()
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the weights once."""
    return tiny_fastsam(tmp_path_factory.mktemp("fastsam"))


@pytest.fixture(scope="module")
def source(weights: Path) -> FastSam:
    """Open them once."""
    return FastSam(weights, device="cpu", decoding=FASTSAM_DECODING)


def test_every_prompt_has_one_answer_of_the_photos_size(source: FastSam) -> None:
    """The face of every source, also where nothing fits."""
    answers = source.predict(scene(), PROMPTS)
    assert isinstance(source, MaskSource)
    assert [answer.mask.shape for answer in answers] == [(96, 128)] * 3
    assert all((answer.score == 0) != answer.mask.any() for answer in answers)
    assert answers[1].mask[48, 64]


def test_the_network_runs_once_a_photo_however_many_prompts(source: FastSam) -> None:
    """A hook counts."""
    passes: list[int] = []
    network = source.network.predictor.model
    handle = network.register_forward_hook(lambda _, inputs, __: passes.append(len(inputs[0])))
    source.predict_batch([scene(), scene(seed=1)], [PROMPTS * 5, PROMPTS])
    handle.remove()
    assert passes == [1, 1]


def test_every_mask_of_a_photo_is_proposed(source: FastSam) -> None:
    """In one pass, not those under a grid of clicks."""
    (detected,) = source.detect([scene()])
    found = source.candidates(scene())
    assert [each.score for each in found] == detected.confidences.tolist()
    assert np.array_equal([each.mask for each in found], detected.masks)
    assert isinstance(source, CandidateSource)


def test_order_of_prompts_is_order_of_answers(source: FastSam) -> None:
    """Each answer belongs to its prompt."""
    forth, back = source.predict(scene(), PROMPTS), source.predict(scene(), PROMPTS[::-1])
    for answer, same in zip(forth, reversed(back), strict=True):
        np.testing.assert_array_equal(answer.mask, same.mask)


def test_red_is_not_taken_for_blue(source: FastSam) -> None:
    """Ultralytics takes arrays for BGR and pictures for RGB; ours are those of the picture."""
    (found,) = source.detect([scene()])
    settings = source.decoding
    (expected,) = source.network.predict(
        Image.fromarray(scene()), imgsz=settings.image_size, conf=settings.confidence, iou=settings.iou,
        max_det=settings.max_masks, retina_masks=True, rect=False, device="cpu", save=False, verbose=False,
    )  # fmt: skip
    np.testing.assert_array_equal(found.masks, expected.masks.data.numpy().astype(bool))
    (swapped,) = source.detect([scene()[..., ::-1].copy()])
    assert found.confidences.tolist() != swapped.confidences.tolist()


def test_a_photo_on_its_side_is_seen_upright(source: FastSam, tmp_path: Path) -> None:
    """EXIF orientation and upright pixels give the same masks."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = SIDEWAYS
    Image.fromarray(np.rot90(scene())).save(tmp_path / "sideways.png", exif=exif)
    Image.fromarray(scene()).save(tmp_path / "upright.png")
    one, other = (next(source.detect([read_photo(tmp_path / f"{name}.png")])) for name in ("sideways", "upright"))
    np.testing.assert_array_equal(one.masks, other.masks)


@pytest.mark.parametrize("together", [1, 3])
def test_a_photo_gives_the_same_masks_alone_and_in_company(weights: Path, together: int) -> None:
    """Neither the passes of a CPU nor one batch of mixed shapes lets photos change each other."""
    photos = [scene(), scene(height=60), scene(width=70)]
    opened = FastSam(weights, device="cpu", decoding=FASTSAM_DECODING)
    results = opened._forward(photos) if together > 1 else [opened._forward([photo])[0] for photo in photos]
    for photo, result in zip(photos, results, strict=True):
        (alone,) = opened.detect([photo])
        masks = result.masks.data.numpy().astype(bool)
        assert masks.shape == alone.masks.shape
        assert (masks ^ alone.masks).sum(axis=(1, 2)).max() <= 3


def test_random_weights_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    """A stand-in can be shared like real weights."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_random("tiny", tmp_path / folder / "model.pt")
    assert (tmp_path / "a/model.pt").read_bytes() == (tmp_path / "b/model.pt").read_bytes()


def test_a_file_that_wants_to_run_code_does_not(tmp_path: Path) -> None:
    """Refused in one line, and nothing ran."""
    path = crafted(tmp_path / "evil.pt", touches=tmp_path / "ran")
    with pytest.raises(WeightsError, match=r"evil.pt: not a readable FastSAM file .*fetch \S+FastSAM-s.pt") as caught:
        load_fastsam(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a zip", b"<html>", None])
def test_damaged_and_absent_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    """Ultralytics would look for an absent one in the network."""
    path = tmp_path / "FastSAM-s.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"FastSAM-s.pt: (no such|not a readable).*fetch https://"):
        load_fastsam(path)
    assert path.exists() == (content is not None)


def test_a_truncated_file_is_refused(weights: Path, tmp_path: Path) -> None:
    """Cut in the middle."""
    whole = weights.read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="half.pt: not a readable FastSAM file"):
        load_fastsam(tmp_path / "half.pt")


def test_other_things_than_a_network_are_refused(tmp_path: Path) -> None:
    """A state dict is no FastSAM."""
    torch.save({"model": {"a": torch.zeros(2)}}, tmp_path / "dict.pt")
    with pytest.raises(WeightsError, match="dict.pt: not a readable FastSAM file"):
        load_fastsam(tmp_path / "dict.pt")


def test_what_ultralytics_replaces_for_the_whole_process_is_put_back(source: FastSam, tmp_path: Path) -> None:
    """A picture that is none is refused as everywhere, and no package is looked for."""
    assert source.name == "fastsam"
    assert (Image.open.__module__, torch.save.__module__) == ("PIL.Image", "torch.serialization")
    (tmp_path / "page.jpg").write_text("<html>")
    with pytest.raises(PhotoError, match="a web page"):
        read_photo(tmp_path / "page.jpg")


def test_nothing_leaves_the_project(weights: Path, tmp_path: Path, root: Path) -> None:
    """Without network and with an empty home it runs, and leaves no file in home, working or temporary directory."""
    places = {name: tmp_path / name for name in ("HOME", "TMPDIR", "cwd")}
    for place in places.values():
        place.mkdir()
    command = [sys.executable, "-c", CONTAINED, str(weights)]
    if shutil.which("unshare") and subprocess.run(["unshare", "-rn", "true"], check=False).returncode == 0:  # noqa: S607
        command = ["unshare", "-rn", *command]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {name: str(places[name]) for name in ("HOME", "TMPDIR")}
    done = subprocess.run(command, cwd=places["cwd"], env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert [path for place in places.values() for path in place.rglob("*") if path.is_file()] == []


def test_a_file_by_another_ending_is_not_called_absent(tmp_path: Path) -> None:
    """It is there; ultralytics reads only .pt."""
    (tmp_path / "w.pth").write_bytes(b"weights")
    with pytest.raises(WeightsError, match=r"w.pth: FastSAM's weights are a file with the ending .pt; rename it"):
        load_fastsam(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"absent.pth: no such file"):
        load_fastsam(tmp_path / "absent.pth")
