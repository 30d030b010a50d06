"""Write down the ambiguous pair: the one that is given, or the one that a reference run confuses most."""

from pathlib import Path

from pipeline.datasets.statistics import IndexSummary
from pipeline.evaluation.ambiguous import AmbiguousPair, check_pair, choose_pair
from pipeline.evaluation.predictions import VALIDATION, read_predictions
from pipeline.params.base import read_record
from pipeline.params.stages import AmbiguousParams
from pipeline.runtime.console import note


def write_pair(params: AmbiguousParams, *, summary: Path, run: Path, output: Path) -> None:
    """Write `output`, the pair that evaluation and report speak of; what the data set lacks of it is printed.

    Args:
        params: Section `ambiguous`.
        summary: `summary.json` of stage `index`.
        run: Package of the reference run; its predictions of the validation split are read where the pair is not given.
        output: File to write.

    Raises:
        ManifestError: If a stored file is absent or damaged.
    """
    categories = read_record(IndexSummary, summary, "index").categories
    if params.auto:
        table = read_predictions(run / VALIDATION) if any(each.validation for each in categories) else None
        pair = choose_pair(table, run.name)
    else:
        basis = f"{' and '.join(params.names)}, as params.yaml names them" if params.names else "params.yaml names none"
        pair = AmbiguousPair(names=params.names, chosen="given", basis=basis)
    notes = tuple(check_pair(pair.names, categories))
    for sentence in (*((pair.basis,) if params.auto else ()), *notes):
        note(f"ambiguous: {sentence}")
    pair.model_copy(update={"notes": notes}).write(output)
