"""Which samples the page shows."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.index import Sample
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.reporting.samples import choose_ids, choose_samples, pick_views
from tests.unit.reporting.study import make_sample

SAMPLE = make_sample()
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


def test_views_are_those_of_the_wanted_samples() -> None:
    """Pixels come with the right id, and own their memory."""
    pixels = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)
    batch = SampleBatch(
        ("a", "b", "c"), np.arange(3), np.array([[0, 1, 4, 2]] * 3), pixels[..., 0] > 50, pixels, 255 - pixels
    )
    ((name, views),) = pick_views([batch], {"b", "z"})
    assert (name, views.rect) == ("b", (0, 1, 4, 2))
    np.testing.assert_array_equal(views.roi, pixels[1])
    np.testing.assert_array_equal(views.extra_roi, 255 - pixels[1])
    assert views.roi.base is None
