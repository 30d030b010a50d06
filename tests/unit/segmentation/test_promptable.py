"""Models of the package transformers as mask sources: true architectures of tiny size, files that the test writes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.datasets.prompts import Prompt
from pipeline.runtime.errors import ParamsError, WeightsError
from pipeline.segmentation.mask_source import MaskPrediction, NetworkSource
from pipeline.segmentation.proposals import CandidateSource, ProposalFilter, propose
from pipeline.segmentation.registry import open_text_source
from tests.mask_sources import SAM_DECODING, scene, tiny_promptable, tiny_text_sam3
from tests.meal import write_meal
from tests.small_run import write_small_run

transformers = pytest.importorskip("transformers", reason="requirements-transformers.txt was left out")
pytestmark = pytest.mark.slow

KINDS = ("sam2", "sam3", "sam_hq")
PROCESSORS = {"sam2": "Sam2Processor", "sam3": "Sam3TrackerProcessor", "sam_hq": "SamHQProcessor"}
BOXES = [Prompt("box", (10.0, 12.0, 60.0, 70.0)), Prompt("box", (50.0, 5.0, 120.0, 60.0))]
CLICKS = [Prompt("point", (30.0, 40.0)), Prompt("point", (90.0, 80.0))]
BOTH = [Prompt("box_point", (10.0, 12.0, 60.0, 70.0, 30.0, 40.0))]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one model."""
    return tiny_promptable(tmp_path_factory.mktemp("models") / request.param, request.param)


def opened(folder: Path, **decoding: int) -> NetworkSource:
    """Open a model."""
    from pipeline.segmentation.promptable import Promptable  # noqa: PLC0415

    own = SAM_DECODING.model_copy(update=decoding)
    return Promptable(folder, name=folder.name, device="cpu", decoding=own)


def same(one: list[MaskPrediction], other: list[MaskPrediction]) -> bool:
    """Tell whether masks are equal, and scores up to the rounding of other sums."""
    masks = all(np.array_equal(a.mask, b.mask) for a, b in zip(one, other, strict=True))
    return masks and np.allclose([a.score for a in one], [b.score for b in other], atol=1e-5)


def test_order_chunks_and_kinds_of_prompts_change_nothing(folder: Path) -> None:
    """Each prompt is answered as if it were alone."""
    prompts, photo = [BOXES[0], *CLICKS, *BOTH, BOXES[1]], scene()
    source = opened(folder)
    found = source.predict(photo, prompts)
    assert len({prediction.mask.tobytes() for prediction in found}) == len(prompts)
    assert all(prediction.mask.shape == photo.shape[:2] for prediction in found)
    assert same(source.predict(photo, prompts[::-1])[::-1], found)
    assert same(opened(folder, prompts_per_chunk=1).predict(photo, prompts), found)
    assert same([source.predict(photo, [prompt])[0] for prompt in prompts], found)


def test_a_photos_masks_do_not_depend_on_its_neighbours(folder: Path) -> None:
    """Photos of several sizes, some without prompts."""
    photos = [scene(96, 128, 1), scene(70, 50, 2), scene(64, 64, 3)]
    prompts = [BOXES, [Prompt("box", (5.0, 5.0, 40.0, 60.0))], []]
    source = opened(folder)
    together = source.predict_batch(photos, prompts)
    for photo, asked, found in zip(photos, prompts, together, strict=True):
        alone = source.predict(photo, asked)
        assert all(np.array_equal(a.mask, b.mask) and a.score == b.score for a, b in zip(alone, found, strict=True))


@pytest.mark.parametrize("prompts", [BOXES, CLICKS, BOTH], ids=["box", "point", "box_point"])
def test_masks_are_those_of_the_librarys_own_call(folder: Path, prompts: list[Prompt]) -> None:
    """Its processor scales prompts and masks; of a click's masks that of the highest predicted IoU wins."""
    photo, asked = scene(70, 128), {}
    if prompts[0].point:
        asked |= {"input_points": [[[list(prompt.point or ())] for prompt in prompts]]}
        asked |= {"input_labels": [[[1]] * len(prompts)]}
    if prompts[0].box:
        asked["input_boxes"] = [[list(prompt.box or ()) for prompt in prompts]]
    model = transformers.AutoModelForMaskGeneration.from_pretrained(folder)
    images = transformers.AutoImageProcessor.from_pretrained(folder)
    inputs = getattr(transformers, PROCESSORS[folder.name])(images)(images=photo, return_tensors="pt", **asked)
    asked = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in inputs.items()}
    sizes = [asked.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in asked]
    answer = model.eval()(**asked, multimask_output=prompts[0].kind == "point")
    masks = images.post_process_masks(answer.pred_masks.detach(), *sizes)[0].numpy()
    quality = answer.iou_scores[0].detach().numpy()
    assert quality.shape[1] == (3 if prompts[0].kind == "point" else 1)
    for found, own, scores in zip(opened(folder).predict(photo, prompts), masks, quality, strict=True):
        assert np.array_equal(found.mask, own[scores.argmax()])
        assert found.score == pytest.approx(np.clip(scores.max(), 0, 1), abs=1e-5)


def test_it_proposes_without_a_click(folder: Path) -> None:
    """Like SAM, under a grid of points."""
    assert propose(opened(folder), scene(), ProposalFilter(min_score=0))


