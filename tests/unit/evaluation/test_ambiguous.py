"""The ambiguous pair, given or found."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.statistics import CategoryCount
from pipeline.evaluation.ambiguous import AmbiguousPair, check_pair, choose_pair, most_confused, pair_names
from pipeline.evaluation.predictions import VALIDATION, PredictionTable, PredictionWriter
from pipeline.params.stages import AmbiguousParams
from pipeline.runtime.errors import ManifestError
from pipeline.steps.ambiguous import write_pair
from tests.raw_folder import RawFolder, labels_of
from tests.unit.datasets.test_class_set import counts
from tests.unit.steps.test_index import FAIL, indexed

NAMES = ("bread", "rice", "soup", "egg")
AUTO, GIVEN = AmbiguousParams(names=(), auto=True), AmbiguousParams(names=("bread", "sauce"), auto=False)


def table_of(cells: dict[tuple[int, int], int]) -> PredictionTable:
    """Return predictions with so many samples by (target, prediction)."""
    targets, predictions = (np.repeat([cell[i] for cell in cells], list(cells.values())) for i in (0, 1))
    ids = tuple(f"train/{row}/1" for row in range(len(targets)))
    logits = np.eye(len(NAMES), dtype=np.float32)[predictions]
    return PredictionTable(NAMES, ids, tuple(i.rpartition("/")[0] for i in ids), targets, predictions, logits)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({(0, 1): 2, (1, 0): 2, (0, 0): 4, (2, 3): 4, (3, 3): 20}, (("bread", "rice"), 4, 8)),
        ({(0, 1): 3, (1, 1): 3, (2, 3): 6, (3, 3): 6}, (("soup", "egg"), 6, 12)),  # equal shares: more samples
        # 3 of 4 is 30 % at least, 24 of 40 is 45 %: few samples do not win by chance
        ({(0, 1): 3, (1, 1): 1, (2, 3): 24, (3, 3): 16}, (("soup", "egg"), 24, 40)),
        ({(0, 1): 8, (1, 1): 1, (2, 3): 20, (3, 3): 20}, (("bread", "rice"), 8, 9)),  # 57 % against 35 %
        ({(0, 1): 3, (1, 1): 3, (2, 3): 3, (3, 3): 3}, (("bread", "rice"), 3, 6)),  # equal: first categories
        ({(0, 1): 1, (1, 0): 1, (2, 3): 2, (0, 0): 9}, None),  # two samples are no pair
        ({(0, 0): 9, (1, 1): 9}, None),
    ],
)
def test_the_pair_is_the_one_that_is_surely_confused_most(
    cells: dict[tuple[int, int], int], expected: tuple[object, ...] | None
) -> None:
    """By the lower end of Wilson's interval of the share in either direction; counted by hand."""
    assert most_confused(table_of(cells)) == expected


def test_the_file_says_how_the_pair_was_chosen() -> None:
    """With the numbers, or with the reason why there is none."""
    found = choose_pair(table_of({(0, 1): 3, (1, 1): 3}), "tiny+none-all")
    assert (found.names, found.chosen) == (("bread", "rice"), "auto")
    assert "tiny+none-all confuses most in the validation split: 3 of their 6 samples are taken for" in found.basis
    reason = "run r takes fewer than 3 samples of any two categories for each other there"
    assert choose_pair(table_of({(0, 0): 1}), "r").basis.endswith(reason)
    assert choose_pair(None, "r").basis.endswith("the validation split is empty")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return a folder with an index whose validation split has photos, and predictions of them."""
    raw = RawFolder(tmp_path / "raw")
    for number in range(30):
        raw.add("train", f"{number:02d}", labels_of(1 + number % 2, 7), seed=number)
    raw.add("test", "c", labels_of(1, 2, 7), seed=99)
    indexed(raw, FAIL.model_copy(update={"validation": 0.2}))
    run = tmp_path / "data/runs/mobilenetv2+none-all"
    run.mkdir(parents=True)
    table = table_of({(0, 1): 2, (1, 0): 1, (2, 2): 4})
    with closing(PredictionWriter(run / VALIDATION, run=run.name, class_names=NAMES)) as writer:
        writer.write(table.sample_ids, table.targets, table.predictions, table.logits)
    return tmp_path


def written(study: Path, params: AmbiguousParams) -> AmbiguousPair:
    """Run the step."""
    places = {"summary": study / "index/summary.json", "run": study / "data/runs/mobilenetv2+none-all"}
    write_pair(params, **places, output=study / "ambiguous.json")
    return AmbiguousPair.model_validate_json((study / "ambiguous.json").read_bytes())


def test_the_stage_finds_a_pair_in_the_validation_split_alone(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the run's validation predictions; there is no test prediction that it could read."""
    assert written(study, AUTO).names == ("bread", "rice")
    assert "3 of their 3 samples" in capsys.readouterr().err
    assert pair_names(study / "ambiguous.json", ()) == ("bread", "rice")
    (study / "data/runs/mobilenetv2+none-all" / VALIDATION).unlink()
    with pytest.raises(ManifestError, match="absent"):
        written(study, AUTO)
    assert written(study, GIVEN).names == ("bread", "sauce")


def test_a_given_pair_is_written_as_it_is(study: Path) -> None:
    """With what the data set lacks of it; none is none."""
    absent = written(study, AmbiguousParams(names=("bread", "ketchup"), auto=False))
    assert absent.names == ("bread", "ketchup")
    assert absent.notes == (
        "Of the ambiguous pair, this data set has no category 'ketchup': F1 of the pair is left out.",
    )
    none = written(study, AmbiguousParams(names=(), auto=False))
    assert (none.names, none.notes, none.basis) == ((), (), "params.yaml names none")


def test_runs_of_earlier_versions_have_the_pair_in_their_cards() -> None:
    """Where no file says it."""
    assert pair_names(None, ("a", "b")) == ("a", "b")


def test_the_stage_imports_no_torch(study: Path, root: Path) -> None:
    """It takes no second."""
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import stages.ambiguous; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=study, check=True)  # noqa: S603


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (counts(bread=2, rice=1), "no category 'ketchup' and no 'chili paste': F1 of the pair is left out"),
        (counts(bread=2, ketchup=1), "no category 'chili paste': F1 of the pair is left out"),
        (
            counts(bread=2, ketchup=0, chili_paste=1),
            "'ketchup' has no test samples: F1 of the pair speaks of the other",
        ),
        (
            counts(bread=2, ketchup=0, chili_paste=0),
            "'ketchup' and 'chili paste', has no test samples: F1 of the pair is",
        ),
    ],
)
def test_an_ambiguous_pair_that_cannot_be_tested_is_said(found: tuple[CategoryCount, ...], said: str) -> None:
    """In one sentence, with what it means for the results."""
    (sentence,) = check_pair(("ketchup", "chili paste"), found)
    assert said in sentence
