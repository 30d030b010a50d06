"""Figures 3 to 10 of the paper from the runs that were evaluated.

Drafts are computed first, from numbers alone; they say which samples they show, so that only those photos are read.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.evaluation.heat_maps import FILE, HeatMap, read_heat_maps
from pipeline.evaluation.metrics import EpochRecord
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.base import load_settings
from pipeline.params.run_name import ABSENT
from pipeline.params.stages import ExplainParams, PerturbParams
from pipeline.reporting.figures.charts import (
    COIN,
    DASHES,
    bar_figure,
    bar_panel,
    change_figure,
    epoch_figure,
    permutation_changes,
    translocation_changes,
)
from pipeline.reporting.figures.photo_figures import (
    BRANCH_NAME,
    FigureClassifier,
    choose_columns,
    disagreement_figure,
    find_disagreement,
    heat_figure,
    perturbation_figure,
    rows_of,
)
from pipeline.reporting.figures.style import FigureText, PaperFigure
from pipeline.reporting.grid import ALL, PAPER_NAMES, PROPOSED, GridRun
from pipeline.reporting.pictures import SamplePictures, read_pictures
from pipeline.reporting.results import ReportInputs
from pipeline.reporting.samples import categories_of, choose_ids
from pipeline.reporting.summary import StudySummary
from pipeline.runtime.console import progress

METHOD_NAME = {"grad_cam": "Grad-CAM", "hires_cam": "Grad-CAM in its place-by-place form (HiResCAM)"}
EXPLAINED_NAME = {"prediction": "each run predicts", "truth": "the sample is of"}
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
"""Runs beside the variant that stage `explain` explains; `dvc.yaml` lists the same, which a test compares."""
CHANGE_AXIS = "change of top-1, percentage points"
CHANGES_DESCRIPTION = "Dot chart, change in percentage points:"
PERTURBED_SAMPLES = 3
"""Samples of Figure 7, one of them of the ambiguous pair."""


@dataclass(frozen=True, slots=True)
class FigureData:
    """The numbers that figures show; any run may be absent."""

    summary: StudySummary
    histories: Mapping[GridRun, Sequence[EpochRecord]]
    tables: Mapping[GridRun, PredictionTable]
    heat_maps: Mapping[GridRun, Sequence[HeatMap]]
    perturb: PerturbParams
    explain: ExplainParams
    ambiguous: tuple[str, ...]
    """Names of the pair that the data set has."""
    seed: int
    """Seed of the choice of examples."""


class FigureDraft(NamedTuple):
    """A figure that lacks only its pictures."""

    sample_ids: tuple[str, ...]
    """Samples it shows."""
    draw: Callable[[Mapping[str, SamplePictures]], PaperFigure]
    """Takes the pictures of at least those samples."""


def draw_figures(
    summary: StudySummary, inputs: ReportInputs, *, ambiguous: tuple[str, ...], seed: int
) -> tuple[PaperFigure, ...]:
    """Draw the figures whose runs are there.

    Args:
        summary: Runs to show; only their files are read.
        inputs: Where files lie.
        ambiguous: Names of the pair that the data set has.
        seed: Seed of the choice of examples.

    Raises:
        DatasetError: If a photo is absent or not the one that stage `index` read.
        ManifestError: If a file is damaged, or a shard is absent.
    """
    drafts = draft_figures(_read_data(summary, inputs, ambiguous, seed))
    if inputs.raw is None:
        drafts = tuple(draft for draft in drafts if not draft.sample_ids)
    shown = tuple(dict.fromkeys(i for draft in drafts for i in draft.sample_ids))
    pictures = read_pictures(shown, inputs, what="figures: samples")
    return tuple(draft.draw(pictures) for draft in progress(drafts, total=len(drafts), what="figures", unit="figure"))


def write_figures(figures: Sequence[PaperFigure], folder: Path) -> None:
    """Write `folder/NAME.svg` and `folder/NAME.png` of every figure."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures:
        (folder / f"{figure.name}.svg").write_bytes(figure.svg)
        (folder / f"{figure.name}.png").write_bytes(figure.png)