@pytest.fixture(scope="module")
def text_sam3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a SAM 3 for text."""
    return tiny_text_sam3(tmp_path_factory.mktemp("models") / "sam3")


def finder(folder: Path, *texts: str, min_score: float = 0.0) -> CandidateSource:
    """Open it for texts."""
    return open_text_source(folder, texts, "cpu", min_score)


def test_what_a_text_finds_is_what_the_librarys_own_call_does(text_sam3: Path) -> None:
    """Pixel by pixel and score by score."""
    photo = scene(70, 128)
    model = transformers.Sam3Model.from_pretrained(text_sam3).eval()
    processor = transformers.Sam3Processor.from_pretrained(text_sam3)
    outputs = model(**processor(images=photo, text="red rice", return_tensors="pt"))
    (own,) = processor.post_process_instance_segmentation(outputs, threshold=0.0, target_sizes=[(70, 128)])
    found = finder(text_sam3, "red rice").candidates(photo)
    assert len(found) == len(own["masks"]) == 8
    assert len({each.mask.tobytes() for each in found}) > 1
    for each, mask, score in zip(found, own["masks"].numpy(), own["scores"].tolist(), strict=True):
        assert np.array_equal(each.mask, mask)
        assert each.score == pytest.approx(score, abs=1e-5)


def test_texts_and_photos_do_not_change_each_other(text_sam3: Path) -> None:
    """Each text finds what it finds alone, in any order, whatever photo came before."""
    photo = scene(96, 128, 1)
    alone = {text: finder(text_sam3, text).candidates(photo) for text in ("food", "rice")}
    assert alone["food"][0].mask.tobytes() != alone["rice"][0].mask.tobytes()
    for texts in (("food", "rice"), ("rice", "food")):
        both = finder(text_sam3, *texts)
        both.candidates(scene(50, 70, 2))
        assert same(both.candidates(photo), [each for text in texts for each in alone[text]])
    scores = sorted(each.score for each in alone["food"])
    least = (scores[3] + scores[4]) / 2
    assert len(finder(text_sam3, "food", min_score=least).candidates(photo)) == 4


def test_predict_answers_for_what_a_text_finds_or_says_that_it_is_nothing(text_sam3: Path, tmp_path: Path) -> None:
    """From the command line; a photo without a food has its picture and its record, too."""
    run, photo = write_small_run(tmp_path / "run", ("roi", "extra_roi")), str(write_meal(tmp_path / "photos").photo)
    command = ["predict", photo, "--run", str(run), "--text", "food", "--mask-weights", str(text_sam3)]
    command += ["--device", "cpu", "--out", str(tmp_path / "out")]
    every = [
        word for name in ("min_score=0", "min_share=0", "max_share=1", "max_border=1") for word in ("--filter", name)
    ]
    found = CliRunner().invoke(app, [*command, *every, "--format", "json"], catch_exceptions=False)
    (record,) = json.loads(found.stdout)
    assert [food["found_by"] for food in record["foods"]][:1] == ["sam3"]
    nothing = CliRunner().invoke(app, [*command, "--filter", "min_score=1"], catch_exceptions=False)
    assert nothing.stdout.endswith(f"{photo}: no food found\n")
    listed = json.loads((tmp_path / "out/coco.json").read_text())
    assert [len(listed[name]) for name in ("images", "annotations")] == [1, 0]
    assert (tmp_path / "out/meal-foods.png").is_file()


def test_text_that_cannot_be_looked_for_is_refused(text_sam3: Path, folder: Path) -> None:
    """Nothing, a novel, a network that takes no text: one line each."""
    for text in (" ", "rice " * 40):
        with pytest.raises(ParamsError, match="name what is to be found in a few words"):
            finder(text_sam3, text)
    with pytest.raises(WeightsError, match="no SAM 3 that finds what a text names|not the weights of a Sam3Model"):
        finder(folder, "food")


def test_without_the_package_text_is_refused(text_sam3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "pipeline.segmentation.promptable")
    monkeypatch.delattr("pipeline.segmentation.promptable")
    with pytest.raises(ParamsError, match="pip install -r requirements-transformers.txt"):
        finder(text_sam3, "food")


def test_a_folder_that_is_no_such_model_is_refused(tmp_path: Path) -> None:
    """Nothing there, another network, a damaged file, a missing tensor, a pickle: one line each."""
    folder = tiny_promptable(tmp_path / "sam2", "sam2")
    config, weights = (folder / "config.json").read_text(), folder / "model.safetensors"
    with pytest.raises(WeightsError, match="no model of transformers that takes clicks and boxes"):
        opened(tmp_path)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(WeightsError, match="no model of transformers that takes clicks and boxes"):
        opened(folder)
    (folder / "config.json").write_text(config.replace('"mlp_dim": 16', '"mlp_dim": 32'))
    with pytest.raises(WeightsError, match="not the weights of a Sam2Model|no model of transformers"):
        opened(folder)
    (folder / "config.json").write_text(config)
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="no model of transformers that takes clicks and boxes") as caught:
        opened(folder)
    assert "\n" not in str(caught.value)
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="no model of transformers that takes clicks and boxes"):
        opened(folder)
