"""Curves and the bar while a run trains."""

import copy
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.evaluation.metrics import EpochRecord
from pipeline.runtime.console import progress_bar
from pipeline.training.checkpoint import HISTORY, RunningMetrics, TrainerState
from pipeline.training.progress import DVCLIVE, LiveCurves, ProgressCallback
from tests.forked import Forked

RECORDS = [EpochRecord(n, 1e-3, 2.0 / n, 0.25, 3.0 / n, 0.5, 0.4, None if n == 2 else 0.125) for n in (1, 2, 3)]
PACE = {"samples_per_second": 50.0, "seconds_left": 90.0}


def column(path: Path) -> dict[int, float]:
    """Return a curve of DVCLive, value by step."""
    with path.open() as file:
        return {int(row["step"]): float(row[path.stem]) for row in csv.DictReader(file, delimiter="\t")}


def test_history_grows_by_a_row_an_epoch(tmp_path: Path) -> None:
    """In place of the last one, so that a reader never meets half a file; a run of seconds has no DVCLive."""
    curves = LiveCurves(tmp_path / "run", start_delay=1e9)
    for count in (1, 2):
        curves.update(RECORDS[:count], **PACE)
        assert len((tmp_path / "run" / HISTORY).read_text().splitlines()) == 1 + count
    curves.close()
    assert [path.name for path in (tmp_path / "run").iterdir()] == [HISTORY]


def test_dvclive_has_the_curves_of_earlier_sittings_too(tmp_path: Path) -> None:
    """By epoch, an absent value left out, rates at the epochs of this sitting; nothing outside the folder."""
    curves = LiveCurves(tmp_path / "run", start_delay=0.0)
    curves.update(RECORDS[:2], **PACE)
    curves.update(RECORDS, **PACE)
    curves.close()
    plots = tmp_path / "run" / DVCLIVE / "plots/metrics"
    assert column(plots / "train/loss.tsv") == {1: 2.0, 2: 1.0, 3: pytest.approx(2 / 3)}
    assert column(plots / "test/ambiguous_f1.tsv") == {1: 0.125, 3: 0.125}
    assert column(plots / "samples_per_second.tsv") == {2: 50.0, 3: 50.0}
    assert column(plots / "minutes_left.tsv") == {2: 1.5, 3: 1.5}
    latest = json.loads((tmp_path / "run" / DVCLIVE / "metrics.json").read_text())
    assert latest["step"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_machine_without_dvclive_has_its_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training needs none of it."""
    monkeypatch.setitem(sys.modules, "dvclive.live", None)
    curves = LiveCurves(tmp_path, start_delay=0.0)
    curves.update(RECORDS, **PACE)
    curves.close()
    assert [path.name for path in tmp_path.iterdir()] == [HISTORY]


def test_a_repository_that_dvclive_cannot_read_stops_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one without a commit: one line says that there are no curves."""
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)  # noqa: S607
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    curves = LiveCurves(tmp_path / "run", start_delay=0.0)
    for count in (1, 2):
        curves.update(RECORDS[:count], **PACE)
    curves.close()
    assert len((tmp_path / "run" / HISTORY).read_text().splitlines()) == 3


def test_training_imports_no_dvclive_by_itself(root: Path, forked: Forked) -> None:
    """A run of seconds spares itself a second of import."""
    program = "import sys, pipeline.training.progress; sys.exit('dvclive' in sys.modules)"
    assert forked("-c", program, cwd=root, env=os.environ).returncode == 0


def test_progress_leaves_the_state_of_training_as_it_is(tmp_path: Path) -> None:
    """It is given what the trainer goes on with, and may only look at it."""
    state = TrainerState(epoch=1, metrics=RunningMetrics(2, 8, 3, 0.3, 8.0, 1e-3), records=RECORDS[:2])
    before = copy.deepcopy(state)
    with progress_bar(24, what="train", unit="sample") as bar:
        shown = ProgressCallback(bar, LiveCurves(tmp_path / "run", start_delay=1e9), samples=8, epochs=3)
        shown.on_step_end(state)
        shown.on_train_epoch_end(state)
        shown.on_epoch_end(state)
    shown.finish(state)
    assert state == before
