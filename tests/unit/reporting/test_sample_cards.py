"""One sample as pictures and answers."""

import numpy as np

from pipeline.reporting.samples import SampleViews, answer, sample_card
from tests.raw_folder import noise
from tests.unit.reporting.study import make_sample


def test_a_card_shows_photo_mask_and_both_cut_outs() -> None:
    """In that order, with alternative texts that name the food; the share counts the photo's pixels alone."""
    mask = np.zeros((16, 16), bool)
    mask[4:8, :8] = True
    views = SampleViews((4, 0, 8, 16), mask, noise(16, 16, 1), noise(16, 16, 2))
    card = sample_card(make_sample(category="ketchup"), noise(24, 48, 0), views, ["ketchup", "chili paste"])
    assert [title for title, _ in card.pictures] == ["photo", "mask", "ROI", "extra-ROI"]
    assert all("ketchup" in shown.description for _, shown in card.pictures[1:])
    assert card.ambiguous
    assert card.share == 0.25


def test_an_answer_lists_the_most_probable_categories() -> None:
    """Probabilities are the softmax, even of large logits; the first guess decides whether it is right."""
    logits = np.array([[1000.0, 1001.0, 0.0, 999.0]], np.float32)
    said = answer("A", 1, logits, ("rice", "egg", "ham", "tea"))
    assert [guess.category for guess in said.guesses] == ["egg", "rice", "tea"]
    np.testing.assert_allclose([guess.probability for guess in said.guesses], [0.6652, 0.2447, 0.09], atol=1e-4)
    assert said.right
    assert not answer("A", 0, logits, ("rice", "egg", "ham", "tea")).right
