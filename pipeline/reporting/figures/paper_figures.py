"""Figures 3 to 10 of the paper from the runs that were evaluated.

Drafts are computed first, from numbers alone; they say which samples they show, so that only those photos are read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from pipeline.evaluation.heat_maps import FILE, HeatMap, read_heat_maps
from pipeline.evaluation.metrics import EpochRecord
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.base import load_settings
from pipeline.params.run_name import ABSENT
from pipeline.params.stages import ExplainParams, PerturbParams
from pipeline.reporting.figures import charts
from pipeline.reporting.figures import photo_figures as photos
from pipeline.reporting.figures.style import PaperFigure, chart_style, finish
from pipeline.reporting.finding import scope_of
from pipeline.reporting.grid import ALL, PROPOSED, GridRun, name_of
from pipeline.reporting.results import ReportInputs
from pipeline.reporting.samples import SamplePictures, categories_of, choose_ids, read_pictures
from pipeline.reporting.summary import StudySummary
from pipeline.runtime.console import progress

METHOD_NAME = {"grad_cam": "Grad-CAM", "hires_cam": "Grad-CAM in its place-by-place form (HiResCAM)"}
EXPLAINED_NAME = {"prediction": "each run predicts", "truth": "the sample is of"}
CNN, TRANSFORMER = GridRun("mobilenetv2", ABSENT, ALL), GridRun("vit", ABSENT, ALL)
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
DISAGREEING = (CNN, TRANSFORMER, PROPOSED._replace(extra_roi=ABSENT), PROPOSED)  # runs of Figure 3, then of Figure 5


class FigureDraft(NamedTuple):
    """A figure that lacks only its pictures."""

    name: str
    caption: str
    description: str
    sample_ids: tuple[str, ...]
    draw: Callable[[Mapping[str, SamplePictures]], Figure]  # takes the pictures of at least those samples


def draw_figures(  # noqa: PLR0913 - one argument for each kind of result
    summary: StudySummary,
    inputs: ReportInputs,
    *,
    tables: Mapping[GridRun, PredictionTable],
    histories: Mapping[str, Sequence[EpochRecord]],
    split: charts.CurveSplit,
    ambiguous: tuple[str, ...],
    seed: int,
) -> tuple[PaperFigure, ...]:
    """Draw the figures whose runs are there, in the paper's order; `seed` is of the choice of examples.

    `tables` are those of `DISAGREEING` and of any run at all; `histories` are by name of the run and show `split`.

    Raises:
        DatasetError: If a photo is absent or not the one that stage `index` read.
        ManifestError: If a file is damaged, or a shard is absent.
    """
    heat_maps = {
        result.run: read_heat_maps(inputs.explanations / name / FILE)
        for name, result in summary.runs.items()
        if (result.run in EXPLAINED_RUNS or name == summary.variant) and (inputs.explanations / name / FILE).is_file()
    }
    perturb = load_settings(PerturbParams, inputs.settings / "perturb.json")
    drafts = [
        *_disagreement("figure_3", tables, DISAGREEING[:2], (), seed),
        *_heat(heat_maps, load_settings(ExplainParams, inputs.settings / "explain.json"), ambiguous),
        *_disagreement("figure_5", tables, DISAGREEING[2:], ambiguous, seed),
        *_epochs({result.run: histories[name] for name, result in summary.runs.items()}, split),
        *_perturbed_samples(next(iter(tables.values()), None), perturb, ambiguous, seed),
        *_bars(summary),
        *_changes(summary),
    ]
    if inputs.raw is None:
        drafts = [draft for draft in drafts if not draft.sample_ids]
    shown = tuple(dict.fromkeys(i for draft in drafts for i in draft.sample_ids))
    pictures, figures = read_pictures(shown, inputs, what="figures: samples"), []
    for draft in progress(drafts, total=len(drafts), what="figures", unit="figure"):
        with chart_style():
            figures.append(finish(draft.draw(pictures), draft.name, draft.caption, draft.description))
    return tuple(figures)


def write_figures(figures: Sequence[PaperFigure], folder: Path) -> None:
    """Write `folder/NAME.svg` and `folder/NAME.png` of every figure."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures:
        (folder / f"{figure.name}.svg").write_bytes(figure.svg)
        (folder / f"{figure.name}.png").write_bytes(figure.png)


