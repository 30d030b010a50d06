"""The paper's numbers held against each other."""

import pytest

from pipeline.reporting.paper.checks import PaperCheck, check_paper, highest_pair_f1
from pipeline.reporting.paper.published import read_paper

CHECKS = {check.name: check for check in check_paper(read_paper())}


def failed(check: PaperCheck) -> dict[str, str]:
    """Return what does not agree, with what was computed."""
    return {line.what: line.computed for line in check.lines if not line.agrees}


def test_the_cap_of_the_pairs_f1_is_the_hand_computed_one() -> None:
    """38 ketchup, 35 right, and 34 chili paste, 22 right; 1 ketchup taken for chili, 9 chili for ketchup.

    Ketchup 70 / (38 + 44), chili 44 / (34 + 23); mean 0.81279.
    """
    assert highest_pair_f1((35, 22), (1, 9), (38, 34)) == pytest.approx((70 / 82 + 44 / 57) / 2)
    assert highest_pair_f1((5, 5), (0, 0), (5, 5)) == 1.0


def test_two_printed_f1_are_above_what_the_counts_allow() -> None:
    """Notes on the paper, point 1."""
    assert failed(CHECKS["pair_f1_caps"]) == {
        "MobileNetV2 + –, without sauce": "at most 0.6382",  # noqa: RUF001 - the label of an absent branch
        "DeiT-dist + DeiT-dist": "at most 0.8128",
    }
    (line,) = CHECKS["proposed_counts"].lines
    assert line.computed == "57 of 72 right = 79.2 %, 95 % interval 68.4 to 86.9 %"


def test_one_accuracy_is_printed_for_two_models() -> None:
    """Point 2: 55.902 % of 7,769 are the same 4,343 images."""
    assert list(failed(CHECKS["copied_accuracy"]).values()) == ["4343 and 4343 of 7769 images"]
    assert [line.printed for line in CHECKS["gain_by_shift"].lines] == ["+1.956"]


def test_two_declines_and_two_accuracies_are_off() -> None:
    """Point 3: by 0.001 each, among 47 declines and 59 accuracies."""
    assert list(failed(CHECKS["declines"]).values()) == ["-41.163", "-0.759"]
    assert len(CHECKS["declines"].lines) == 47
    assert list(failed(CHECKS["whole_images"]).values()) == ["3222 of 7769 = 41.4725 %", "4281 of 7769 = 55.1036 %"]


def test_the_abstracts_gain_is_not_in_the_tables() -> None:
    """Point 4."""
    assert list(failed(CHECKS["abstract_gain"]).values()) == [
        "0.8286 against 0.6238: +20.5 points, +32.8 %",
        "0.7544 against 0.6715: +8.3 points, +12.3 %",
    ]


def test_leaving_sauce_out_did_not_do_what_the_text_says() -> None:
    """Points 5 and 6: F1 rose for the three single models; and the whole sets are different sets."""
    assert CHECKS["sauce_left_out"].failures == 3
    assert CHECKS["different_sets"].failures == len(CHECKS["different_sets"].lines) == 4


def test_what_agrees_is_said_to_agree() -> None:
    """A page that only finds fault is as wrong as one that finds none."""
    assert {name for name, check in CHECKS.items() if check.agrees} == {"grouped_means", "totals", "noise"}
    assert CHECKS["table_4_label"].failures == 2
