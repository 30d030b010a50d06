"""What is seen and kept of a run at work: its bar, its checkpoints, its curves."""

from typing import TYPE_CHECKING, Any

from pipeline.console import note
from pipeline.training.checkpoint import Checkpoint, Pace
from pipeline.training.live import LiveCurves
from pipeline.training.progress import Progress

if TYPE_CHECKING:
    from tqdm import tqdm

EPSILON = 1e-9


class Watch:
    """The witness of `fit`. It looks at the clock and writes files, but changes nothing that is trained."""

    def __init__(  # noqa: PLR0913 - everything that is seen and kept
        self, bar: "tqdm[Any]", checkpoint: Checkpoint, curves: LiveCurves, *, pace: Pace, samples: int, epochs: int
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

    def stepped(self, progress: Progress) -> None:
        """See an optimiser step done."""
        self.bar.update(progress.epoch * self.samples + progress.tally.samples - self.bar.n)
        if self.pace.due():
            self.checkpoint.save(progress)

    def trained(self, progress: Progress) -> None:
        """See an epoch's last step done."""
        self.checkpoint.save(progress)

    def tested(self, progress: Progress) -> None:
        """See an epoch done."""
        speed, record = self.samples_per_second, progress.records[-1]
        left = (self.samples * self.epochs - self.bar.n) / max(speed, EPSILON)
        self.curves.show(progress.records, samples_per_second=speed, seconds_left=left)
        self.bar.set_postfix_str(
            f"epoch {record.epoch}/{self.epochs}, loss {record.train_loss:.3f}, "
            f"test top-1 {record.test_top1:.3f}, macro F1 {record.test_macro_f1:.3f}"
        )

    def finished(self, progress: Progress) -> None:
        """Close the curves and leave one line in the place of the bar, which must be closed."""
        self.curves.close()
        record, seconds = progress.records[-1], self.bar.format_dict["elapsed"]
        note(
            f"{self.bar.desc}: test top-1 {record.test_top1:.3f}, macro F1 {record.test_macro_f1:.3f} after epoch "
            f"{record.epoch}; {seconds:.0f} s, {self.samples_per_second:.0f} samples/s"
        )
