"""The main finding says no more than the counts do."""

import pytest

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.reporting.finding import RunComparison, backbones_text, compare, conclusion, count_text, pairings
from pipeline.reporting.grid import PAPER_RUNS, GridRun

RUNS = (GridRun("vit", "none", "all"), GridRun("vit", "vit", "all"))


def comparison(both: int, only_double: int, only_single: int, neither: int, *, per_photo: int = 1) -> RunComparison:
    """Compare two runs with so many samples in each cell of their table."""
    cells = [(True, True)] * both + [(False, True)] * only_double
    cells += [(True, False)] * only_single + [(False, False)] * neither
    single = {f"test/{i // per_photo}/{i}": cell[0] for i, cell in enumerate(cells)}
    double = {sample_id: cell[1] for sample_id, cell in zip(single, cells, strict=True)}
    return compare(RUNS, single, double, Bootstrap(0))


def test_a_comparison_counts_every_cell() -> None:
    """Correct predictions and the samples only one of the two gets right."""
    result = comparison(both=40, only_double=30, only_single=5, neither=5)
    assert (result.single_correct.num_correct, result.double_correct.num_correct, result.double_correct.samples) == (
        45,
        70,
        80,
    )
    assert (len(result.only_double), len(result.only_single)) == (30, 5)


@pytest.mark.parametrize(
    ("cells", "short", "reason"),
    [
        ((40, 35, 2, 3), "The surroundings help", "do not overlap"),
        ((40, 2, 35, 3), "The surroundings hurt", "do not overlap"),
        ((50, 10, 1, 19), "The surroundings help a little", "10 to 1 in favour"),
        ((50, 1, 10, 19), "The surroundings hurt a little", "1 to 10 against"),
        ((40, 6, 5, 29), "No effect of the surroundings is shown", "chance"),
        ((0, 0, 0, 0), "No effect of the surroundings is shown", "chance"),
    ],
)
def test_the_conclusion_follows_the_intervals(cells: tuple[int, int, int, int], short: str, reason: str) -> None:
    """Apart, overlapping with a lopsided split, or nothing to be said."""
    said, why = conclusion(comparison(*cells))
    assert said == short
    assert reason in why


def test_eleven_samples_of_two_photos_prove_less_than_eleven_photos() -> None:
    """10 to 1 in favour convinces if each has a photo of its own."""
    low = [comparison(50, 10, 1, 19, per_photo=size).preference[0] for size in (1, 10)]
    assert low[0] > 0.5
    assert low[1] < low[0]


def test_a_count_names_count_share_and_interval() -> None:
    """57 of 72, each of its own photo: resamples reach from 68 to 87.5 %, and Wilson's is 68 to 87 %."""
    text = count_text(comparison(both=0, only_double=57, only_single=0, neither=15).double_correct)
    assert text == "57 of 72 (79.2 %, 95 % interval 68 to 88 %)"


def test_backbones_are_counted_by_what_their_intervals_say() -> None:
    """Ahead, behind and undecided add up to all."""
    text = backbones_text([comparison(40, 35, 2, 3), comparison(40, 2, 35, 3), comparison(40, 6, 5, 29)])
    assert "Of 3 backbones" in text
    assert "ahead for 1, clearly behind for 1, and undecided for 1" in text


def test_many_comparisons_are_held_to_one_level() -> None:
    """A difference that one comparison shows is undecided among twenty."""
    lopsided, even = comparison(50, 12, 2, 16), comparison(40, 6, 5, 29)
    assert lopsided.p_value < 0.05 < even.p_value
    assert "ahead for 1, clearly behind for 0, and undecided for 1" in backbones_text([lopsided, even])
    many = backbones_text([lopsided, *[even] * 19])
    assert "ahead for 0, clearly behind for 0, and undecided for 20 (" in many
    assert "Holm's correction for 20 comparisons" in many


def test_a_photo_is_one_flip() -> None:
    """Twelve samples of one photo that all go one way show nothing; of twelve photos they do."""
    assert comparison(0, 12, 0, 0, per_photo=12).p_value == 1
    assert comparison(0, 12, 0, 0).p_value < 0.01


def test_the_papers_proposal_comes_first() -> None:
    """Which run makes the headline is settled before any result is known."""
    assert [double.roi for _, double in pairings(PAPER_RUNS)] == ["deit_distilled", "mobilenetv2", "vit", "deit"]
    assert all(single.extra_roi == "none" and single.roi == double.roi for single, double in pairings(PAPER_RUNS))


def test_a_backbone_that_was_trained_one_way_is_not_compared() -> None:
    """Both runs must be there; which of them is missing does not matter."""
    assert pairings(RUNS) == (RUNS,)
    assert pairings(RUNS[:1]) == pairings(RUNS[1:]) == ()


def test_one_comparison_claims_nothing_about_others() -> None:
    """`Of 1 backbones` would read like a survey."""
    assert backbones_text([comparison(10, 60, 2, 8)]).startswith("One backbone was trained both ways")
