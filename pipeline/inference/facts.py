"""What a run was trained on and how often it is right, in the words that page, `predict` and model card share."""

from pathlib import Path
from typing import Any, NamedTuple

from pipeline.evaluation.rejection import Rejection
from pipeline.inference.prediction import DRAWINGS_ONLY
from pipeline.models.artifact import RunCard
from pipeline.params.base import read_record
from pipeline.params.model import DRAWN
from pipeline.reporting.results import EvaluationMetrics
from pipeline.runtime.errors import counted

METRICS = "metrics.json"
VIEWS = {"roi": "the food alone", "extra_roi": "the surroundings alone", "photo": "photo and mask"}
"""What a run of one branch sees."""
BOTH = "food and surroundings"


def evaluation_of(run: Path) -> Path:
    """Return the folder of a run's evaluation: its own, as of repetitions and exports, or `../../evaluations/RUN`."""
    return run if (run / METRICS).is_file() else run.absolute().parent.parent / "evaluations" / run.name


def read_score(evaluation: Path, card: RunCard) -> EvaluationMetrics | None:
    """Read the test score of a run; None if it was not evaluated, or other weights of its name were.

    Raises:
        ManifestError: If `metrics.json` is damaged.
    """
    if not (evaluation / METRICS).is_file():
        return None
    score = read_record(EvaluationMetrics, evaluation / METRICS, f"evaluate@{card.run}")
    return score if score.weights_sha256 in {None, card.weights_sha256} and score.epoch == card.epochs_done else None


class RunFacts(NamedTuple):
    """What is known of a run."""

    card: RunCard
    score: EvaluationMetrics | None  # on the test split
    rejection: Rejection | None  # least confidence of a named answer, from the validation split; None without one

    @property
    def drawings_only(self) -> bool:
        """Whether the run was trained on the demo."""
        return self.card.train.data_set == DRAWN

    @property
    def fields(self) -> dict[str, Any]:
        """What `PhotoRecord` holds of the run."""
        return {
            "run": self.card.run,
            "temperature": self.card.calibration.temperature,
            "threshold": self.rejection.threshold if self.rejection else None,
            "trained_on": self.card.train.data_set,
            "drawings_only": self.drawings_only,
            "test_top1": self.score.top1 if self.score else None,
            "test_top1_interval": self.score.top1_interval if self.score else None,
        }

    @property
    def sees(self) -> str:
        """What the run sees."""
        branches = tuple(self.card.backbones)
        return BOTH if len(branches) > 1 else VIEWS[branches[0]]

    @property
    def caution(self) -> str:
        """What belongs to every answer of the run, as half a sentence; empty if nothing."""
        return DRAWINGS_ONLY if self.drawings_only else ""

    @property
    def training(self) -> str:
        """What the run was trained on, as a sentence."""
        name, numbers = self.card.train.data_set, self.card.trained_on
        if name is None or numbers is None:
            return "Its record does not say what it was trained on: an earlier version made it."
        pictures = counted(numbers.photos, "drawing" if self.drawings_only else "photo")
        foods = counted(numbers.categories, "food")
        return f"Trained on {name}: {counted(numbers.samples, 'sample')} of {foods} in {pictures}."

    @property
    def testing(self) -> str:
        """How often the run is right, as a sentence."""
        if self.score is None:
            return "How often it is right is not known: no evaluation of it is here."
        name, interval = self.card.train.data_set, self.score.top1_interval
        spread = f" (95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %)" if interval else ""
        samples = counted(self.score.samples, "test sample") + (f" of {name}" if name else "")
        return f"Right on {100 * self.score.top1:.1f} % of {samples}{spread}."

    @property
    def rejecting(self) -> str:
        """When an answer is withheld, as a sentence."""
        if self.rejection is None:
            return "It has no predictions of a validation split, so that every region gets a name, however unsure."
        sentence = self.rejection.sentence
        return f"{sentence[0].upper()}{sentence[1:]}."