def classifier(run: GridRun) -> str:
    """Return a short name of a run for running text: `ViT alone`, or `ViT + ViT`."""
    if run.extra_roi == ABSENT:
        return f"{name_of(run.roi)} alone"
    return f"{name_of(run.extra_roi)} on extra-ROI" if run.roi == ABSENT else run.label


def _disagreement(
    name: str, tables: Mapping[GridRun, PredictionTable], runs: Sequence[GridRun], ambiguous: Sequence[str], seed: int
) -> Iterator[FigureDraft]:
    """Draft Figure 3 (all samples) or 5 (the ambiguous pair)."""
    if not all(run in tables for run in runs):
        return
    # Names that fit under an example: the backbones, or how many of the same one.
    short = ("alone", "paired") if runs[0].roi == runs[1].roi else tuple(name_of(run.roi) for run in runs)
    first, second = (photos.FigureClassifier(classifier(r), s, tables[r]) for r, s in zip(runs, short, strict=True))
    found = photos.find_disagreement((first, second), ambiguous, seed)
    both, only_first, only_second, neither = found.counts
    counts = (
        f"of {sum(found.counts):,} samples both are right in {both:,}, only {first.label} in {only_first:,}, "
        f"only {second.label} in {only_second:,}, neither in {neither:,}"
    )
    caption = (
        f"Agreement and disagreement of {first.label} and {second.label} on {scope_of(ambiguous)}: {counts}. "
        "Examples are chosen by hash, not by eye; GT is the annotation, the region of interest is outlined in yellow."
    )
    examples = f"{len(found.shown[0])} and {len(found.shown[1])} example photos"
    description, chosen = f"Bar of counts, {counts}; {examples} of both directions", found.shown[0] + found.shown[1]
    yield FigureDraft(name, caption, description, chosen, lambda shown: photos.disagreement_figure(found, shown))


def _heat(
    heat_maps: Mapping[GridRun, Sequence[HeatMap]], params: ExplainParams, ambiguous: Sequence[str]
) -> Iterator[FigureDraft]:
    """Draft Figure 4, once per backbone and once for a variant that is not among them."""
    backbones = ("mobilenetv2", "vit", "deit_distilled", "mixer")
    groups = {backbone: [run for run in EXPLAINED_RUNS if run.roi == backbone] for backbone in backbones}
    groups["variant"] = [run for run in heat_maps if run not in EXPLAINED_RUNS]
    for name, runs in groups.items():
        labelled = [(classifier(run), heat_maps[run]) for run in runs if run in heat_maps]
        if not labelled:
            continue
        rows = photos.rows_of(labelled)
        truths = {found.truth for found in rows[0].maps.values()}
        chosen = photos.choose_columns(rows, [category for category in ambiguous if category in truths])
        parts = []
        for row in rows:
            warm = [(m.inside, m.area) for m in row.maps.values() if m.inside is not None]
            inside, area = (100 * sum(values) / len(warm) for values in zip(*warm, strict=True)) if warm else (0, 0)
            shares = f"{inside:.0f} % against {area:.0f} %" if warm else "no heat"
            parts.append(f"{row.label}, {photos.BRANCH_NAME[row.branch]} {shares}")
        labels, said = " and ".join(label for label, _ in labelled), "; ".join(parts)
        caption = (
            f"{METHOD_NAME[params.method]} of {labels} on the same samples: what raised the logit of the category "
            f"{EXPLAINED_NAME[params.explained]}, as colour over what the branch saw, each map by its own maximum, "
            "the region of interest outlined in white. Share of the heat that lies on the region of interest, over all "
            f"explained samples, beside the region's share of the picture: {said}."
        )
        description = f"{len(rows)} rows of heat maps under their photos: {labels}. {said}"
        draw = partial(photos.heat_figure, rows, chosen)
        yield FigureDraft(f"figure_4_{name}", caption, description, chosen, draw)


