"""What the page says in words."""

from collections.abc import Sequence

from pipeline.prediction.pictures import BranchPicture
from pipeline.prediction.prediction import Guess
from pipeline.prediction.regions import Region
from pipeline.prediction.run import Run
from pipeline.serving.sitting import PAINTED, Sitting

WELCOME = "Drop a photo above, or take a sample."
"""What to do before there is a photo."""
METHODS = {"grabcut": "GrabCut (from the colours inside and outside the box)", "sam": "SAM", "fastsam": "FastSAM"}
"""Names of mask sources for people."""
VIEWS = {"roi": "Food alone (ROI)", "extra_roi": "Surroundings (extra-ROI)"}
"""Views for people."""
SEEN = {"roi": "food alone", "extra_roi": "surroundings alone"}
"""Views within a sentence."""
BOTH = "RveRNet: both views"
"""A run of two branches for people."""
GUIDE = """### How it goes
1. **Bring a photo** of a meal, or take a drawn sample.
2. **Mark one food**: a box by two clicks, by four numbers, or by painting over it.
3. **Compare**: what it is to a model that sees the food alone, and to RveRNet, which also sees what lies around it.
"""
"""What the page says where answers will stand."""


def title(run: Run) -> str:
    """Return what a run is called above its answer."""
    sees = run.card.backbones
    return BOTH if len(sees) > 1 else VIEWS[next(iter(sees))]


def found(region: Region) -> str:
    """Return how the mask was found, and how much of the photo it covers."""
    area = f"{region.mask.mean():.1%} of the photo"
    if region.found_by == PAINTED:
        return f"Painted by you, {area}."
    if region.status == "empty":
        return f"{METHODS[region.found_by]} found nothing here; the box itself is taken, {area}."
    return f"Found by {METHODS[region.found_by]}, {area}."


def difference(sitting: Sitting) -> str:
    """Return what the surroundings changed, where a run without and one with them answered."""
    both = {len(verdict.run.card.backbones): verdict for verdict in sitting.verdicts}
    if sorted(both) != [1, 2]:
        return ""
    alone, joined = (both[number].prediction.top(1)[0] for number in (1, 2))
    (seen,) = both[1].run.card.backbones
    if alone.category != joined.category:
        changed = f"{_guess(alone)} by the {SEEN[seen]}, {_guess(joined)} by both views"
        return f"**The second view changes the answer:** {changed}."
    return f"Both agree: {_guess(alone)} by the {SEEN[seen]}, {_guess(joined)} by both views."


def calibration(runs: Sequence[Run]) -> str:
    """Return where the probabilities come from."""
    numbers = ", ".join(f"{run.temperature:.2f} for {run.name}" for run in runs)
    return f"Probabilities are calibrated on the test split (temperature {numbers})."


def _guess(guess: Guess) -> str:
    return f"{guess.category} ({guess.probability:.0%})"


def branch(found: BranchPicture) -> str:
    """Return the branch of a heat map."""
    return "ROI branch" if found.branch == "roi" else "extra-ROI branch"


def warmth(found: BranchPicture) -> str:
    """Return how much of a branch's heat lies on the food."""
    return "no heat" if found.inside is None else f"{found.inside:.0%} of it on the food"
