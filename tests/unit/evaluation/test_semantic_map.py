"""Answers painted into masks, and their mIoU, mAcc and aAcc."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, jaccard_score, recall_score

from pipeline.evaluation.semantic_map import (
    BACKGROUND,
    VOID,
    Labels,
    Overlap,
    count_overlaps,
    paint,
    read_overlaps,
    score_maps,
    write_overlaps,
)
from pipeline.runtime.errors import ManifestError


def overlaps_of(truth: Labels, owner: Labels) -> list[Overlap]:
    """Return the overlaps of one photo whose sample n is `n` and truly of class n."""
    return [
        Overlap("annotation", "test/a", "" if place == BACKGROUND else str(place), place, true, pixels)
        for place, true, pixels in count_overlaps(truth, owner)
    ]


def test_a_case_of_four_by_four_pixels_by_hand() -> None:
    """Background 8 of 8, class 0 fills 8 pixels of which 4 are right, class 1 is missed: IoU 1, 1/2, 0."""
    truth = np.full((4, 4), BACKGROUND)
    truth[:2, :2], truth[:2, 2:] = 0, 1
    wide, right = np.zeros((2, 4, 4), np.bool_)
    wide[:2, :3], right[:2, 2:] = True, True
    overlaps = overlaps_of(truth, paint([wide, right], [0, 1]))
    assert score_maps(overlaps, {"0": 0, "1": 0}, 2) == pytest.approx(((1 + 1 / 2 + 0) / 3, (1 + 1 + 0) / 3, 12 / 16))
    assert score_maps(overlaps, {"0": 0, "1": 1}, 2) == (1.0, 1.0, 1.0)
    # without an answer the mask is background: 8 of 12 pixels of it are right
    assert score_maps(overlaps, {"0": 0}, 2) == pytest.approx(((8 / 12 + 1 + 0) / 3, (1 + 1 + 0) / 3, 12 / 16))


def test_the_smaller_mask_is_on_top_and_of_equal_ones_the_first() -> None:
    """Whatever their order."""
    large, small, same = np.zeros((3, 2, 4), np.bool_)
    large[:], small[0, :2], same[0, 1:3] = True, True, True
    assert paint([large, small, same], [5, 6, 7]).tolist() == [[6, 6, 7, 5], [5, 5, 5, 5]]
    assert paint([same, small, large], [7, 6, 5]).tolist() == [[6, 7, 7, 5], [5, 5, 5, 5]]


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    """Of all pixels but void; some classes occur only in the annotation, some only in the maps, some nowhere."""
    generator = np.random.default_rng(seed)
    truth, owner = generator.integers(VOID, 6, (20, 30)), generator.integers(BACKGROUND, 8, (20, 30))
    answers = {str(place): int(answer) for place, answer in enumerate(generator.integers(2, 9, 8))}
    found = score_maps(overlaps_of(truth, owner), answers, 10)
    kept = truth != VOID
    painted = np.array([answers.get(str(place), BACKGROUND) for place in owner[kept]])
    recall = recall_score(truth[kept], painted, labels=np.unique(truth[kept]), average="macro")
    assert found == pytest.approx(
        (jaccard_score(truth[kept], painted, average="macro"), recall, accuracy_score(truth[kept], painted))
    )


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A damaged one is refused."""
    rows = overlaps_of(np.array([[0, 1, BACKGROUND]]), np.array([[0, 0, BACKGROUND]]))
    write_overlaps(rows, tmp_path / "overlaps.parquet")
    assert read_overlaps(tmp_path / "overlaps.parquet") == rows
    (tmp_path / "overlaps.parquet").write_bytes(b"PAR1")
    with pytest.raises(ManifestError, match="dvc repro -f agreement"):
        read_overlaps(tmp_path / "overlaps.parquet")
