"""Everything a person wants to see of a study, as one page that opens anywhere without a network."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from pipeline.console import progress
from pipeline.datasets.shards import Shards
from pipeline.datasets.summary import Summary as DataSummary
from pipeline.errors import ManifestError
from pipeline.evaluation.intervals import Bootstrap, Interval
from pipeline.params.analysis import EvaluateParams, ReportParams
from pipeline.params.base import load_settings
from pipeline.params.data import DownloadParams
from pipeline.reporting.answers import Answers, f1_intervals_of, read_answers, tables_of
from pipeline.reporting.data_charts import counts_chart
from pipeline.reporting.duels import Duel, compare_duel, gain
from pipeline.reporting.error_charts import error_charts
from pipeline.reporting.figures.epochs import curve_panel, highest_loss
from pipeline.reporting.figures.run_bars import COIN, bar_chart, bar_panel, by_kind
from pipeline.reporting.figures.style import PaperFigure
from pipeline.reporting.gallery import Photos, show_samples
from pipeline.reporting.grid import GridRun
from pipeline.reporting.headline import Finding, find, pairings
from pipeline.reporting.heat_map import HeatRow, heat_map
from pipeline.reporting.lesson_evidence import LessonEvidence, read_lesson_evidence
from pipeline.reporting.mask_evidence import MaskEvidence, read_mask_evidence
from pipeline.reporting.page import Examples, Page, render
from pipeline.reporting.paper.checks import check_paper
from pipeline.reporting.paper.source import read_paper
from pipeline.reporting.paper_tables import ReportTable
from pipeline.reporting.results import RunRecord, read_record
from pipeline.reporting.results_file import results_text
from pipeline.reporting.run_files import RunFiles
from pipeline.reporting.sample_cards import SampleCard
from pipeline.reporting.seed_evidence import SeedEvidence, read_seed_evidence
from pipeline.reporting.settings_view import place_name, read_settings
from pipeline.reporting.summary import Summary
from pipeline.reporting.table_files import write_tables
from pipeline.steps.figures import Sources, draw_figures, write_figures


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where everything but the summary is read from; see `write_report`."""

    index: Path
    raw: Path | None
    shards: Shards
    files: RunFiles
    explanations: Path
    settings: Path
    masks: MaskEvidence
    seeds: SeedEvidence | None
    distilled: Path | None


class Study(NamedTuple):
    """What the runs say."""

    results: Summary
    records: Mapping[str, RunRecord]
    """Run cards by run."""
    ambiguous: tuple[str, ...]
    """Names of the ambiguous pair that the data set has."""
    answers: Answers
    tables: tuple[ReportTable, ...]
    """The paper's tables with our numbers."""
    f1: Mapping[str, Mapping[str, Interval]]
    """F1 with intervals, by score and run."""


def write_report(  # noqa: PLR0913 - one argument for each thing that the stage depends on
    params: ReportParams,
    *,
    variant: str | None,
    summary: Path,
    index: Path,
    raw: Path | None,
    shards: Path,
    runs: Path,
    evaluations: Path,
    perturbations: Path,
    explanations: Path,
    settings: Path,
    report: Path,
    agreement: Path | None = None,
    transfer: Path | None = None,
    repetitions: Path | None = None,
    distilled: Path | None = None,
) -> None:
    """Write `index.html`, `results.json`, `tables/` and `figures/` into `report`; same inputs, same bytes.

    Args:
        params: Section `report`.
        variant: Name of the variant's run; None for a report of chosen runs.
        summary: `summary.json`; names the runs that the page is about.
        index: Output of stage `index`.
        raw: Output of stage `download`; None leaves out everything that shows a photo.
        shards: Output of stage `pair`; without photos its manifest is enough.
        runs: Outputs of stage `train`; `run.json` and `history.csv` of each run are read.
        evaluations: Outputs of stage `evaluate`.
        perturbations: Outputs of stage `perturb`.
        explanations: Outputs of stage `explain`, for some of the runs.
        settings: Output of stage `configure`.
        report: Folder to write.
        agreement: Output of stage `agreement` for the mask source, if it ran.
        transfer: Output of stage `transfer` for the mask source, if it ran.
        repetitions: Output of stage `repeats`, if it ran.
        distilled: Output of stage `distill` for one teacher, if it ran.

    Raises:
        ManifestError: If anything is absent or damaged; says which stage to run.
    """
    results, files = _results(summary, variant), RunFiles(runs, evaluations, perturbations)
    masks, seeds = read_mask_evidence(agreement, transfer), read_seed_evidence(repetitions)
    inputs = Inputs(index, raw, Shards(shards), files, explanations, settings, masks, seeds, distilled)
    study = _read_study(results, inputs, Bootstrap(params.seed))
    _write(_page(params, study, inputs), Bootstrap(params.seed), report)


def _write(page: Page, bootstrap: Bootstrap, report: Path) -> None:
    text = results_text(page, bootstrap)
    write_tables(page.tables, report / "tables")
    write_figures(page.figures, report / "figures")
    (report / "results.json").write_text(text, encoding="utf-8")
    (report / "index.html").write_text(render(page), encoding="utf-8")


def _read_study(results: Summary, inputs: Inputs, bootstrap: Bootstrap) -> Study:
    records = {run: inputs.files.record(run) for run in results.runs}
    ambiguous = _pair(results, records)
    judging = load_settings(EvaluateParams, inputs.settings / "evaluate.json")
    answers = read_answers(results, inputs.files, ambiguous, judging)
    tables = tables_of(read_paper(), answers.evidence, bootstrap)
    return Study(results, records, ambiguous, answers, tables, f1_intervals_of(answers.evidence, bootstrap))


