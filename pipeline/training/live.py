"""Curves while a run trains: `history.csv` after every epoch, and DVCLive once a run has taken a while.

DVCLive is for watching, so it may hold rates and times; it lies in the run's output only until the run is done. Its
import and start take a second or two, which a run of seconds spares itself (docs/decisions/live_curves.md).
"""

import time
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.console import note
from pipeline.training.history import EpochRecord, write_history

if TYPE_CHECKING:
    from dvclive.live import Live

HISTORY = "history.csv"
DVCLIVE = "dvclive"


class LiveCurves:
    """Shows the epochs done so far in a folder; `dvc plots show` and editors read them there."""

    def __init__(self, folder: Path, *, patience: float) -> None:
        """Start the clock.

        Args:
            folder: Output of the run.
            patience: Seconds before DVCLive is started.
        """
        self.folder, self.patience, self.started = folder, patience, time.monotonic()
        self.live: Live | None = None
        self.shown = 0

    def show(self, records: Sequence[EpochRecord], *, samples_per_second: float, seconds_left: float) -> None:
        """Bring the curves up to date.

        Args:
            records: All epochs of the run, those of earlier sittings included.
            samples_per_second: Of this sitting.
            seconds_left: Until the last epoch is done.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{HISTORY}.partial"
        write_history(records, partial)
        partial.replace(self.folder / HISTORY)  # whoever watches never reads half a file
        if time.monotonic() - self.started >= self.patience:
            self.live, self.patience = _start(self.folder / DVCLIVE), inf  # once
        if self.live is not None:
            pace = {"samples_per_second": samples_per_second, "minutes_left": seconds_left / 60}
            for record in records[self.shown :]:
                _log(self.live, record, pace if record is records[-1] else {})
            self.shown = len(records)

    def close(self) -> None:
        """End DVCLive's record."""
        if self.live is not None:
            self.live.end()  # type: ignore[no-untyped-call]


def _start(folder: Path) -> "Live | None":
    try:
        from dvclive.live import Live  # noqa: PLC0415 - a second of import that short runs and machines without it spare
    except ImportError:
        return None
    try:
        # Left to itself it would rewrite dvc.yaml and save experiments.
        return Live(dir=str(folder), dvcyaml=None, save_dvc_exp=False)
    except Exception as error:  # noqa: BLE001 - of git, DVC or the disk; a run is worth more than being watched
        note(f"no live curves: {error}")
        return None


def _log(live: "Live", record: EpochRecord, pace: dict[str, float]) -> None:
    values: dict[str, Any] = record._asdict() | pace
    live.step = values.pop("epoch")
    for name, value in values.items():
        if value is not None:
            live.log_metric(name.replace("_", "/", 1) if name.startswith(("train_", "test_")) else name, value)
    live.next_step()  # type: ignore[no-untyped-call]
