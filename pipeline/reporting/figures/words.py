"""Titles, captions and alternative texts of the figures."""

import math
from collections.abc import Mapping, Sequence

from pipeline.params.analysis import ExplainParams, PerturbParams
from pipeline.params.run_name import ABSENT
from pipeline.reporting.figures.disagreement import Disagreement
from pipeline.reporting.figures.heat_tiles import VIEW_NAME, HeatRow
from pipeline.reporting.figures.style import Wording
from pipeline.reporting.grid import PAPER_NAMES, GridRun
from pipeline.reporting.results import Epoch
from pipeline.reporting.summary import Summary


def classifier(run: GridRun) -> str:
    """Return a short name of a run for running text: `ViT alone`, or `ViT + ViT`."""
    if run.extra_roi == ABSENT:
        return f"{PAPER_NAMES.get(run.roi, run.roi)} alone"
    return f"{PAPER_NAMES.get(run.extra_roi, run.extra_roi)} on extra-ROI" if run.roi == ABSENT else run.label


def short_names(runs: tuple[GridRun, GridRun]) -> tuple[str, str]:
    """Return names that fit under an example: the backbones, or how many of the same one."""
    if runs[0].roi != runs[1].roi:
        return PAPER_NAMES.get(runs[0].roi, runs[0].roi), PAPER_NAMES.get(runs[1].roi, runs[1].roi)
    return "alone", "paired"


def disagreement(name: str, found: Disagreement, categories: Sequence[str]) -> Wording:
    """Word Figure 3 (all samples) or 5 (the ambiguous pair)."""
    scope = f"the ambiguous pair ({', '.join(categories)})" if categories else "the whole test split"
    tally = found.tally()
    caption = (
        f"Agreement and disagreement of {found.first.label} and {found.second.label} on {scope}: {tally}. Examples are "
        "chosen by hash, not by eye; GT is the annotation, the region of interest is outlined in yellow."
    )
    examples = f"{len(found.shown[0])} and {len(found.shown[1])} example photos"
    return Wording(name, f"Figure {name[-1]}", caption, f"Bar of counts, {tally}; {examples} of both directions")


METHOD_NAME = {"grad_cam": "Grad-CAM", "hires_cam": "Grad-CAM in its place-by-place form (HiResCAM)"}
EXPLAINED_NAME = {"prediction": "each run predicts", "truth": "the sample is of"}


def heat(name: str, params: ExplainParams, runs: Sequence[GridRun], rows: Sequence[HeatRow]) -> Wording:
    """Word Figure 4 for the runs of one backbone."""
    labels = " and ".join(classifier(run) for run in runs)
    shares = "; ".join(_share(row) for row in rows)
    caption = (
        f"{METHOD_NAME[params.method]} of {labels} on the same samples: what raised the logit of the category "
        f"{EXPLAINED_NAME[params.explained]}, as colour over what the branch saw, each map by its own maximum, the "
        "region of interest outlined in white. Share of the heat that lies on the region of interest, over all "
        f"explained samples, beside the region's share of the picture: {shares}."
    )
    description = f"{len(rows)} rows of heat maps under their photos: {labels}. {shares}"
    return Wording(name, "Figure 4", caption, description)


def _share(row: HeatRow) -> str:
    warm = [(m.inside, m.area) for m in row.maps.values() if m.inside is not None]
    where = f"{row.label}, {VIEW_NAME[row.branch]} branch"
    if not warm:
        return f"{where} no heat"
    inside, area = (100 * sum(values) / len(warm) for values in zip(*warm, strict=True))
    return f"{where} {inside:.0f} % against {area:.0f} %"


def _pair_f1(epoch: Epoch) -> str:
    return "no samples" if math.isnan(epoch.test_ambiguous_f1) else f"{epoch.test_ambiguous_f1:.2f}"


def epochs(histories: Mapping[GridRun, Sequence[Epoch]]) -> Wording:
    """Word Figure 6."""
    lasts = "; ".join(
        f"{classifier(run)} {rows[-1].test_macro_f1:.2f} and {_pair_f1(rows[-1])}" for run, rows in histories.items()
    )
    caption = (
        "F1 on the test split after each epoch, for all categories (left) and for the ambiguous pair (right): one "
        "backbone on the ROI, on the extra-ROI, and on both."
    )
    return Wording(
        "figure_6", "Figure 6", caption, f"Line charts; after the last epoch macro F1 and F1 of pair: {lasts}"
    )


def perturbed_samples(params: PerturbParams, categories: Sequence[str]) -> Wording:
    """Word Figure 7."""
    corner = (
        "from the top left corner of the canvas, as in the released code"
        if params.origin == "corner"
        else "from where the photo lies"
    )
    caption = (
        f"Samples as branches see them: plain, with {params.patch_size} x {params.patch_size} patches permuted, and "
        f"the extra-ROI translocated by (dx, dy) pixels of {params.offset_size}, {corner}. Below: the share of the "
        "photo's pixels that is still in the picture."
    )
    return Wording("figure_7", "Figure 7", caption, f"Cut-outs of {', '.join(categories)}, plain, permuted and moved")


def bars(summary: Summary) -> Wording:
    """Word Figure 8."""
    caption = (
        "Top-1 accuracy, macro F1 and F1 of the ambiguous pair of every run after its last epoch; lines are 95 % "
        "intervals where the summary has them, dashes mark always saying the most frequent category and a coin toss. "
        "A star marks the variant."
    )
    texts = "; ".join(f"{r.run.label} ({r.run.kind}) {100 * r.top1:.1f}" for r in summary.runs.values())
    return Wording("figure_8", "Figure 8", caption, f"Bar chart, top-1 accuracy in per cent: {texts}")


def permutation(summary: Summary) -> Wording:
    """Word Figure 9."""
    caption = (
        "Change of top-1 accuracy when patches of the ROI, the extra-ROI or both are permuted: mean over the seeds, "
        "lines reach from the worst seed to the best. Left is worse."
    )
    texts = "; ".join(
        f"{r.run.label} {p.target} {100 * p.change_top1:+.1f}" for r in summary.runs.values() for p in r.permutations
    )
    return Wording("figure_9", "Figure 9", caption, f"Dot chart, change in percentage points: {texts}")


def translocation(summary: Summary) -> Wording:
    """Word Figure 10."""
    caption = (
        "Change of top-1 accuracy when the extra-ROI is translocated by (dx, dy). (0, 0) from the corner is no "
        "identity: it shows what moving the centred photo to the corner costs by itself. Left is worse."
    )
    texts = "; ".join(
        f"{r.run.label} ({t.dx}, {t.dy}) {100 * t.change_top1:+.1f}"
        for r in summary.runs.values()
        for t in r.translocations
    )
    return Wording("figure_10", "Figure 10", caption, f"Dot chart, change in percentage points: {texts}")
