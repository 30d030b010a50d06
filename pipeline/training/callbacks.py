"""What is seen and kept of a run at work: its bar, its checkpoints, its curves."""

import time
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runtime.console import note
from pipeline.training.checkpoint import Checkpoint, CheckpointTimer, EpochRecord, TrainerState, write_history

if TYPE_CHECKING:
    from dvclive.live import Live
if TYPE_CHECKING:
    from tqdm import tqdm


# Curves while a run trains: `history.csv` after every epoch, and DVCLive once a run has taken a while.
#
# DVCLive is for watching, so it may hold rates and times; it lies in the run's output only until the run is done.
# Its
# import and start take a second or two, which a run of seconds spares itself (docs/decisions/live_curves.md).


HISTORY = "history.csv"
DVCLIVE = "dvclive"


class LiveCurves:
    """Shows the epochs done so far in a folder; `dvc plots show` and editors read them there."""

    def __init__(self, folder: Path, *, start_delay: float) -> None:
        """Start the clock.

        Args:
            folder: Output of the run.
            start_delay: Seconds before DVCLive is started.
        """
        self.folder, self.start_delay, self.started = folder, start_delay, time.monotonic()
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
        if time.monotonic() - self.started >= self.start_delay:
            self.live, self.start_delay = _start(self.folder / DVCLIVE), inf  # once
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


EPSILON = 1e-9


class TrainingCallback:
    """The witness of `fit`. It looks at the clock and writes files, but changes nothing that is trained."""

    def __init__(  # noqa: PLR0913 - everything that is seen and kept
        self,
        bar: "tqdm[Any]",
        checkpoint: Checkpoint,
        curves: LiveCurves,
        *,
        pace: CheckpointTimer,
        samples: int,
        epochs: int,
    ) -> None:
        """Take over a bar that counts samples over all epochs.

        Args:
            bar: Stands where the run stands.
            checkpoint: Written at the end of every epoch, and within one when it is due.
            curves: Brought up to date after every epoch.
            pace: Says when a checkpoint is due.
            samples: Of an epoch.
            epochs: Of the run.
        """
        self.bar, self.checkpoint, self.curves, self.pace = bar, checkpoint, curves, pace
        self.samples, self.epochs = samples, epochs

    @property
    def samples_per_second(self) -> float:
        """Training samples per second of this sitting, tests and checkpoints included."""
        done, seconds = self.bar.n - self.bar.initial, float(self.bar.format_dict["elapsed"])
        return done / max(seconds, EPSILON)

    def stepped(self, progress: TrainerState) -> None:
        """See an optimiser step done."""
        self.bar.update(progress.epoch * self.samples + progress.metrics.samples - self.bar.n)
        if self.pace.due():
            self.checkpoint.save(progress)

    def trained(self, progress: TrainerState) -> None:
        """See an epoch's last step done."""
        self.checkpoint.save(progress)

    def tested(self, progress: TrainerState) -> None:
        """See an epoch done."""
        speed, record = self.samples_per_second, progress.records[-1]
        left = (self.samples * self.epochs - self.bar.n) / max(speed, EPSILON)
        self.curves.show(progress.records, samples_per_second=speed, seconds_left=left)
        self.bar.set_postfix_str(
            f"epoch {record.epoch}/{self.epochs}, loss {record.train_loss:.3f}, "
            f"test top-1 {record.test_top1:.3f}, macro F1 {record.test_macro_f1:.3f}"
        )

    def finished(self, progress: TrainerState) -> None:
        """Close the curves and leave one line in the place of the bar, which must be closed."""
        self.curves.close()
        record, seconds = progress.records[-1], self.bar.format_dict["elapsed"]
        note(
            f"{self.bar.desc}: test top-1 {record.test_top1:.3f}, macro F1 {record.test_macro_f1:.3f} after epoch "
            f"{record.epoch}; {seconds:.0f} s, {self.samples_per_second:.0f} samples/s"
        )
