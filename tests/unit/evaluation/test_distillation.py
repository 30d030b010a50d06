"""A taught student beside others."""

import pytest

from pipeline.evaluation.bootstrap import Bootstrap, compare_students
from pipeline.runtime.errors import EvaluationError
from tests.plain_bootstrap import (
    difference_interval,
    score_interval,
    weighted_macro_f1,
    weighted_pair_f1,
    weighted_top1,
)
from tests.unit.evaluation.test_photo_bootstrap import random_table

FEW = Bootstrap(seed=3, resamples=200)
PAIR = ("ketchup", "chili paste")
METRICS = {"top1": weighted_top1, "macro_f1": weighted_macro_f1, "ambiguous_f1": weighted_pair_f1((1, 2))}


def test_scores_and_gains_are_those_of_the_plain_bootstrap() -> None:
    """Of every run, and of every two, the later minus the earlier."""
    runs = {name: random_table(seed) for seed, name in enumerate(("teacher", "undistilled", "student"))}
    scores, changes = compare_students(runs, PAIR, FEW)
    assert list(changes) == [("teacher", "undistilled"), ("teacher", "student"), ("undistilled", "student")]
    for score, metric in METRICS.items():
        alone = score_interval(runs["student"], metric, FEW)
        gain = difference_interval(runs["undistilled"], runs["student"], metric, FEW)
        assert scores["student"][score] == pytest.approx(alone, abs=1e-12)
        assert changes["undistilled", "student"][score] == pytest.approx(gain, abs=1e-12)


def test_without_the_pair_there_is_no_score_of_it() -> None:
    """Absent, not zero."""
    scores, _ = compare_students({"student": random_table(1)}, ("ketchup", "mustard"), FEW)
    assert list(scores["student"]) == ["top1", "macro_f1"]


def test_runs_judged_on_other_samples_are_refused() -> None:
    """Their difference would not be paired."""
    whole = random_table(1)
    part = whole.select(whole.sample_ids[:-1])
    with pytest.raises(EvaluationError, match="same samples and classes"):
        compare_students({"teacher": whole, "student": part}, PAIR, FEW)
