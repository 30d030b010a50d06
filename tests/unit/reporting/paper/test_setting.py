"""What is said to differ from the paper's setting, and what makes numbers incomparable."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets.foodseg103 import CATEGORIES, COUNTS
from pipeline.datasets.statistics import CategoryCount, IndexSummary
from pipeline.reporting.paper.setting import (
    ADDED,
    ARCHITECTURES,
    RECIPE,
    Deviations,
    data_deviations,
    run_deviations,
    setting_line,
)
from pipeline.reporting.results import RunRecord

ROOT = Path(__file__).parents[4]
VIT = {"timm": "vit_base_patch16_224.augreg_in1k", "source": "hub", "name": "vit"}


def category(number: int, name: str, train: int, test: int, *, extra: bool = False) -> CategoryCount:
    """Return a category with samples."""
    return CategoryCount(id=number, name=name, target=number - 1, extra=extra, train=train, test=test)


def data_set(
    counts: dict[str, tuple[int, int]] = COUNTS,
    added: dict[str, tuple[int, int]] = ADDED,
    names: tuple[str, ...] = CATEGORIES[1:],
    validation: int = 0,
) -> IndexSummary:
    """Return the summary of a data set with so many photos and samples, without those of added categories."""
    photos = {split: counts[split][0] + sum(pair[split == "test"] for pair in added.values()) for split in counts}
    samples = {split: counts[split][1] + sum(pair[split == "test"] for pair in added.values()) for split in counts}
    photos["train"], samples["train"] = photos["train"] - validation, samples["train"] - validation
    if validation:
        photos["validation"] = samples["validation"] = validation
    categories = [category(i + 1, name, 9, 9) for i, name in enumerate(names)]
    categories += [category(len(categories) + 1, name, *pair, extra=True) for name, pair in added.items()]

    class Split:  # the fields that are read
        def __init__(self, split: str) -> None:
            self.photos, self.samples = photos[split], samples[split]

    return IndexSummary.model_construct(splits={split: Split(split) for split in photos}, categories=tuple(categories))


def record(backbones: dict[str, dict[str, Any]] | None = None, size: int = 224, **train: Any) -> RunRecord:
    """Return the record of a run in the paper's setting, but for what is given."""
    blank = {"options": {}, "mean": [0.5] * 3, "std": [0.5] * 3, "input_size": 224}
    blank |= dict.fromkeys(("file", "revision", "sha256", "licence"))
    values = {
        "class_names": ["rice"],
        "image_size": size,
        "train": {"epochs": 30, **RECIPE, **train},
        "shards_sha256": "",
        "backbones": {branch: {**blank, **card} for branch, card in (backbones or {"roi": VIT}).items()},
        "weights_sha256": "",
        "epochs_done": 30,
        "calibration": {"temperature": 1.0, "fitted_on": None},
    }
    return RunRecord.model_validate_json(json.dumps(values))


def test_the_papers_own_setting_differs_in_nothing() -> None:
    """The released data with its added photos, at 224, under the released recipe; nothing is said then."""
    assert data_deviations(data_set()) == Deviations()
    assert run_deviations(record(), "annotation") == Deviations()
    assert setting_line([Deviations(), Deviations()]) == ""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (data_set({"train": (1500, 5000), "test": COUNTS["test"]}), ("1,500 train photos (paper: 4,983)",)),
        (data_set({"train": COUNTS["train"], "test": (2135, 7000)}), ("7,000 test samples (paper: 7,697)",)),
        (data_set(names=CATEGORIES[1:90]), ("89 categories (paper: 103 and two added)",)),
        (data_set(names=(*CATEGORIES[1:90], "pixels")), ("1 of 90 categories not FoodSeg103's",)),
    ],
)  # fmt: skip
def test_other_data_are_decisive(data: IndexSummary, said: tuple[str, ...]) -> None:
    """Photos, samples or categories."""
    assert data_deviations(data).decisive == said


def test_data_without_the_papers_own_photos_are_the_released_ones() -> None:
    """Nobody has the photos that it added; a validation split is said, and counts as train photos."""
    found = data_deviations(data_set(added={}, validation=498))
    assert found.decisive == ()
    assert found.others == (
        "photos of no category added (paper: of ketchup and chili paste)",
        "498 train photos held back (paper: none)",
    )


@pytest.mark.parametrize(
    ("run", "decisive", "others"),
    [
        (record(size=96), ("96 px (paper: 224)",), ()),
        (record({"roi": {**VIT, "source": "none"}, "extra_roi": {**VIT, "source": "none"}}),
         ("no pre-trained weights",), ()),
        (record({"roi": {**VIT, "timm": "vit_tiny_patch16_224"}}),
         ("other backbones",), ()),
        (record({"roi": {**VIT, "name": "beit", "timm": "beit_base"}}), (), ()),  # not in the paper's tables
        (record(epochs=6, joint_flip=True), (),
         ("6 epochs (paper: 30)", "other joint_flip")),
    ],
)  # fmt: skip
def test_size_and_backbones_are_decisive_and_the_recipe_is_not(
    run: RunRecord, decisive: tuple[str, ...], others: tuple[str, ...]
) -> None:
    """Each is said with the paper's value."""
    assert run_deviations(run, "annotation") == (decisive, others)
    assert run_deviations(run, "sam").others == (*others, "masks from sam (paper: annotation)")


def test_a_line_says_which_numbers_have_no_difference() -> None:
    """All of a table, or those of some runs."""
    small, plain = Deviations(("96 px (paper: 224)",)), Deviations((), ("masks from sam (paper: annotation)",))
    said = "Not the paper's setting: 96 px (paper: 224); masks from sam (paper: annotation). So no difference to the "
    assert setting_line([small, plain]) == f"{said}paper is given where data, size or backbones are others."
    assert setting_line([small, small.joined(plain)]) == f"{said}paper is given."
    assert setting_line([plain]) == "Not the paper's setting: masks from sam (paper: annotation)."


def test_the_architectures_are_those_of_params_yaml() -> None:
    """Outside of the demo, the default backbones are the paper's."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for name, architecture in ARCHITECTURES.items():
        section = text[text.index(f"\n  {name}:\n") :]
        assert f"timm: {{default: {architecture}" in section[: section.index("weights:")]
