"""Stage vote on a small real folder and a tiny SegFormer."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from pipeline.datasets.index import read_samples
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.predictions import read_predictions
from pipeline.params.masks import VoteModelParams, VotePlan, VoteSummary
from pipeline.params.stages import IndexParams, SegmentParams
from pipeline.reporting.extensions import read_vote_results
from pipeline.runtime.errors import ParamsError, WeightsError
from pipeline.steps.index import build_index
from pipeline.steps.segment import write_masks
from pipeline.steps.vote import vote
from tests.mask_sources import tiny_segmenter
from tests.raw_folder import RawFolder, save

pytestmark = pytest.mark.slow

LABELS = ("background", "Bread", "Rice", "spoon")
COLOURS = np.array([[20, 20, 20], [220, 40, 40], [40, 220, 40], [40, 40, 220]], np.uint8)
"""Of background, bread, rice and sauce."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make photos in which each food has its colour, their index and their annotated masks."""
    folder = tmp_path_factory.mktemp("data")
    raw = RawFolder(folder / "raw")
    for number in range(6):
        labels = np.zeros((64, 96), np.uint8)
        labels[8:56, 8:40], labels[8:56, 56:88] = 1 + number % 2, 2 - number % 2
        if number == 5:
            labels[8:56, 8:40] = 7
        split, stem = "test" if number > 1 else "train", f"{number:08}"
        raw.add(split, stem, labels)
        save(COLOURS[np.where(labels == 7, 3, labels)], raw.photo(split, stem))
    build_index(IndexParams(on_error="fail", tiny_area=0), raw=raw.path, index=folder / "index", workers=1)
    segmenting, samples = SegmentParams(source="annotation", photos_per_file=3), folder / "index/samples.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        write_masks(segmenting, raw=raw.path, samples=samples, masks=folder / "masks/annotation", workers=1)
    return folder


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a SegFormer whose classifier is solved for: it knows which colour is bread and which is rice."""
    transformers = pytest.importorskip("transformers", reason="requirements-transformers.txt was left out")
    folder = tiny_segmenter(tmp_path_factory.mktemp("models") / "knowing", LABELS)
    model = transformers.SegformerForSemanticSegmentation.from_pretrained(folder).eval()
    images = transformers.AutoImageProcessor.from_pretrained(folder)
    seen: list[torch.Tensor] = []
    model.decode_head.classifier.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    labels = np.zeros((4, 64, 96), np.uint8)
    for place, (left, right) in enumerate([(1, 2), (2, 1), (1, 1), (2, 2)]):
        labels[place, 8:56, 8:40], labels[place, 8:56, 56:88] = left, right
    with torch.no_grad():
        model(pixel_values=images(images=list(COLOURS[labels]), return_tensors="pt")["pixel_values"])
        features = seen[0].permute(0, 2, 3, 1)  # of 16 x 16 cells
        cells = torch.from_numpy(labels[:, 2::4, 3::6].copy()).long()
        rows = torch.cat([features.flatten(0, 2), torch.ones(cells.numel(), 1)], dim=1)
        solved = torch.linalg.lstsq(rows, torch.eye(len(LABELS))[cells.flatten()], driver="gelsd").solution
        model.decode_head.classifier.weight.copy_(solved[:-1].T[:, :, None, None])
        model.decode_head.classifier.bias.copy_(solved[-1])
    model.save_pretrained(folder)
    return folder


def vote_of(data: Path, model: str, output: Path) -> Path:
    """Run the step; return the folder it wrote."""
    vote(
        VoteModelParams(model=model),
        name="mine",
        raw=data / "raw",
        samples=data / "index/samples.parquet",
        masks=data / "masks/annotation",
        output=output / "mine",
        device="cpu",
    )
    return output / "mine"


def test_a_model_that_knows_the_foods_is_right_about_all_it_has_a_label_for(
    data: Path, knowing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of eight test samples one is sauce, for which there is no label; the report gets intervals from the table."""
    folder = vote_of(data, str(knowing), tmp_path)
    table = read_predictions(folder / "predictions.parquet")
    samples = [sample for sample in read_samples(data / "index/samples.parquet") if sample.split == "test"]
    assert table.sample_ids == tuple(sample.sample_id for sample in samples)
    assert table.targets.tolist() == [sample.target for sample in samples]
    assert table.class_names == ("bread", "rice", "sauce")
    right = table.predictions == table.targets
    assert right.tolist() == [sample.category != "sauce" for sample in samples]
    assert np.allclose(np.exp(table.logits).sum(axis=1), 1, atol=1e-5)
    summary = VoteSummary.model_validate_json((folder / "vote.json").read_bytes())
    assert (summary.model, summary.architecture, summary.source) == ("knowing", "segformer", "annotation")
    assert (summary.samples, summary.top1) == (8, 0.875)
    assert summary.labels_without_category == ("background", "spoon")
    assert summary.categories_without_label == ("sauce",)
    assert "labels that are no category: background, spoon\n" in capsys.readouterr().err
    VotePlan(models=("mine", "not_run")).write(tmp_path / "plan.json")
    (found,) = read_vote_results(tmp_path, (), Bootstrap(0, resamples=200))
    assert found.top1.low < found.top1.value == 0.875 < found.top1.high
    assert found.predictions[samples[0].sample_id] == samples[0].category
    assert read_vote_results(data, (), Bootstrap(0)) == ()


def test_the_same_inputs_give_the_same_bytes(data: Path, knowing: Path, tmp_path: Path) -> None:
    """Of both files."""
    one, two = (vote_of(data, str(knowing), tmp_path / name) for name in ("one", "two"))
    for name in ("vote.json", "predictions.parquet"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("absent", "vote.models.mine.model: absent: no such folder; give one, or a repository owner/name of the hub"),
        ("owner/name", r"the hub cannot be reached and owner/name .main. is not cached; .*set vote.models.mine.model"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, message: str
) -> None:
    """No folder, no hub."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match=message) as caught:
        vote_of(data, model, tmp_path)
    assert "\n" not in str(caught.value)


def test_without_the_package_one_line_says_what_installs_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else of the graph needs it."""
    for name in ("semantic", "promptable"):
        monkeypatch.delitem(sys.modules, f"pipeline.segmentation.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "transformers", None)
    expected = (
        "vote.models.mine: the package transformers is not installed; `pip install -r requirements-transformers.txt`"
    )
    with pytest.raises(ParamsError, match=expected):
        vote_of(data, "owner/name", tmp_path)
