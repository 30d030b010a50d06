"""Our numbers, computed by hand."""

from collections.abc import Mapping

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import Bootstrap, share_interval
from pipeline.evaluation.metrics import Predictions
from pipeline.evaluation.perturbation import PerturbationKey
from pipeline.reporting.estimates import estimate, samples_of
from pipeline.reporting.grid import GridRun
from pipeline.reporting.paper.published import Key, Measure, PairCell
from pipeline.reporting.run_files import Evidence, PerturbedPredictions
from pipeline.runtime.errors import EvaluationError

FEW = Bootstrap(seed=0, resamples=300)
RUN, OTHER = GridRun.parse("vit+vit-all"), GridRun.parse("deit+deit-all")
TARGETS = np.array([0, 0, 1, 1, 2, 2])
PLAIN = np.array([0, 1, 1, 1, 2, 0])
ROI = PerturbationKey("roi")
SHUFFLED = np.array([0, 1, 0, 1, 0, 0])


def evidence(*, perturbed: Mapping[PerturbationKey, Predictions] | None = None, prefix: str = "") -> Evidence:
    """Return the evidence of six samples of three photos; class 0 is ketchup, class 1 chili paste."""
    ids = tuple(f"test/{prefix}{row // 2}/{row}" for row in range(6))
    photos = tuple(i.rpartition("/")[0] for i in ids)
    seen = {ROI: SHUFFLED} if perturbed is None else perturbed
    found = {key: PerturbedPredictions(answers, "") for key, answers in seen.items()}
    return Evidence(ids, photos, TARGETS, PLAIN, (0, 1), found)


def one(measure: Measure, *runs: GridRun, made: Mapping[GridRun, Evidence] | None = None) -> float:
    """Return the value of one key."""
    key = Key(runs or (RUN,), measure)
    return estimate([key], made or {RUN: evidence()}, FEW)[key].value


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (Measure("top1"), 100 * 4 / 6),
        (Measure("top1", ROI), 100 * 2 / 6),
        (Measure("change", ROI), -100 * 2 / 6),
        # class 0: 1 hit of 2 and 2 answers; class 1: 2 of 2 and 3; class 2: 1 of 2 and 1
        (Measure("macro_f1"), (2 / 4 + 4 / 5 + 2 / 3) / 3),
        (Measure("ambiguous_f1"), (2 / 4 + 4 / 5) / 2),
        (Measure("count", cell=PairCell(0, 1)), 1),
        (Measure("count", cell=PairCell(1, 1)), 2),
    ],
)
def test_a_hand_computed_case(measure: Measure, expected: float) -> None:
    """In the paper's units."""
    assert one(measure) == pytest.approx(expected)


def test_an_accuracy_and_a_count_have_intervals_over_photos() -> None:
    """Times 100; times the two samples of the class, which are of one photo."""
    keys = [Key((RUN,), Measure("top1")), Key((RUN,), Measure("count", cell=PairCell(0, 1)))]
    seen = evidence()
    found = estimate(keys, {RUN: seen}, FEW)
    share = share_interval(seen.predictions == seen.targets, seen.photo_ids, FEW)
    assert found[keys[0]] == pytest.approx([100 * v for v in share])
    one_of_two = share_interval(np.array([False, True]), seen.photo_ids[:2], FEW)
    assert found[keys[1]] == pytest.approx([2 * v for v in one_of_two])


def test_a_change_is_paired() -> None:
    """A perturbation that changes no answer has no interval, however uncertain the accuracy."""
    key = Key((RUN,), Measure("change", ROI))
    found = estimate([key], {RUN: evidence(perturbed={ROI: PLAIN})}, FEW)[key]
    assert found == (0.0, 0.0, 0.0)


def test_a_group_is_the_mean_of_its_runs() -> None:
    """Minus a third for one, nothing for the other."""
    made = {RUN: evidence(), OTHER: evidence(perturbed={ROI: PLAIN})}
    assert one(Measure("change", ROI), RUN, OTHER, made=made) == pytest.approx(-100 / 6)


def test_what_was_not_run_has_no_number() -> None:
    """Neither another run, nor a group with it, nor a perturbation that was not tried."""
    keys = [
        Key((OTHER,), Measure("top1")),
        Key((RUN, OTHER), Measure("change", ROI)),
        Key((RUN,), Measure("change", PerturbationKey("both"))),
        Key((RUN,), Measure("top1", PerturbationKey("both"))),
    ]
    assert estimate(keys, {RUN: evidence()}, FEW) == {}


def test_runs_on_other_samples_are_not_averaged() -> None:
    """Their photos cannot be drawn together."""
    key = Key((RUN, OTHER), Measure("change", ROI))
    with pytest.raises(EvaluationError, match="different samples"):
        estimate([key], {RUN: evidence(), OTHER: evidence(prefix="x")}, FEW)


def test_a_count_knows_how_many_there_are_to_count() -> None:
    """Other numbers have no total."""
    made = {RUN: evidence()}
    assert samples_of(Key((RUN,), Measure("count", cell=PairCell(1, 0))), made) == 2
    assert samples_of(Key((RUN,), Measure("top1")), made) is None
    assert samples_of(Key((OTHER,), Measure("count", cell=PairCell(1, 0))), made) is None
