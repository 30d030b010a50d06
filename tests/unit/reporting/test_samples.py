"""Which samples the page shows, with their pictures and predictions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.index import Sample
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.evaluation.metrics import confidences_of
from pipeline.evaluation.predictions import PredictionTable
from pipeline.inference.prediction import softmax
from pipeline.reporting.finding import PairedRuns
from pipeline.reporting.grid import GridRun
from pipeline.reporting.samples import (
    choose_ids,
    choose_samples,
    paired_predictions,
    sample_card,
    sample_pictures,
)
from tests.raw_folder import noise
from tests.unit.reporting.study import make_sample

SAMPLE = make_sample()
RUNS = GridRun("vit", "none", "all"), GridRun("vit", "vit", "all")
NAMES = ("rice", "egg", "ketchup", "chili paste")
SAMPLES = [
    replace(SAMPLE, sample_id=f"test/{n}/{k}", category=name, target=k)
    for n in range(5)
    for k, name in enumerate(NAMES)
]


@given(st.permutations(SAMPLES), st.integers(0, 5))
def test_the_choice_depends_on_the_seed_alone(shuffled: list[Sample], seed: int) -> None:
    """Not on the order in which a file system or a writer delivers samples."""
    pair = ("ketchup", "chili paste")
    assert choose_samples(shuffled, pair, 6, seed) == choose_samples(SAMPLES, pair, 6, seed)


def test_the_pair_comes_first_twice_each_then_one_of_each_category() -> None:
    """The ambiguous pair is always on the sheet."""
    chosen = choose_samples(SAMPLES, ("ketchup", "chili paste"), 6, 0)
    assert [s.category for s in chosen] == ["ketchup"] * 2 + ["chili paste"] * 2 + ["rice", "egg"]


def test_a_small_sheet_still_shows_the_pair() -> None:
    """The pair has precedence over the number asked for."""
    assert len(choose_samples(SAMPLES, ("ketchup", "chili paste"), 1, 0)) == 4
    assert len(choose_samples(SAMPLES, (), 1, 0)) == 1


def test_examples_take_the_categories_in_turn() -> None:
    """Six of one kind would not show the pair."""
    category_of = {f"a{i}": "ketchup" for i in range(9)} | {"b0": "chili paste"}
    chosen = choose_ids(category_of, category_of, 4, 0)
    assert len(chosen) == 4
    assert "b0" in chosen[:2]


def test_a_card_shows_photo_mask_and_both_cut_outs() -> None:
    """In that order, with alternative texts that name the food; the share counts the photo's pixels alone."""
    mask = np.zeros((16, 16), bool)
    mask[4:8, :8] = True
    shown = sample_pictures(
        make_sample(category="ketchup"),
        noise(24, 48, 0),
        SampleBatch(
            ("test/a/1",), np.zeros(1, int), np.array([[4, 0, 8, 16]]), mask[np.newaxis],
            noise(16, 16, 1)[np.newaxis], noise(16, 16, 2)[np.newaxis],
        ),
    )  # fmt: skip
    card = sample_card(shown, ["ketchup", "chili paste"])
    assert [title for title, _ in card.pictures] == ["photo", "mask", "ROI", "extra-ROI"]
    assert all("ketchup" in shown.description for _, shown in card.pictures[1:])
    assert card.ambiguous
    assert card.share == 0.25


def test_a_prediction_lists_the_most_probable_categories() -> None:
    """Probabilities are the softmax, even of large logits; the first decides whether it is correct."""
    logits = np.array([[1000.0, 1001.0, 0.0, 999.0]], np.float32)
    right, wrong = (
        PredictionTable(("rice", "egg", "ham", "tea"), ("a",), ("a",), np.array([target]), np.array([1]), logits)
        for target in (1, 0)
    )
    found, other = paired_predictions(PairedRuns(RUNS, right, wrong, (1.0, 1.0)), "a")
    assert [category for category, _ in found.top] == ["egg", "rice", "tea"]
    np.testing.assert_allclose([probability for _, probability in found.top], [0.6652, 0.2447, 0.09], atol=1e-4)
    assert (found.correct, other.correct) == (True, False)


def test_a_probability_is_the_one_that_evaluation_and_predict_give() -> None:
    """The report's examples, ECE and heat maps, and `predict` and the page: all over the run's temperature."""
    logits = np.array([[2.0, 0.5, -1.0, 0.25], [0.0, 3.0, 2.5, -2.0]], np.float32)
    ids, temperatures = ("test/a/1", "test/a/2"), (2.5, 0.5)
    table = PredictionTable(NAMES, ids, ("test/a",) * 2, np.array([0, 1]), np.array([0, 1]), logits)
    pair = PairedRuns(RUNS, table, table, temperatures)
    for row, sample_id in enumerate(ids):
        for shown, temperature in zip(paired_predictions(pair, sample_id), temperatures, strict=True):
            evaluated = confidences_of(logits, temperature)[row]
            assert shown.top[0][1] == pytest.approx(evaluated)
            assert [chance for _, chance in shown.top] == pytest.approx(
                sorted(softmax(logits[row], temperature))[:0:-1]
            )