def _page(params: ReportParams, study: Study, inputs: Inputs) -> Page:
    results, ambiguous = study.results, study.ambiguous
    data = read_record(DataSummary, inputs.index / "summary.json", "index")
    duels = _duels(inputs.files, study.answers.evidence)
    finding = _finding(duels, results, ambiguous, params.seed)
    samples, examples = _samples(params, finding, duels, inputs, ambiguous)
    return Page(
        photos=inputs.raw is not None,
        dataset=place_name(load_settings(DownloadParams, inputs.settings / "download.json").source),
        summary=results,
        groups=tuple((kind, tuple(group)) for kind, group in groupby(by_kind(results), lambda r: r.run.kind)),
        finding=finding,
        data=data,
        ambiguous=ambiguous,
        samples=samples,
        charts=_charts(results, data, ambiguous),
        curves=_curves(results, inputs.files),
        heat_rows=_heat_rows(results, inputs.files, ambiguous, inputs.shards.categories),
        examples=examples,
        records=study.records,
        shards=inputs.shards.manifest,
        settings=read_settings(inputs.settings),
        paper=read_paper(),
        tables=study.tables,
        f1=study.f1,
        checks=check_paper(read_paper()),
        judgements=study.answers.judgements,
        error_charts=error_charts(results, study.answers.judgements),
        figures=_figures(study, inputs, params.seed),
        masks=inputs.masks,
        seeds=inputs.seeds,
        lesson=_lesson(study, inputs, Bootstrap(params.seed)),
    )


def _samples(
    params: ReportParams, finding: Finding, duels: tuple[Duel, ...], inputs: Inputs, ambiguous: tuple[str, ...]
) -> tuple[tuple[SampleCard, ...], tuple[Examples, ...]]:
    if inputs.raw is None:
        return (), ()
    photos = Photos(inputs.index / "samples.parquet", inputs.raw, inputs.shards, ambiguous)
    return show_samples(params, finding, duels, photos)


def _lesson(study: Study, inputs: Inputs, bootstrap: Bootstrap) -> LessonEvidence | None:
    return read_lesson_evidence(inputs.distilled, inputs.files, tuple(study.results.runs), study.ambiguous, bootstrap)


def _figures(study: Study, inputs: Inputs, seed: int) -> tuple[PaperFigure, ...]:
    by_photo = any(record.food_visible for record in study.records.values())
    shards = inputs.shards.paired("by_photo" if by_photo else "exact", inputs.shards.categories)
    sources = Sources(inputs.index, inputs.raw, shards, inputs.files, inputs.explanations, inputs.settings)
    return draw_figures(study.results, sources, ambiguous=study.ambiguous, seed=seed)


def _results(path: Path, variant: str | None) -> Summary:
    results = read_record(Summary, path, "summary")
    if results.variant != variant:
        raise ManifestError(f"{path}: is about variant {results.variant}, not {variant}; run `dvc repro summary`")
    return results


def _pair(results: Summary, records: Mapping[str, RunRecord]) -> tuple[str, ...]:
    """Return the ambiguous pair, or nothing where no run was judged on it."""
    judged = (records[name].ambiguous for name, result in results.runs.items() if result.ambiguous_f1 is not None)
    return next(judged, ())


def _duels(files: RunFiles, made: Collection[GridRun]) -> tuple[Duel, ...]:
    def temperature(run: GridRun) -> float:
        return files.record(run.name).calibration.temperature

    return tuple(
        Duel(
            (single, double),
            files.predictions(single.name),
            files.predictions(double.name),
            (temperature(single), temperature(double)),
        )
        for single, double in pairings(made)
    )


def _finding(duels: tuple[Duel, ...], results: Summary, ambiguous: tuple[str, ...], seed: int) -> Finding:
    bar = progress(duels, total=len(duels), what="comparisons", unit="backbone")
    compared = [(compare_duel(duel, ambiguous, seed), gain(duel, ambiguous, seed)) for duel in bar]
    comparisons, gains = [c for c, _ in compared], [g for _, g in compared]
    return find(comparisons, gains, results, ambiguous)


def _charts(results: Summary, data: DataSummary, ambiguous: tuple[str, ...]) -> dict[str, Markup]:
    right = bar_panel(results, "ambiguous_top1", "ambiguous pair, right answers, %", COIN)
    ece = bar_panel(results, "ece", "expected calibration error, %")
    return {
        "ambiguous_top1": bar_chart(right, "ambiguous_top1"),
        "ece": bar_chart(ece, "ece"),
        "counts": counts_chart(data.categories, ambiguous, name="counts"),
    }


def _curves(results: Summary, files: RunFiles) -> dict[str, Markup]:
    histories = {run: files.history(run) for run in results.runs}
    highest = highest_loss(tuple(histories.values()))
    bar = progress(results.runs.items(), total=len(results.runs), what="learning curves", unit="run")
    return {
        run: curve_panel(histories[run], name=f"curve{number}", title=result.run.label, highest_loss=highest)
        for number, (run, result) in enumerate(bar)
    }


def _heat_rows(
    results: Summary, files: RunFiles, ambiguous: tuple[str, ...], categories: tuple[str, ...]
) -> tuple[HeatRow, ...]:
    names = [result.run.name for result in by_kind(results)]
    return heat_map({run: files.class_scores(run) for run in names}, categories, ambiguous)
