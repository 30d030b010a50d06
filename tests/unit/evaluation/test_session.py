"""The samples a run is judged on."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.shards import Shards
from pipeline.evaluation.session import fit_classes, open_session
from pipeline.runtime.errors import EvaluationError, ManifestError, ParamsError
from tests.small_run import CATEGORIES, random_batch, run_card, select, write_small_run, write_small_shards

NO_SAUCE = ("bread", "ketchup", "chili paste")


def test_a_run_of_all_classes_gets_every_sample_as_it_is(tmp_path: Path) -> None:
    """In the shards' order, over several shards and batch sizes."""
    batch = random_batch(11)
    shards = write_small_shards(tmp_path / "shards", [select(batch, range(7)), select(batch, range(7, 11))])
    trial = open_session(write_small_run(tmp_path / "run", ("roi",)), shards, "cpu")
    for size in (1, 3, 100):
        parts = list(trial.batches(size))
        assert tuple(i for part in parts for i in part.sample_ids) == batch.sample_ids
        for name in ("targets", "rects", "masks", "roi", "extra_roi"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(joined, getattr(batch, name))


def test_a_run_without_sauce_gets_the_others_with_its_own_targets(tmp_path: Path) -> None:
    """Rows of other classes are left out; names, not numbers, are what is kept."""
    batch = random_batch(13)
    shards = write_small_shards(tmp_path / "shards", [batch])
    trial = open_session(write_small_run(tmp_path / "run", ("roi",), class_names=NO_SAUCE), shards, "cpu")
    parts = list(trial.batches(4))
    kept = np.flatnonzero(batch.targets != CATEGORIES.index("sauce"))
    assert 0 < len(kept) < len(batch)
    assert [i for part in parts for i in part.sample_ids] == [batch.sample_ids[row] for row in kept]
    names = [NO_SAUCE[target] for part in parts for target in part.targets]
    assert names == [CATEGORIES[batch.targets[row]] for row in kept]
    np.testing.assert_array_equal(np.concatenate([part.roi for part in parts]), batch.roi[kept])
    np.testing.assert_array_equal(np.concatenate([part.masks for part in parts]), batch.masks[kept])


def test_shards_of_another_size_are_refused(tmp_path: Path) -> None:
    """A model is trained for one size."""
    shards = Shards(write_small_shards(tmp_path / "shards", [random_batch(2, side=48)], side=48))
    with pytest.raises(EvaluationError, match=r"48 px, but run tiny[+]none-all was trained at 32 px"):
        fit_classes(run_card(("roi",)), shards)


@pytest.mark.parametrize(
    ("names", "missing"), [((*CATEGORIES, "okra"), "okra"), (CATEGORIES[::-1], "none, but in another order")]
)
def test_shards_of_other_categories_are_refused(tmp_path: Path, names: tuple[str, ...], missing: str) -> None:
    """A class that is not there, or the same in another order."""
    shards = Shards(write_small_shards(tmp_path / "shards", [random_batch(2)]))
    with pytest.raises(EvaluationError, match=missing):
        fit_classes(run_card(("roi",), class_names=names), shards)


def test_a_test_split_without_the_run_s_classes_is_refused(tmp_path: Path) -> None:
    """Nothing to judge, said in one line."""
    batch = random_batch(8)
    sauce = select(batch, np.flatnonzero(batch.targets == CATEGORIES.index("sauce")).tolist())
    run = write_small_run(tmp_path / "run", ("roi",), class_names=NO_SAUCE)
    for name, parts in (("only_sauce", [sauce]), ("empty", [])):
        trial = open_session(run, write_small_shards(tmp_path / name, parts), "cpu")
        with pytest.raises(EvaluationError, match="no test sample of run"):
            list(trial.batches(4))


def test_absent_parts_are_named(tmp_path: Path) -> None:
    """No run, no shards, no such device."""
    run = write_small_run(tmp_path / "run", ("roi",))
    shards = write_small_shards(tmp_path / "shards", [random_batch(2)])
    with pytest.raises(ManifestError, match=r"nowhere: no such folder"):
        open_session(tmp_path / "nowhere", shards, "cpu")
    with pytest.raises(ManifestError, match=r"manifest\.json: absent"):
        open_session(run, tmp_path / "nowhere", "cpu")
    with pytest.raises(ParamsError, match="device"):
        open_session(run, shards, "tpu")
