"""What differs between the setting of our runs and the paper's, and whether numbers can then be subtracted.

A difference to the paper is given only where data set, size of the pictures and pre-trained backbones are the paper's.
Photos of the added categories, epochs, recipe and masks may be others: they are what a study varies, and are named.
The paper's setting is in arXiv 2407.08257, sections 3.1 and 4.1.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import NamedTuple

from pipeline.datasets.foodseg103 import CATEGORIES, COUNTS
from pipeline.datasets.statistics import IndexSummary
from pipeline.params.model import TrainParams
from pipeline.reporting.results import PAPER_SIDE, RunRecord
from pipeline.runtime.errors import counted

ARCHITECTURES = {
    "mobilenetv2": "mobilenetv2_100",
    "vit": "vit_base_patch16_224",
    "mixer": "mixer_b16_224",
    "deit": "deit_base_patch16_224",
    "deit_distilled": "deit_base_distilled_patch16_224",
}
"""timm's architecture of the paper's backbones, by our name."""
ADDED = {"ketchup": (69, 38), "chili paste": (72, 34)}  # train and test photos of what the paper added to FoodSeg103
EPOCHS = 30
RECIPE: Mapping[str, object] = {
    "batch_size": 50, "optimizer": "adam", "learning_rate": 4e-3, "schedule": "released", "hidden": 640,
    "features": "logits", "normalize": "none", "joint_flip": False, "pairing": "by_photo", "share_branches": True,
}  # fmt: skip
"""Further values of section `train` in the paper and its released code."""


class Deviations(NamedTuple):
    """What differs from the paper's setting, one phrase each; decisive are data, size and backbones."""

    decisive: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def joined(self, other: "Deviations") -> "Deviations":
        """Return those of both, each once."""
        return Deviations(*(tuple(dict.fromkeys(one + two)) for one, two in zip(self, other, strict=True)))


def official_counts(data: IndexSummary) -> dict[str, tuple[int, int]]:
    """Return photos and samples by official split, drawn validation photos in train, without extra categories."""
    counts = {}
    for split, parts in (("train", ("train", "validation")), ("test", ("test",))):
        found = [data.splits[part] for part in parts if part in data.splits]
        # Photos of extra categories show one food each.
        extra = sum(getattr(category, part) for category in data.categories if category.extra for part in parts)
        counts[split] = (sum(part.photos for part in found) - extra, sum(part.samples for part in found) - extra)
    return counts


def data_deviations(data: IndexSummary) -> Deviations:
    """Compare a data set with the paper's: FoodSeg103 as released, and photos of two categories beside it."""
    counts, names = official_counts(data), {category.name for category in data.categories if not category.extra}
    decisive, others = [], []
    for split, official in COUNTS.items():
        found = zip(("photos", "samples"), counts[split], official, strict=True)
        unlike = [f"{ours:,} {split} {what} (paper: {paper:,})" for what, ours, paper in found if ours != paper]
        decisive += unlike[:1]
    if beyond := len(names - {*CATEGORIES}):
        decisive.append(f"{beyond} of {counted(len(names), 'category', 'categories')} not FoodSeg103's")
    elif len(names) < len(CATEGORIES) - 1:
        decisive.append(f"{len(names)} categories (paper: {len(CATEGORIES) - 1} and two added)")
    added = {c.name: (c.train + c.validation, c.test) for c in data.categories if c.extra}
    if not decisive and added != ADDED:
        others.append(f"photos of {' and '.join(added) or 'no category'} added (paper: of {' and '.join(ADDED)})")
    if "validation" in data.splits:
        others.append(f"{data.splits['validation'].photos:,} train photos held back (paper: none)")
    return Deviations(tuple(decisive), tuple(others))


def run_deviations(run: RunRecord, masks: str) -> Deviations:
    """Compare size, backbones, recipe and the masks that a run was evaluated on with the paper's."""
    decisive = [f"{run.image_size} px (paper: {PAPER_SIDE})"] if run.image_size != PAPER_SIDE else []
    for card in run.backbones.values():
        architecture = (card.timm or "").partition(".")[0]
        if architecture != ARCHITECTURES.get(card.name, architecture):
            decisive.append("other backbones")
        if card.source == "none":
            decisive.append("no pre-trained weights")
    # files leave some defaults out
    recipe = {key: run.train.get(key, TrainParams.model_fields[key].default) for key in ("epochs", *RECIPE)}
    others = [] if recipe["epochs"] == EPOCHS else [f"{recipe['epochs']} epochs (paper: {EPOCHS})"]
    unlike = [key for key, paper in RECIPE.items() if recipe[key] != paper]
    if unlike:
        others.append(f"other {', '.join(unlike)}")
    if masks != "annotation":
        others.append(f"masks from {masks} (paper: annotation)")
    return Deviations(tuple(dict.fromkeys(decisive)), tuple(others))


def setting_line(deviations: Iterable[Deviations]) -> str:
    """Return in one line what differs from the paper's setting in some runs; empty where nothing does."""
    found = list(deviations)
    whole = reduce(Deviations.joined, found, Deviations())
    if whole == Deviations():
        return ""
    line = f"Not the paper's setting: {'; '.join(whole.decisive + whole.others)}."
    if not whole.decisive:
        return line
    which = "" if all(one.decisive for one in found) else " where data, size or backbones are others"
    return f"{line} So no difference to the paper is given{which}."