def _epochs(by_run: Mapping[GridRun, Sequence[EpochRecord]], split: charts.CurveSplit) -> Iterator[FigureDraft]:
    """Draft Figure 6: the runs of Table 4 and those like them of other backbones, without branches of two backbones."""
    histories = {
        run: epochs
        for run, epochs in by_run.items()
        if run.kind in charts.DASHES and (run.roi == run.extra_roi or ABSENT in run)
    }
    if not histories:
        return

    def finals(column: str) -> str:
        values = ((run, getattr(epochs[-1], column)) for run, epochs in histories.items())
        return "; ".join(f"{classifier(run)} {'no samples' if f1 is None else f'{f1:.2f}'}" for run, f1 in values)

    description = f"Line charts; after the last epoch macro F1: {finals(f'{split}_macro_f1')}"
    shown = "Macro F1 on the validation split after each epoch; the paper's is of test (train.test_curves)"
    if split == "test":
        description += f"; F1 of the pair: {finals('test_ambiguous_f1')}"
        shown = "F1 on the test split after each epoch, for all categories (left) and for the ambiguous pair (right)"
    caption = f"{shown}: one backbone on the ROI, on the extra-ROI, and on both."
    yield FigureDraft("figure_6", caption, description, (), lambda _: charts.epoch_figure(histories, split))


def _perturbed_samples(
    table: PredictionTable | None, params: PerturbParams, ambiguous: Sequence[str], seed: int
) -> Iterator[FigureDraft]:
    """Draft Figure 7: three samples, one of them of the ambiguous pair."""
    if table is None:
        return
    categories = categories_of(table)
    chosen = choose_ids([i for i, name in categories.items() if name in ambiguous], categories, 1, seed)
    others = [i for i, name in categories.items() if name not in ambiguous]
    chosen += choose_ids(others, categories, 3 - len(chosen), seed)
    corner = "from the top left corner of the canvas, as in the released code"
    caption = (
        f"Samples as branches see them: plain, with {params.patch_size} x {params.patch_size} patches permuted, and "
        f"the extra-ROI translocated by (dx, dy) pixels of {params.offset_size}, "
        f"{corner if params.origin == 'corner' else 'from where the photo lies'}. Below: the share of the "
        "photo's pixels that is still in the picture."
    )
    description = f"Cut-outs of {', '.join(categories[i] for i in chosen)}, plain, permuted and moved"
    draw = partial(photos.perturbation_figure, chosen, params)
    yield FigureDraft("figure_7", caption, description, chosen, draw)


def _bars(summary: StudySummary) -> Iterator[FigureDraft]:
    """Draft Figure 8."""
    if not summary.runs:
        return
    majority = max(result.majority_rate for result in summary.runs.values())
    panels = [
        charts.bar_panel(summary, "top1", "top-1 accuracy, %", majority),
        charts.bar_panel(summary, "macro_f1", "macro F1, %"),
        charts.bar_panel(summary, "ambiguous_f1", "F1 of the ambiguous pair, %", charts.COIN),
    ]
    caption = (
        "Top-1 accuracy, macro F1 and F1 of the ambiguous pair of every run at its kept epoch; lines are 95 % "
        "intervals where the summary has them, dashes mark always saying the most frequent category and a coin toss. "
        "A star marks the variant."
    )
    values = "; ".join(f"{r.run.label} ({r.run.kind}) {100 * r.top1:.1f}" for r in summary.runs.values())
    description = f"Bar chart, top-1 accuracy in per cent: {values}"
    yield FigureDraft("figure_8", caption, description, (), lambda _: charts.bar_figure(panels))


def _changes(summary: StudySummary) -> Iterator[FigureDraft]:
    """Draft Figures 9 and 10."""
    permuted, moved = charts.top1_changes(summary)
    runs, description = summary.runs.values(), "Dot chart, change in percentage points: "
    if permuted:
        caption = (
            "Change of top-1 accuracy when patches of the ROI, the extra-ROI or both are permuted: mean over the "
            "seeds, lines reach from the worst seed to the best. Left is worse."
        )
        values = [f"{r.run.label} {p.target} {100 * p.change_top1:+.1f}" for r in runs for p in r.permutations]
        said = description + "; ".join(values)
        yield FigureDraft("figure_9", caption, said, (), lambda _: charts.change_figure(permuted))
    if moved:
        caption = (
            "Change of top-1 accuracy when the extra-ROI is translocated by (dx, dy). (0, 0) from the corner is no "
            "identity: it shows what moving the centred photo to the corner costs by itself. Left is worse."
        )
        values = [f"{r.run.label} ({t.dx}, {t.dy}) {100 * t.change_top1:+.1f}" for r in runs for t in r.translocations]
        said = description + "; ".join(values)
        yield FigureDraft("figure_10", caption, said, (), lambda _: charts.change_figure(moved))
