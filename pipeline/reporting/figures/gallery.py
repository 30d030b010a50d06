"""Figures 3 to 10 of the paper from whichever runs there are.

Drafts are made first, from numbers alone; they say which samples they show, so that only those pictures are read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.evaluation.predictions import PredictionTable
from pipeline.explanation.heat_maps import HeatMap
from pipeline.params.analysis import ExplainParams, PerturbParams
from pipeline.params.run_name import ABSENT
from pipeline.reporting.figures import words
from pipeline.reporting.figures.disagreement import Classifier, disagree, disagreement_figure
from pipeline.reporting.figures.epochs import DASHES, epoch_figure
from pipeline.reporting.figures.heat_tiles import choose_columns, heat_figure, rows_of
from pipeline.reporting.figures.perturbed_views import perturbation_figure
from pipeline.reporting.figures.run_bars import (
    COIN,
    bar_figure,
    bar_panel,
    change_figure,
    permutation_changes,
    translocation_changes,
)
from pipeline.reporting.figures.scenes import Scene
from pipeline.reporting.figures.style import PaperFigure
from pipeline.reporting.grid import ALL, GridRun
from pipeline.reporting.headline import PROPOSED
from pipeline.reporting.results import Epoch
from pipeline.reporting.sample_choice import choose_ids
from pipeline.reporting.summary import Summary

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
class Material:
    """The numbers that figures are made of; any run may be absent."""

    summary: Summary
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
    draw: Callable[[Mapping[str, Scene]], PaperFigure]
    """Takes at least those samples."""


def draft_figures(material: Material) -> tuple[Draft, ...]:
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
    material: Material, name: str, runs: tuple[GridRun, GridRun], categories: Sequence[str]
) -> Iterator[Draft]:
    if not all(run in material.tables for run in runs):
        return
    first, second = (
        Classifier(words.classifier(run), short, material.tables[run])
        for run, short in zip(runs, words.short_names(runs), strict=True)
    )
    found = disagree(first, second, categories, material.seed)
    wording = words.disagreement(name, found, categories)
    yield Draft((*found.shown[0], *found.shown[1]), lambda scenes: disagreement_figure(found, scenes, wording))


def _heat(material: Material) -> Iterator[Draft]:
    for backbone in EXPLAINED_BACKBONES:
        own = [run for run in EXPLAINED_RUNS if run.roi == backbone and run in material.heat_maps]
        if own:
            yield _heat_draft(material, own, f"figure_4_{backbone}")
    others = [run for run in material.heat_maps if run not in EXPLAINED_RUNS]
    if others:
        yield _heat_draft(material, others, "figure_4_variant")


def _heat_draft(material: Material, runs: Sequence[GridRun], name: str) -> Draft:
    rows = rows_of([(words.classifier(run), material.heat_maps[run]) for run in runs])
    chosen = choose_columns(rows, [n for n in material.ambiguous if n in {m.truth for m in rows[0].maps.values()}])
    wording = words.heat(name, material.explain, runs, rows)
    return Draft(chosen, lambda scenes: heat_figure(rows, chosen, scenes, wording))


def _epochs(material: Material) -> Iterator[Draft]:
    own = {run: epochs for run, epochs in material.histories.items() if _of_one_backbone(run)}
    if own:
        yield Draft((), lambda _: epoch_figure(own, words.epochs(own)))


def _of_one_backbone(run: GridRun) -> bool:
    """Tell whether Figure 6 shows a run: those of Table 4 and the other backbones' like them."""
    return run.kind in DASHES and (run.roi == run.extra_roi or ABSENT in (run.roi, run.extra_roi))


def _perturbed_samples(material: Material) -> Iterator[Draft]:
    if not material.tables:
        return
    table = next(iter(material.tables.values()))
    categories = {i: table.class_names[t] for i, t in zip(table.sample_ids, table.targets.tolist(), strict=True)}
    pair = [i for i in table.sample_ids if categories[i] in material.ambiguous]
    others = [i for i in table.sample_ids if categories[i] not in material.ambiguous]
    chosen = choose_ids(pair, categories, 1, material.seed)
    chosen += choose_ids(others, categories, PERTURBED_SAMPLES - len(chosen), material.seed)
    wording = words.perturbed_samples(material.perturb, [categories[i] for i in chosen])
    yield Draft(chosen, lambda scenes: perturbation_figure([scenes[i] for i in chosen], material.perturb, wording))


def _bars(summary: Summary) -> Iterator[Draft]:
    if not summary.runs:
        return
    majority = max(result.majority_rate for result in summary.runs.values())
    panels = [
        bar_panel(summary, "top1", "top-1 accuracy, %", majority),
        bar_panel(summary, "macro_f1", "macro F1, %"),
        bar_panel(summary, "ambiguous_f1", "F1 of the ambiguous pair, %", COIN),
    ]
    yield Draft((), lambda _: bar_figure(panels, words.bars(summary)))


def _changes(summary: Summary) -> Iterator[Draft]:
    shuffled, moved = list(permutation_changes(summary)), list(translocation_changes(summary))
    if shuffled:
        yield Draft((), lambda _: change_figure([shuffled], CHANGE_AXIS, words.permutation(summary)))
    if moved:
        yield Draft((), lambda _: change_figure([moved], CHANGE_AXIS, words.translocation(summary)))
