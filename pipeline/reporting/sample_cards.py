"""One sample as pictures with a caption: the photo, where the food is, and what each branch sees."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.arrays import Image, Logits
from pipeline.datasets.samples import Sample
from pipeline.reporting.pictures import Picture, fit_mask, highlight, picture, shrink
from pipeline.reporting.sample_choice import Views

LONGEST = 300
"""Pixels of a photo on the page."""
TOP = 3
"""Guesses listed a run."""


class Guess(NamedTuple):
    """One of a run's answers."""

    category: str
    probability: float
    """Softmax, in [0, 1]."""


class Answer(NamedTuple):
    """What one run says about a sample."""

    run: str
    """Label of the run."""
    right: bool
    guesses: tuple[Guess, ...]
    """Most probable first."""


class SampleCard(NamedTuple):
    """One sample of the page."""

    sample_id: str
    category: str
    ambiguous: bool
    """Whether it belongs to the ambiguous pair."""
    share: float
    """Mask area over photo area, in [0, 1]."""
    pictures: tuple[tuple[str, Picture], ...]
    """Title and picture: photo, mask, ROI, extra-ROI."""
    answers: tuple[Answer, ...]
    """Answers of the compared runs; none on the contact sheet."""


def sample_card(
    sample: Sample, photo: Image, views: Views, ambiguous: Sequence[str], answers: Sequence[Answer] = ()
) -> SampleCard:
    """Put one sample's pictures together.

    Args:
        sample: Row of the sample table.
        photo: Whole photo.
        views: Its cut-outs.
        ambiguous: Names of the ambiguous pair.
        answers: What runs say about it.
    """
    small = shrink(photo, LONGEST)
    mask = fit_mask(views.mask, views.rect, small.shape[:2])
    pictures = (
        ("photo", picture(small, f"Photo {sample.photo_id}")),
        ("mask", picture(highlight(small, mask), f"The same photo, everything but the {sample.category} dimmed")),
        ("ROI", picture(views.roi, f"The {sample.category} alone on black, as the ROI branch sees it")),
        (
            "extra-ROI",
            picture(views.extra_roi, f"The photo without the {sample.category}, as the other branch sees it"),
        ),
    )
    share = float(views.mask.sum()) / (views.rect[2] * views.rect[3])
    return SampleCard(sample.sample_id, sample.category, sample.category in ambiguous, share, pictures, tuple(answers))


def answer(run: str, target: int, logits: Logits, class_names: Sequence[str]) -> Answer:
    """Return the most probable categories of one sample.

    Args:
        run: Label of the run.
        target: True class.
        logits: Scores of the sample, a single row, divided by the run's temperature.
        class_names: Category by class.
    """
    odds = np.exp(logits[0].astype(np.float64) - logits.max())
    order = np.argsort(-odds, kind="stable")[:TOP]
    guesses = tuple(Guess(class_names[k], float(odds[k] / odds.sum())) for k in order)
    return Answer(run, int(order[0]) == target, guesses)
