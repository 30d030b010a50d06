"""Texts of the page."""

from collections.abc import Sequence

from pipeline.inference.pictures import BranchPicture
from pipeline.inference.predictor import Run
from pipeline.serving.handlers import Way
from pipeline.serving.session import PAINTED, MarkedPhoto

TITLE = "What is this food?"
PROMISE = (
    "Photos stay on this computer: they are held in its memory alone, never on its disk, and forgotten when the page "
    "ends, an hour after the last click, or when newer photos need the room."
)
WELCOME = "Drop a photo above, or take a sample."  # hint before there is a photo
HINTS: dict[Way, str] = {
    "box": "Click one corner of a box around the food, then the opposite corner.",
    "click": "Click on the food.",
}
"""Hint for a photo, by way of marking."""
WAYS: dict[Way, str] = {"box": "Box: two clicks", "click": "Click"}  # labels of the ways of marking
OPPOSITE = "Now click the opposite corner."
METHODS = {"grabcut": "GrabCut, from the colours inside and outside the box", "sam": "SAM", "fastsam": "FastSAM"}
VIEWS = {"roi": "Food alone (ROI)", "extra_roi": "Surroundings (extra-ROI)", "photo": "Photo and mask"}
"""Labels of inputs."""
ALONE = {"roi": "food alone", "extra_roi": "surroundings alone", "photo": "photo and mask"}
"""A run of one branch, within a sentence."""
BRANCHES = {"roi": "ROI", "extra_roi": "extra-ROI", "photo": "photo"}  # short labels of branches


def title(run: Run) -> str:
    """Return the title of a run's answer."""
    return "RveRNet: both views" if len(run.branches) > 1 else VIEWS[run.branches[0]]


def short_title(run: Run) -> str:
    """Return the title of a run's heat map."""
    return "RveRNet" if len(run.branches) > 1 else "Photo and mask" if "photo" in run.branches else "Alone"


def region_found(marked: MarkedPhoto) -> str:
    """Return how the mask was found, and its share of the photo; empty before a food is marked."""
    region = marked.region
    if region is None:
        return ""
    area = f"{region.mask.mean():.1%} of the photo" + (f", {region.remark}" if region.status == "tiny" else "")
    if region.found_by == PAINTED:
        return f"Mask painted by you, {area}."
    if region.status == "empty":
        return f"{METHODS.get(region.found_by, region.found_by)}, found nothing here; the box itself is taken, {area}."
    return f"Mask by {METHODS.get(region.found_by, region.found_by)}; {area}."


def difference(marked: MarkedPhoto) -> str:
    """Return how the answers of a run with one view and a run with both differ; empty for other runs."""
    both = {len(answer.run.branches): answer for answer in marked.answers}
    if sorted(both) != [1, 2]:
        return ""
    alone, joined = (both[number].prediction.top(1)[0] for number in (1, 2))
    first, second = (f"{guess.category} ({guess.probability:.0%})" for guess in (alone, joined))
    agreement = "Both agree" if alone.category == joined.category else "The second view changes the answer"
    return f"{agreement}: {first} by the {ALONE[both[1].run.branches[0]]}, {second} by both views."


def calibration(runs: Sequence[Run]) -> str:
    """Return how the probabilities are calibrated."""
    places = dict.fromkeys(run.card.calibration.fitted_on for run in runs)
    fitted = {place: [run for run in runs if run.card.calibration.fitted_on == place] for place in places}
    sentences = []
    for place, found in fitted.items():
        numbers = ", ".join(f"{run.temperature:.2f} for {run.name}" for run in found)
        how = f"calibrated on the {place} (temperature {numbers})" if place else "not calibrated"
        whose = f" of {', '.join(run.name for run in found)}" if len(fitted) > 1 else ""
        sentences.append(f"Probabilities{whose} are {how}.")
    return " ".join(sentences)


def heat_shares(maps: Sequence[tuple[Run, BranchPicture]]) -> str:
    """Return the share of each branch's heat on the food; empty before heat maps are requested."""
    if not maps:
        return ""
    shares = "; ".join(
        f"{short_title(run)}, {BRANCHES[heat.branch]}: {'no heat' if heat.inside is None else f'{heat.inside:.0%}'}"
        for run, heat in maps
    )
    return f"Bright where the first answer came from (HiResCAM). Of the heat, on the food: {shares}."
