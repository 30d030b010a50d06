"""Do runs answer differently on the cut-outs of another mask source? The paper's section 3.1, put to the test.

The paper says that there are "only ignorable discrepancies" between prompted masks and annotation, and tests nothing.
Here a change is ignorable if, and only if, its whole 95 % interval lies within the stated margins.
"""

from pipeline.evaluation.intervals import Bootstrap, Interval, differences
from pipeline.evaluation.mask_agreement import DIGITS, Estimate
from pipeline.evaluation.metrics import macro_f1, top1
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.base import Section
from pipeline.params.masks import TransferParams


class RunTransfer(Section):
    """One run on the cut-outs of both sources; the same test samples."""

    run: str
    """Name of the run."""
    samples: int
    """Test samples."""
    photos: int
    """Photos they come from, which are resampled."""
    top1: tuple[float, float]
    """Top-1 accuracy in [0, 1] on annotation, on the source."""
    macro_f1: tuple[float, float]
    """Macro F1 in [0, 1] on annotation, on the source."""
    top1_change: Estimate
    """Source minus annotation, paired by sample."""
    macro_f1_change: Estimate
    """Source minus annotation, paired by sample."""
    ignorable: bool
    """Whether both intervals lie within the margins."""


class TransferSummary(Section):
    """`summary.json` of stage `transfer`."""

    source: str
    """Mask source that the runs were judged on."""
    weights: str
    """Where its weights came from; `random` means that the verdict says nothing about the paper."""
    trained_on: str
    """Mask source that the runs were trained on; the paper's claim is about annotation."""
    top1_margin: float
    """Change of top-1 that is ignorable."""
    macro_f1_margin: float
    """Change of macro F1 that is ignorable."""
    runs: tuple[RunTransfer, ...]
    """None where there was nothing to compare."""

    @property
    def ignorable(self) -> bool:
        """Tell whether the change is ignorable for every run."""
        return all(run.ignorable for run in self.runs)


def compare_answers(
    run: str, reference: PredictionTable, other: PredictionTable, params: TransferParams
) -> RunTransfer:
    """Compare the answers of one run to the test samples as cut out by annotation and by another source.

    Raises:
        EvaluationError: If the tables hold other samples or none.
    """
    bootstrap = Bootstrap(params.seed)
    changes = differences(reference, other, None, bootstrap)
    top1_change, f1_change = changes["top1"], changes["macro_f1"]
    tables = (reference, other)
    accuracies = [round(top1(table.targets, table.predictions), DIGITS) for table in tables]
    scores = [round(macro_f1(table.targets, table.predictions), DIGITS) for table in tables]
    return RunTransfer(
        run=run,
        samples=len(reference.sample_ids),
        photos=len(set(reference.photo_ids)),
        top1=(accuracies[0], accuracies[1]),
        macro_f1=(scores[0], scores[1]),
        top1_change=_estimate(top1_change),
        macro_f1_change=_estimate(f1_change),
        ignorable=within(top1_change, params.top1_margin) and within(f1_change, params.macro_f1_margin),
    )


def within(change: Interval, margin: float) -> bool:
    """Tell whether the whole interval of a change lies within +- a margin."""
    return -margin <= change.low and change.high <= margin


def _estimate(interval: Interval) -> Estimate:
    return Estimate(**{name: round(value, DIGITS) for name, value in interval._asdict().items()})
