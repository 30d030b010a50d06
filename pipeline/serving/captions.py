"""Texts of the page."""

from collections.abc import Sequence

from pipeline.datasets.sample_batch import InputName
from pipeline.evaluation.rejection import UNKNOWN, percent
from pipeline.inference.facts import BOTH, VIEWS
from pipeline.inference.pictures import BranchPicture
from pipeline.inference.predictor import Run
from pipeline.serving.handlers import Way
from pipeline.serving.session import PAINTED, MarkedPhoto, RunAnswer

TITLE = "What is this food?"
PROMISE = (
    "Photos stay on this computer: they are held in its memory alone, never on its disk, and forgotten when the page "
    "ends, an hour after the last click, or when newer photos need the room."
)
WELCOME = "Drop a photo above, or take a sample."  # hint before there is a photo
HINTS: dict[Way, str] = {
    "box": "Drag a box around the food, or click one corner of it, then the opposite corner.",
    "click": "Click on the food.",
}
"""Hint for a photo, by way of marking."""
WAYS: dict[Way, str] = {"box": "Box", "click": "Click"}  # labels of the ways of marking
OPPOSITE = "Now click the opposite corner."
WORKING = "The models are looking …"
METHODS = {
    "grabcut": "GrabCut, from the colours inside and outside the box",
    "sam": "SAM",
    "fastsam": "FastSAM",
    "mask file": "your label map",
}
TERMS = {
    VIEWS["roi"]: "Region of interest (ROI): one backbone sees the cut-out food.",
    VIEWS["extra_roi"]: "Extra-ROI: one backbone sees everything but the food.",
    VIEWS["photo"]: "One backbone sees the whole photo and which pixels are food.",
    BOTH: "RveRNet: one backbone sees the food (ROI), another everything around it (extra-ROI); both are joined.",
}
"""Explanation of what a run sees, shown as a tooltip."""
BRANCHES = {"roi": "food", "extra_roi": "surroundings", "photo": "photo"}  # short labels of branches


def heat_title(run: Run, branch: InputName) -> str:
    """Return the title of a branch's heat map."""
    return run.facts.sees.capitalize() + (f", {BRANCHES[branch]} branch" if len(run.branches) > 1 else "")


def verdict(of_run: RunAnswer) -> str:
    """Return what stands above the guesses of an answer that is too unsure to be given; empty for others."""
    return f"{UNKNOWN.capitalize()}; nearest:" if of_run.known is False else ""


def first_guess(of_run: RunAnswer) -> str:
    """Return the first guess with its probability, or that the food is not a known one."""
    (guess,) = of_run.prediction.top(1)
    return UNKNOWN if of_run.known is False else f"{guess.category} ({percent(guess.probability)})"


def region_found(marked: MarkedPhoto) -> str:
    """Return how the mask was found, and its share of the photo; empty before a food is marked."""
    if marked.food is None:
        return ""
    region = marked.food.region
    area = f"{percent(float(region.mask.mean()), 1)} of the photo" + (
        f", {region.remark}" if region.status == "tiny" else ""
    )
    if region.found_by == PAINTED:
        return f"Mask painted by you, {area}."
    if region.status == "empty":
        return f"{METHODS.get(region.found_by, region.found_by)}, found nothing here; the box itself is taken, {area}."
    return f"Mask by {METHODS.get(region.found_by, region.found_by)}; {area}."


def difference(marked: MarkedPhoto) -> str:
    """Return how the answers of a run with one view and a run with both differ; empty for other runs."""
    both = {len(each.run.branches): each for each in (marked.food.answers if marked.food else ())}
    if sorted(both) != [1, 2]:
        return ""
    named = [UNKNOWN if each.known is False else each.prediction.top(1)[0].category for each in (both[1], both[2])]
    agreement = "Both agree" if named[0] == named[1] else "The second view changes the answer"
    return f"{agreement}: {first_guess(both[1])} by {both[1].run.facts.sees}, {first_guess(both[2])} by {BOTH}."


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
        f"{heat_title(run, heat.branch)}: {'no heat' if heat.inside is None else percent(heat.inside)}"
        for run, heat in maps
    )
    return f"Bright where the first answer came from (HiResCAM). Of the heat, on the food: {shares}."