def _read_data(summary: StudySummary, inputs: ReportInputs, ambiguous: tuple[str, ...], seed: int) -> FigureData:
    def runs_with(folder: Path, file: str) -> Iterator[tuple[GridRun, str]]:
        return ((r.run, name) for name, r in summary.runs.items() if (folder / name / file).is_file())

    files, explanations = inputs.files, inputs.explanations
    return FigureData(
        summary=summary,
        histories={run: files.history(name) for run, name in runs_with(files.runs, "history.csv")},
        tables={run: files.predictions(name) for run, name in runs_with(files.evaluations, "predictions.parquet")},
        heat_maps={
            run: read_heat_maps(explanations / name / FILE)
            for run, name in runs_with(explanations, FILE)
            if run in EXPLAINED_RUNS or name == summary.variant
        },
        perturb=load_settings(PerturbParams, inputs.settings / "perturb.json"),
        explain=load_settings(ExplainParams, inputs.settings / "explain.json"),
        ambiguous=ambiguous,
        seed=seed,
    )


def draft_figures(data: FigureData) -> tuple[FigureDraft, ...]:
    """Return the figures whose runs are there, in the paper's order."""
    return (
        *_disagreement(data, "figure_3", (CNN, TRANSFORMER), ()),
        *_heat(data),
        *_disagreement(data, "figure_5", (GridRun(PROPOSED.roi, ABSENT, ALL), PROPOSED), data.ambiguous),
        *_epochs(data),
        *_perturbed_samples(data),
        *_bars(data.summary),
        *_changes(data.summary),
    )


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


def _disagreement(
    data: FigureData, name: str, runs: tuple[GridRun, GridRun], ambiguous: Sequence[str]
) -> Iterator[FigureDraft]:
    """Draft Figure 3 (all samples) or 5 (the ambiguous pair)."""
    if not all(run in data.tables for run in runs):
        return
    first, second = (
        FigureClassifier(classifier(run), short, data.tables[run])
        for run, short in zip(runs, short_names(runs), strict=True)
    )
    found = find_disagreement(first, second, ambiguous, data.seed)
    scope = f"the ambiguous pair ({', '.join(ambiguous)})" if ambiguous else "the whole test split"
    counts = found.counts_text()
    caption = (
        f"Agreement and disagreement of {first.label} and {second.label} on {scope}: {counts}. Examples are "
        "chosen by hash, not by eye; GT is the annotation, the region of interest is outlined in yellow."
    )
    examples = f"{len(found.shown[0])} and {len(found.shown[1])} example photos"
    description = f"Bar of counts, {counts}; {examples} of both directions"
    text = FigureText(name, f"Figure {name[-1]}", caption, description)
    yield FigureDraft((*found.shown[0], *found.shown[1]), lambda pictures: disagreement_figure(found, pictures, text))


def _heat(data: FigureData) -> Iterator[FigureDraft]:
    """Draft Figure 4, once per backbone and once for a variant that is not among them."""
    for backbone in EXPLAINED_BACKBONES:
        own = [run for run in EXPLAINED_RUNS if run.roi == backbone and run in data.heat_maps]
        if own:
            yield _heat_draft(data, own, f"figure_4_{backbone}")
    others = [run for run in data.heat_maps if run not in EXPLAINED_RUNS]
    if others:
        yield _heat_draft(data, others, "figure_4_variant")


def _heat_draft(data: FigureData, runs: Sequence[GridRun], name: str) -> FigureDraft:
    rows = rows_of([(classifier(run), data.heat_maps[run]) for run in runs])
    chosen = choose_columns(rows, [n for n in data.ambiguous if n in {m.truth for m in rows[0].maps.values()}])
    parts = []
    for row in rows:
        where = f"{row.label}, {BRANCH_NAME[row.branch]} branch"
        warm = [(m.inside, m.area) for m in row.maps.values() if m.inside is not None]
        inside, area = (100 * sum(values) / len(warm) for values in zip(*warm, strict=True)) if warm else (0, 0)
        parts.append(f"{where} {inside:.0f} % against {area:.0f} %" if warm else f"{where} no heat")
    labels, shares = " and ".join(classifier(run) for run in runs), "; ".join(parts)
    caption = (
        f"{METHOD_NAME[data.explain.method]} of {labels} on the same samples: what raised the logit of the category "
        f"{EXPLAINED_NAME[data.explain.explained]}, as colour over what the branch saw, each map by its own maximum, "
        "the region of interest outlined in white. Share of the heat that lies on the region of interest, over all "
        f"explained samples, beside the region's share of the picture: {shares}."
    )
    description = f"{len(rows)} rows of heat maps under their photos: {labels}. {shares}"
    text = FigureText(name, "Figure 4", caption, description)
    return FigureDraft(chosen, lambda pictures: heat_figure(rows, chosen, pictures, text))


