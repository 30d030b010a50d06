"""What `perturb` stores."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.evaluation.perturbation import (
    KeptShares,
    Permutation,
    PerturbationSpec,
    Translocation,
    describe_perturbation,
    perturbation_metrics,
    read_perturbed_predictions,
    write_perturbed_predictions,
)
from pipeline.runtime.errors import ManifestError

PERMUTED = PerturbationSpec(Permutation(16, 7, 1), Permutation(16, 7, 1), None)
MOVED = PerturbationSpec(None, Translocation(-9, 18, "corner"), (-30, -63))
TARGETS = np.array([0, 1, 1, 2])
PREDICTIONS = np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 2]])
IDS = tuple(f"test/{i}/1" for i in range(4))


def test_an_entry_is_described_by_what_was_asked_and_what_was_done() -> None:
    """`dx`, `dy` as in params.yaml; `pixels` after scaling and sign; `seed` is the permutation's number."""
    nothing = {"dx": None, "dy": None, "origin": None, "pixels": None}
    assert describe_perturbation(PERMUTED) == {
        "kind": "permutation",
        "target": "both",
        "seed": 1,
        "patch_size": 16,
        **nothing,
    }
    assert describe_perturbation(MOVED) == {
        "kind": "translocation",
        "target": "extra_roi",
        "seed": None,
        "patch_size": None,
        "dx": -30,
        "dy": -63,
        "origin": "corner",
        "pixels": [-9, 18],
    }


def test_numbers_of_a_hand_computed_case() -> None:
    """Plain 3 of 4; permuted 2 of 4; moved 4 of 4, which is a gain."""
    kept = KeptShares.empty(2).add(np.array([[[1, 1, 1]] * 4, [[0.5, np.nan, 0.25]] * 4]))
    numbers = perturbation_metrics((PERMUTED, MOVED), TARGETS, PREDICTIONS, kept)
    assert (numbers["plain_top1"], numbers["plain_macro_f1"]) == (0.75, round((2 / 3 + 1 + 0) / 3, 6))
    entries = numbers["entries"]
    assert isinstance(entries, list)
    assert [entry["top1"] for entry in entries] == [0.5, 1.0]
    assert [entry["change_top1"] for entry in entries] == [-0.25, 0.25]
    assert [entry["photo_kept"] for entry in entries] == [1.0, 0.5]
    assert [entry["roi_kept"] for entry in entries] == [1.0, None]
    assert [entry["extra_roi_kept"] for entry in entries] == [1.0, 0.25]


def test_kept_shares_are_means_over_the_samples_that_have_one() -> None:
    """Batch by batch as at once; an empty region counts for nothing."""
    shares = np.random.default_rng(0).random((2, 9, 3))
    shares[0, 4:, 1] = shares[1, :, 2] = np.nan
    once = KeptShares.empty(2).add(shares)
    pieces = KeptShares.empty(2).add(shares[:, :5]).add(shares[:, 5:])
    assert once.mean(0, 1) == pytest.approx(shares[0, :4, 1].mean(), abs=1e-6)
    assert once.mean(1, 2) is None
    for entry in range(2):
        for region in range(3):
            assert once.mean(entry, region) == pieces.mean(entry, region)


def test_predictions_are_read_as_written_and_bytes_repeat(tmp_path: Path) -> None:
    """Entry by entry, sample by sample."""
    for name in ("a", "b"):
        write_perturbed_predictions(IDS, TARGETS, PREDICTIONS, (PERMUTED, MOVED), tmp_path / name)
    np.testing.assert_array_equal(read_perturbed_predictions(tmp_path / "a"), PREDICTIONS[1:])
    assert pq.read_table(tmp_path / "a")["photo_id"].to_pylist() == [f"test/{i}" for i in range(4)]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    """Absent, damaged or of another version."""
    path = tmp_path / "predictions.parquet"
    with pytest.raises(ManifestError, match="absent"):
        read_perturbed_predictions(path)
    path.write_bytes(b"not parquet")
    with pytest.raises(ManifestError, match="not a readable Parquet file"):
        read_perturbed_predictions(path)
    write_perturbed_predictions(IDS, TARGETS, PREDICTIONS, (PERMUTED, MOVED), path)
    pq.write_table(pq.read_table(path).replace_schema_metadata({"schema_version": "9"}), path)
    with pytest.raises(ManifestError, match="schema version 9"):
        read_perturbed_predictions(path)
