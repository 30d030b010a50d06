"""Semantic segmentation models of the package transformers: true architectures of tiny size, files that tests write."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.arrays import Image, Mask
from pipeline.runtime.errors import WeightsError
from tests.mask_sources import scene, tiny_segmenter

transformers = pytest.importorskip("transformers", reason="requirements-transformers.txt was left out")
pytestmark = pytest.mark.slow

LABELS = ("Background", "Chicken_Duck", "sauce", "no food", "Rice")
CATEGORIES = ("rice", "sauce", "chicken duck", "soup")


@pytest.fixture(scope="module", params=["segformer", "beit", "mobilevit"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one model."""
    return tiny_segmenter(tmp_path_factory.mktemp("models") / request.param, LABELS, kind=request.param)


def opened(folder: Path, categories: tuple[str, ...] = CATEGORIES) -> "SemanticModel":  # noqa: F821
    """Open a model."""
    from pipeline.segmentation.semantic import SemanticModel  # noqa: PLC0415

    return SemanticModel(folder, categories, device=torch.device("cpu"), key="vote.models.mine")


def quarters(photo: Image) -> list[Mask]:
    """Return masks of four quarters of a photo."""
    height, width = (side // 2 for side in photo.shape[:2])
    masks = np.zeros((4, *photo.shape[:2]), np.bool_)
    masks[0, :height, :width] = masks[1, :height, width:] = masks[2, height:, :width] = masks[3, height:, width:] = True
    return list(masks)


def test_pixels_vote_as_the_library_labels_them(folder: Path) -> None:
    """Every pixel of a mask, for the label of the highest logit among those that name a category."""
    photo = scene(70, 100)
    model = transformers.AutoModelForSemanticSegmentation.from_pretrained(folder).eval()
    images = transformers.AutoImageProcessor.from_pretrained(folder, do_center_crop=False)
    answer = model(pixel_values=images(images=photo, return_tensors="pt")["pixel_values"])
    named = {1: 2, 2: 1, 4: 0}
    answer.logits = answer.logits.detach()[:, list(named)]
    labels = images.post_process_semantic_segmentation(answer, target_sizes=[photo.shape[:2]])[0].numpy()
    masks, voter = quarters(photo), opened(folder)
    votes = voter.count_votes(photo, masks)
    assert votes.shape == (4, len(CATEGORIES))
    for mask, row in zip(masks, votes, strict=True):
        expected = dict.fromkeys(range(len(CATEGORIES)), 0)
        for place, target in enumerate(named.values()):
            expected[target] = int((labels[mask] == place).sum())
        assert row.tolist() == list(expected.values())
    assert (voter.unmatched, voter.targets) == (("Background", "no food"), named)


def test_neither_order_nor_neighbours_change_a_vote(folder: Path) -> None:
    """Of masks as of photos."""
    model, photos = opened(folder), [scene(70, 100, 1), scene(64, 40, 2)]
    found = [model.count_votes(photo, quarters(photo)) for photo in photos]
    for photo, votes in reversed([*zip(photos, found, strict=True)]):
        assert np.array_equal(model.count_votes(photo, quarters(photo)[::-1]), votes[::-1])
        assert np.array_equal(model.count_votes(photo, quarters(photo)[1:2]), votes[1:2])


def test_names_match_but_for_case_and_punctuation() -> None:
    """Two labels may name one category; of categories that differ in nothing else the first is meant."""
    from pipeline.segmentation.semantic import match_labels  # noqa: PLC0415

    labels = {0: "background", 1: "French-Beans", 2: "french beans", 3: "Crêpe"}
    assert match_labels(labels, ("french_beans", "French beans", "crêpe")) == {1: 0, 2: 0, 3: 2}


def test_a_model_that_names_no_category_or_segments_nothing_is_one_line(folder: Path, tmp_path: Path) -> None:
    """It says what the labels are, and what the categories."""
    with pytest.raises(WeightsError) as caught:
        opened(folder, ("pizza", "cake"))
    assert str(caught.value) == (
        "vote.models.mine.model: none of its 5 labels (Background, Chicken_Duck, sauce, no food, Rice, ...) is a "
        "category of the data set (pizza, cake, ...); choose a model of these categories, or name its labels so in "
        "id2label of its config.json"
    )
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(WeightsError, match="no semantic segmentation model of transformers") as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)