def _epochs(data: FigureData) -> Iterator[FigureDraft]:
    """Draft Figure 6: the runs of Table 4 and those like them of other backbones."""

    def of_one_backbone(run: GridRun) -> bool:
        return run.kind in DASHES and (run.roi == run.extra_roi or ABSENT in (run.roi, run.extra_roi))

    histories = {run: epochs for run, epochs in data.histories.items() if of_one_backbone(run)}
    if not histories:
        return
    finals = []
    for run, epochs in histories.items():
        f1 = epochs[-1].test_ambiguous_f1
        pair = "no samples" if f1 is None or math.isnan(f1) else f"{f1:.2f}"
        finals.append(f"{classifier(run)} {epochs[-1].test_macro_f1:.2f} and {pair}")
    caption = (
        "F1 on the test split after each epoch, for all categories (left) and for the ambiguous pair (right): one "
        "backbone on the ROI, on the extra-ROI, and on both."
    )
    description = f"Line charts; after the last epoch macro F1 and F1 of pair: {'; '.join(finals)}"
    text = FigureText("figure_6", "Figure 6", caption, description)
    yield FigureDraft((), lambda _: epoch_figure(histories, text))


def _perturbed_samples(data: FigureData) -> Iterator[FigureDraft]:
    """Draft Figure 7."""
    if not data.tables:
        return
    categories, params = categories_of(next(iter(data.tables.values()))), data.perturb
    pair = [i for i, name in categories.items() if name in data.ambiguous]
    others = [i for i, name in categories.items() if name not in data.ambiguous]
    chosen = choose_ids(pair, categories, 1, data.seed)
    chosen += choose_ids(others, categories, PERTURBED_SAMPLES - len(chosen), data.seed)
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
    description = f"Cut-outs of {', '.join(categories[i] for i in chosen)}, plain, permuted and moved"
    text = FigureText("figure_7", "Figure 7", caption, description)
    yield FigureDraft(chosen, lambda pictures: perturbation_figure([pictures[i] for i in chosen], params, text))


def _bars(summary: StudySummary) -> Iterator[FigureDraft]:
    """Draft Figure 8."""
    if not summary.runs:
        return
    majority = max(result.majority_rate for result in summary.runs.values())
    panels = [
        bar_panel(summary, "top1", "top-1 accuracy, %", majority),
        bar_panel(summary, "macro_f1", "macro F1, %"),
        bar_panel(summary, "ambiguous_f1", "F1 of the ambiguous pair, %", COIN),
    ]
    caption = (
        "Top-1 accuracy, macro F1 and F1 of the ambiguous pair of every run after its last epoch; lines are 95 % "
        "intervals where the summary has them, dashes mark always saying the most frequent category and a coin toss. "
        "A star marks the variant."
    )
    values = "; ".join(f"{r.run.label} ({r.run.kind}) {100 * r.top1:.1f}" for r in summary.runs.values())
    text = FigureText("figure_8", "Figure 8", caption, f"Bar chart, top-1 accuracy in per cent: {values}")
    yield FigureDraft((), lambda _: bar_figure(panels, text))


def _changes(summary: StudySummary) -> Iterator[FigureDraft]:
    """Draft Figures 9 and 10."""
    permuted, moved = list(permutation_changes(summary)), list(translocation_changes(summary))
    runs = summary.runs.values()
    if permuted:
        caption = (
            "Change of top-1 accuracy when patches of the ROI, the extra-ROI or both are permuted: mean over the "
            "seeds, lines reach from the worst seed to the best. Left is worse."
        )
        values = "; ".join(f"{r.run.label} {p.target} {100 * p.change_top1:+.1f}" for r in runs for p in r.permutations)
        nine = FigureText("figure_9", "Figure 9", caption, f"{CHANGES_DESCRIPTION} {values}")
        yield FigureDraft((), lambda _: change_figure([permuted], CHANGE_AXIS, nine))
    if moved:
        caption = (
            "Change of top-1 accuracy when the extra-ROI is translocated by (dx, dy). (0, 0) from the corner is no "
            "identity: it shows what moving the centred photo to the corner costs by itself. Left is worse."
        )
        values = "; ".join(
            f"{r.run.label} ({t.dx}, {t.dy}) {100 * t.change_top1:+.1f}" for r in runs for t in r.translocations
        )
        ten = FigureText("figure_10", "Figure 10", caption, f"{CHANGES_DESCRIPTION} {values}")
        yield FigureDraft((), lambda _: change_figure([moved], CHANGE_AXIS, ten))
