"""Figures 3 to 10 of the paper from whichever runs there are.

Drafts are made first, from numbers alone; they say which samples they show, so that only those pictures are read.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.evaluation.heat_maps import HeatMap
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.run_name import ABSENT
from pipeline.params.stages import ExplainParams, PerturbParams
from pipeline.reporting.figures.disagreement import Disagreement, FigureClassifier, disagree, disagreement_figure
from pipeline.reporting.figures.epochs import DASHES, epoch_figure
from pipeline.reporting.figures.heat_maps import VIEW_NAME, HeatRow, choose_columns, heat_figure, rows_of
from pipeline.reporting.figures.perturbed_views import perturbation_figure
from pipeline.reporting.figures.run_bars import (
    COIN,
    bar_figure,
    bar_panel,
    change_figure,
    permutation_changes,
    translocation_changes,
)
from pipeline.reporting.figures.scenes import SamplePictures
from pipeline.reporting.figures.style import PaperFigure, Wording
from pipeline.reporting.grid import ALL, PAPER_NAMES, GridRun
from pipeline.reporting.headline import PROPOSED
from pipeline.reporting.results import Epoch
from pipeline.reporting.samples import choose_ids
from pipeline.reporting.summary import StudySummary

# Titles, captions and alternative texts of the figures.


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


def bars(summary: StudySummary) -> Wording:
    """Word Figure 8."""
    caption = (
        "Top-1 accuracy, macro F1 and F1 of the ambiguous pair of every run after its last epoch; lines are 95 % "
        "intervals where the summary has them, dashes mark always saying the most frequent category and a coin toss. "
        "A star marks the variant."
    )
    texts = "; ".join(f"{r.run.label} ({r.run.kind}) {100 * r.top1:.1f}" for r in summary.runs.values())
    return Wording("figure_8", "Figure 8", caption, f"Bar chart, top-1 accuracy in per cent: {texts}")


def permutation(summary: StudySummary) -> Wording:
    """Word Figure 9."""
    caption = (
        "Change of top-1 accuracy when patches of the ROI, the extra-ROI or both are permuted: mean over the seeds, "
        "lines reach from the worst seed to the best. Left is worse."
    )
    texts = "; ".join(
        f"{r.run.label} {p.target} {100 * p.change_top1:+.1f}" for r in summary.runs.values() for p in r.permutations
    )
    return Wording("figure_9", "Figure 9", caption, f"Dot chart, change in percentage points: {texts}")


def translocation(summary: StudySummary) -> Wording:
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


CNN, TRANSFORMER = GridRun("mobilenetv2", ABSENT, ALL), GridRun("vit", ABSENT, ALL)
EXPLAINED_BACKBONES = ("mobilenetv2", "vit", "deit_distilled", "mixer")
EXPLAINED_RUNS = (
    CNN,
    GridRun("mobilenetv2", "mobilenetv2", ALL),
    TRANSFORMER,
    GridRun("vit", "vit", ALL),
    GridRun("mixer", ABSENT, ALL),
    GridRun("deit_distilled", ABSENT, ALL),
    PROPOSED,
)
"""Runs beside the variant that stage `explain` looks into; `dvc.yaml` lists the same, which a test compares."""
CHANGE_AXIS = "change of top-1, percentage points"
PERTURBED_SAMPLES = 3
"""Samples of Figure 7, one of them of the ambiguous pair."""


@dataclass(frozen=True, slots=True)
class FigureData:
    """The numbers that figures are made of; any run may be absent."""

    summary: StudySummary
    histories: Mapping[GridRun, Sequence[Epoch]]
    tables: Mapping[GridRun, PredictionTable]
    heat_maps: Mapping[GridRun, Sequence[HeatMap]]
    perturb: PerturbParams
    explain: ExplainParams
    ambiguous: tuple[str, ...]
    """Names of the pair that the data set has."""
    seed: int
    """Seed of the choice of examples."""


class Draft(NamedTuple):
    """A figure that only lacks its pictures."""

    sample_ids: tuple[str, ...]
    """Samples it shows."""
    draw: Callable[[Mapping[str, SamplePictures]], PaperFigure]
    """Takes at least those samples."""


def draft_figures(material: FigureData) -> tuple[Draft, ...]:
    """Return the figures whose runs are there, in the paper's order."""
    return (
        *_disagreement(material, "figure_3", (CNN, TRANSFORMER), ()),
        *_heat(material),
        *_disagreement(material, "figure_5", (GridRun(PROPOSED.roi, ABSENT, ALL), PROPOSED), material.ambiguous),
        *_epochs(material),
        *_perturbed_samples(material),
        *_bars(material.summary),
        *_changes(material.summary),
    )


