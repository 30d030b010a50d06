"""Progress of a run in training: a bar with the scores of the last epoch, and live curves.

Curves are `history.csv` after every epoch, and DVCLive once a run has taken a while (docs/decisions/live_curves.md).
DVCLive lies in the run's output only until the run is done, so it may hold rates and times. Nothing here changes what
is trained, so this file is in no stage's list of code (docs/decisions/settings.md).
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.evaluation.metrics import EpochRecord
from pipeline.runtime.console import note
from pipeline.training.checkpoint import HISTORY, Callback, TrainerState, write_history

if TYPE_CHECKING:
    from dvclive.live import Live
    from tqdm import tqdm

DVCLIVE = "dvclive"
MIN_SECONDS = 1e-9


class LiveCurves:
    """Writes the epochs done so far to a folder, from which `dvc plots show` and editors draw them."""

    def __init__(self, folder: Path, *, start_delay: float) -> None:
        """Start the clock; DVCLive follows after `start_delay` seconds."""
        self.folder, self.start_delay, self.started = folder, start_delay, time.monotonic()
        self.live: Live | None = None
        self.num_logged = 0

    def update(self, records: Sequence[EpochRecord], *, samples_per_second: float, seconds_left: float) -> None:
        """Write all epochs of the run; speed and time left are logged at the last one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{HISTORY}.partial"
        write_history(records, partial)
        partial.replace(self.folder / HISTORY)  # a reader never meets half a file
        if time.monotonic() - self.started >= self.start_delay:
            self.start_delay = inf  # once
            # It takes a second to import, which short runs are spared, and may be absent.
            with suppress(ImportError):
                from dvclive.live import Live  # noqa: PLC0415

                try:  # by default it rewrites dvc.yaml and saves experiments
                    self.live = Live(dir=str(self.folder / DVCLIVE), dvcyaml=None, save_dvc_exp=False)
                except Exception as error:  # noqa: BLE001 - of git, DVC or the disk: no reason to stop a run
                    note(f"no live curves: {error}")
        if self.live is None:
            return
        for record in records[self.num_logged :]:
            values: dict[str, Any] = record._asdict()
            if record is records[-1]:
                values |= {"samples_per_second": samples_per_second, "minutes_left": seconds_left / 60}
            self.live.step = values.pop("epoch")
            for name, value in values.items():
                if value is not None:
                    metric = name.replace("_", "/", 1) if name.startswith(("train_", "test_", "validation_")) else name
                    self.live.log_metric(metric, value)
            self.live.next_step()  # type: ignore[no-untyped-call]
        self.num_logged = len(records)

    def close(self) -> None:
        """End DVCLive's record."""
        if self.live is not None:
            self.live.end()  # type: ignore[no-untyped-call]


class ProgressCallback(Callback):
    """Moves the progress bar and updates the live curves."""

    def __init__(self, bar: "tqdm[Any]", curves: LiveCurves, *, samples: int, epochs: int) -> None:
        """Take a bar that counts samples over all epochs, and the samples of one."""
        self.bar, self.curves, self.samples, self.epochs = bar, curves, samples, epochs

    @property
    def _samples_per_second(self) -> float:
        """Training samples per second since this process started, evaluations and checkpoints included."""
        done, seconds = self.bar.n - self.bar.initial, float(self.bar.format_dict["elapsed"])
        return done / max(seconds, MIN_SECONDS)

    def on_step_end(self, state: TrainerState) -> None:
        """Move the bar."""
        self.bar.update(state.epoch * self.samples + state.metrics.samples - self.bar.n)

    def on_epoch_end(self, state: TrainerState) -> None:
        """Update the curves and the bar's text."""
        speed, record = self._samples_per_second, state.records[-1]
        left = (self.samples * self.epochs - self.bar.n) / max(speed, MIN_SECONDS)
        self.curves.update(state.records, samples_per_second=speed, seconds_left=left)
        self.bar.set_postfix_str(f"epoch {record.epoch}/{self.epochs}, loss {record.train_loss:.3f}, {_scores(record)}")

    def finish(self, state: TrainerState) -> None:
        """Close the curves and print one line in place of the bar, which must be closed."""
        self.curves.close()
        record, seconds = state.records[-1], self.bar.format_dict["elapsed"]
        kept = f", weights of epoch {state.best.epoch}" if state.best else ""
        note(
            f"{self.bar.desc}: {_scores(record)} after epoch {record.epoch}{kept}; {seconds:.0f} s, "
            f"{self._samples_per_second:.0f} samples/s"
        )


def _scores(record: EpochRecord) -> str:
    """Return the scores of an epoch in words: on validation, else while training; on test for test curves."""
    top1, f1 = record.validation_top1, record.validation_macro_f1
    first = f"train top-1 {record.train_top1:.3f}"
    if top1 is not None and f1 is not None:
        first = f"validation top-1 {top1:.3f}, macro F1 {f1:.3f}"
    return first if record.test_top1 is None else f"{first}, test top-1 {record.test_top1:.3f}"