def _disagreement(
    material: FigureData, name: str, runs: tuple[GridRun, GridRun], categories: Sequence[str]
) -> Iterator[Draft]:
    if not all(run in material.tables for run in runs):
        return
    first, second = (
        FigureClassifier(classifier(run), short, material.tables[run])
        for run, short in zip(runs, short_names(runs), strict=True)
    )
    found = disagree(first, second, categories, material.seed)
    wording = disagreement(name, found, categories)
    yield Draft((*found.shown[0], *found.shown[1]), lambda scenes: disagreement_figure(found, scenes, wording))


def _heat(material: FigureData) -> Iterator[Draft]:
    for backbone in EXPLAINED_BACKBONES:
        own = [run for run in EXPLAINED_RUNS if run.roi == backbone and run in material.heat_maps]
        if own:
            yield _heat_draft(material, own, f"figure_4_{backbone}")
    others = [run for run in material.heat_maps if run not in EXPLAINED_RUNS]
    if others:
        yield _heat_draft(material, others, "figure_4_variant")


def _heat_draft(material: FigureData, runs: Sequence[GridRun], name: str) -> Draft:
    rows = rows_of([(classifier(run), material.heat_maps[run]) for run in runs])
    chosen = choose_columns(rows, [n for n in material.ambiguous if n in {m.truth for m in rows[0].maps.values()}])
    wording = heat(name, material.explain, runs, rows)
    return Draft(chosen, lambda scenes: heat_figure(rows, chosen, scenes, wording))


def _epochs(material: FigureData) -> Iterator[Draft]:
    own = {run: epochs for run, epochs in material.histories.items() if _of_one_backbone(run)}
    if own:
        yield Draft((), lambda _: epoch_figure(own, epochs(own)))


def _of_one_backbone(run: GridRun) -> bool:
    """Tell whether Figure 6 shows a run: those of Table 4 and the other backbones' like them."""
    return run.kind in DASHES and (run.roi == run.extra_roi or ABSENT in (run.roi, run.extra_roi))


def _perturbed_samples(material: FigureData) -> Iterator[Draft]:
    if not material.tables:
        return
    table = next(iter(material.tables.values()))
    categories = {i: table.class_names[t] for i, t in zip(table.sample_ids, table.targets.tolist(), strict=True)}
    pair = [i for i in table.sample_ids if categories[i] in material.ambiguous]
    others = [i for i in table.sample_ids if categories[i] not in material.ambiguous]
    chosen = choose_ids(pair, categories, 1, material.seed)
    chosen += choose_ids(others, categories, PERTURBED_SAMPLES - len(chosen), material.seed)
    wording = perturbed_samples(material.perturb, [categories[i] for i in chosen])
    yield Draft(chosen, lambda scenes: perturbation_figure([scenes[i] for i in chosen], material.perturb, wording))


def _bars(summary: StudySummary) -> Iterator[Draft]:
    if not summary.runs:
        return
    majority = max(result.majority_rate for result in summary.runs.values())
    panels = [
        bar_panel(summary, "top1", "top-1 accuracy, %", majority),
        bar_panel(summary, "macro_f1", "macro F1, %"),
        bar_panel(summary, "ambiguous_f1", "F1 of the ambiguous pair, %", COIN),
    ]
    yield Draft((), lambda _: bar_figure(panels, bars(summary)))


def _changes(summary: StudySummary) -> Iterator[Draft]:
    shuffled, moved = list(permutation_changes(summary)), list(translocation_changes(summary))
    if shuffled:
        yield Draft((), lambda _: change_figure([shuffled], CHANGE_AXIS, permutation(summary)))
    if moved:
        yield Draft((), lambda _: change_figure([moved], CHANGE_AXIS, translocation(summary)))
