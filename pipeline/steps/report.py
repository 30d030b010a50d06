"""Everything a person wants to see of a study, as one page that opens anywhere without a network."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from pipeline.datasets.index import choose_named, read_samples
from pipeline.datasets.photos import read_photo_of
from pipeline.datasets.shards import Shards
from pipeline.datasets.statistics import IndexSummary as DataSummary
from pipeline.evaluation.bootstrap import Bootstrap, Interval
from pipeline.evaluation.heat_maps import FILE, read_heat_maps
from pipeline.params.base import load_settings
from pipeline.params.stages import DownloadParams, EvaluateParams, ExplainParams, PerturbParams, ReportParams
from pipeline.reporting.distillation import LessonEvidence, read_lesson_evidence
from pipeline.reporting.error_analysis import CategoryRow, ErrorAnalysis, analyse_errors, error_charts, heat_map
from pipeline.reporting.estimates import deviation_of, estimate, samples_of
from pipeline.reporting.figures.epochs import curve_panel, highest_loss
from pipeline.reporting.figures.gallery import EXPLAINED_RUNS, FigureData, draft_figures
from pipeline.reporting.figures.run_bars import COIN, bar_chart, bar_panel, by_kind, counts_chart
from pipeline.reporting.figures.scenes import SamplePictures, make_scene
from pipeline.reporting.figures.style import PaperFigure
from pipeline.reporting.gallery import Photos, show_samples
from pipeline.reporting.grid import GridRun
from pipeline.reporting.headline import Finding, PairedRuns, compare_pair, find, gain, pairings
from pipeline.reporting.mask_comparison import MaskEvidence, read_mask_evidence
from pipeline.reporting.page import Examples, Page, place_name, read_settings, render, results_text
from pipeline.reporting.paper.comparisons import check_paper
from pipeline.reporting.paper.published import AMBIGUOUS, MACRO, Key, Paper, read_paper
from pipeline.reporting.results import RunRecord, read_record
from pipeline.reporting.run_files import Evidence, RunFiles
from pipeline.reporting.samples import SampleCard
from pipeline.reporting.seeds import SeedEvidence, read_seed_evidence
from pipeline.reporting.summary import StudySummary
from pipeline.reporting.tables import ReportTable, fill, keys_of, write_tables
from pipeline.runtime.console import progress
from pipeline.runtime.errors import ManifestError

# Figures 3 to 10 of the paper from our runs; part of stage `report`.


SPLIT = "test"


@dataclass(frozen=True, slots=True)
class Sources:
    """Folders that figures are made from."""

    index: Path
    """Output of stage `index`."""
    raw: Path | None
    """Output of stage `download`; None leaves out the figures that show photos."""
    shards: Shards
    """Output of stage `pair`."""
    files: RunFiles
    """Outputs of the stages of runs."""
    explanations: Path
    """Outputs of stage `explain`."""
    settings: Path
    """Output of stage `configure`."""


def draw_figures(
    summary: StudySummary, sources: Sources, *, ambiguous: tuple[str, ...], seed: int
) -> tuple[PaperFigure, ...]:
    """Draw the figures whose runs are there.

    Args:
        summary: Runs to show; only their files are read.
        sources: Where files lie.
        ambiguous: Names of the pair that the data set has.
        seed: Seed of the choice of examples.

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read.
        ManifestError: If a file is damaged, or a shard is absent.
    """
    drafts = draft_figures(_material(summary, sources, ambiguous, seed))
    if sources.raw is None:
        drafts, scenes = tuple(draft for draft in drafts if not draft.sample_ids), {}
    else:
        shown = tuple(dict.fromkeys(i for draft in drafts for i in draft.sample_ids))
        scenes = dict(_scenes(shown, sources, sources.raw))
    return tuple(draft.draw(scenes) for draft in progress(drafts, total=len(drafts), what="figures", unit="figure"))


def write_figures(figures: Sequence[PaperFigure], folder: Path) -> None:
    """Write `folder/NAME.svg` and `folder/NAME.png` of every figure."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures:
        (folder / f"{figure.name}.svg").write_bytes(figure.svg)
        (folder / f"{figure.name}.png").write_bytes(figure.png)


def _material(summary: StudySummary, sources: Sources, ambiguous: tuple[str, ...], seed: int) -> FigureData:
    runs = {result.run: name for name, result in summary.runs.items()}
    return FigureData(
        summary=summary,
        histories={run: sources.files.history(name) for run, name in _having(runs, sources.files.runs, "history.csv")},
        tables={
            run: sources.files.predictions(name)
            for run, name in _having(runs, sources.files.evaluations, "predictions.parquet")
        },
        heat_maps={
            run: read_heat_maps(sources.explanations / name / FILE)
            for run, name in _having(runs, sources.explanations, FILE)
            if run in EXPLAINED_RUNS or name == summary.variant
        },
        perturb=load_settings(PerturbParams, sources.settings / "perturb.json"),
        explain=load_settings(ExplainParams, sources.settings / "explain.json"),
        ambiguous=ambiguous,
        seed=seed,
    )


def _having(runs: dict[GridRun, str], folder: Path, file: str) -> Iterator[tuple[GridRun, str]]:
    """Yield the runs whose file is there: a study need not have made all of the paper's."""
    return ((run, name) for run, name in runs.items() if (folder / name / file).is_file())


def _scenes(sample_ids: Sequence[str], sources: Sources, raw: Path) -> Iterator[tuple[str, SamplePictures]]:
    chosen = choose_named(read_samples(sources.index / "samples.parquet"), sample_ids)
    views = sources.shards.select(SPLIT, [numbered.row for numbered in chosen])
    for place, numbered in enumerate(progress(chosen, total=len(chosen), what="figures: samples", unit="sample")):
        sample = numbered.sample
        yield sample.sample_id, make_scene(sample, read_photo_of(sample, raw), views.row(place))


# The predictions of all runs, each file read once, and what follows from them.


class LoadedResults(NamedTuple):
    """What the predictions of all runs give."""

    evidence: Mapping[GridRun, Evidence]
    judgements: Mapping[str, ErrorAnalysis]
    """By name of the run."""


def load_results(
    results: StudySummary, files: RunFiles, ambiguous: tuple[str, ...], settings: EvaluateParams
) -> LoadedResults:
    """Read the predictions of one run after the other; logits are dropped before the next is read.

    Args:
        results: Runs to read; those with perturbations must have their predictions too.
        files: Where they lie.
        ambiguous: Names of the pair.
        settings: Bins of the calibration and number of confused pairs.

    Raises:
        ManifestError: If a file is absent or damaged.
    """
    evidence, judgements = {}, {}
    for name, result in progress(results.runs.items(), total=len(results.runs), what="predictions", unit="run"):
        table = files.predictions(name)
        judgements[name] = analyse_errors(
            table,
            temperature=files.record(name).calibration.temperature,
            bins=settings.ece_bins,
            limit=settings.top_confusions,
        )
        perturbed = bool(result.permutations or result.translocations)
        evidence[result.run] = files.evidence(name, table, ambiguous, perturbed=perturbed)
    return LoadedResults(evidence, judgements)


def tables_of(paper: Paper, evidence: Mapping[GridRun, Evidence], bootstrap: Bootstrap) -> tuple[ReportTable, ...]:
    """Return Tables 2 to 12 with what the runs that were made say."""
    keys = keys_of(paper)
    ours = estimate(keys, evidence, bootstrap)
    samples = {key: samples for key in keys if (samples := samples_of(key, evidence)) is not None}
    deviations = {key: text for key in keys if (text := deviation_of(key, evidence))}
    return fill(paper, ours, samples, evidence.keys(), deviations)


def f1_intervals_of(evidence: Mapping[GridRun, Evidence], bootstrap: Bootstrap) -> dict[str, dict[str, Interval]]:
    """Return macro F1 and F1 of the pair with their intervals, by score and by name of the run."""
    measures = {measure.score: measure for measure in (MACRO, AMBIGUOUS)}
    keys = {score: {run.name: Key((run,), measure) for run in evidence} for score, measure in measures.items()}
    found = estimate([key for by_run in keys.values() for key in by_run.values()], evidence, bootstrap)
    return {score: {run: found[key] for run, key in by_run.items() if key in found} for score, by_run in keys.items()}


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


class StudyResults(NamedTuple):
    """What the runs say."""

    results: StudySummary
    records: Mapping[str, RunRecord]
    """Run cards by run."""
    ambiguous: tuple[str, ...]
    """Names of the ambiguous pair that the data set has."""
    answers: LoadedResults
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


def _read_study(results: StudySummary, inputs: Inputs, bootstrap: Bootstrap) -> StudyResults:
    records = {run: inputs.files.record(run) for run in results.runs}
    ambiguous = _pair(results, records)
    judging = load_settings(EvaluateParams, inputs.settings / "evaluate.json")
    answers = load_results(results, inputs.files, ambiguous, judging)
    tables = tables_of(read_paper(), answers.evidence, bootstrap)
    return StudyResults(results, records, ambiguous, answers, tables, f1_intervals_of(answers.evidence, bootstrap))


def _page(params: ReportParams, study: StudyResults, inputs: Inputs) -> Page:
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
    params: ReportParams, finding: Finding, duels: tuple[PairedRuns, ...], inputs: Inputs, ambiguous: tuple[str, ...]
) -> tuple[tuple[SampleCard, ...], tuple[Examples, ...]]:
    if inputs.raw is None:
        return (), ()
    photos = Photos(inputs.index / "samples.parquet", inputs.raw, inputs.shards, ambiguous)
    return show_samples(params, finding, duels, photos)


def _lesson(study: StudyResults, inputs: Inputs, bootstrap: Bootstrap) -> LessonEvidence | None:
    return read_lesson_evidence(inputs.distilled, inputs.files, tuple(study.results.runs), study.ambiguous, bootstrap)


def _figures(study: StudyResults, inputs: Inputs, seed: int) -> tuple[PaperFigure, ...]:
    by_photo = any(record.food_visible for record in study.records.values())
    shards = inputs.shards.paired("by_photo" if by_photo else "exact", inputs.shards.categories)
    sources = Sources(inputs.index, inputs.raw, shards, inputs.files, inputs.explanations, inputs.settings)
    return draw_figures(study.results, sources, ambiguous=study.ambiguous, seed=seed)


def _results(path: Path, variant: str | None) -> StudySummary:
    results = read_record(StudySummary, path, "summary")
    if results.variant != variant:
        raise ManifestError(f"{path}: is about variant {results.variant}, not {variant}; run `dvc repro summary`")
    return results


def _pair(results: StudySummary, records: Mapping[str, RunRecord]) -> tuple[str, ...]:
    """Return the ambiguous pair, or nothing where no run was judged on it."""
    judged = (records[name].ambiguous for name, result in results.runs.items() if result.ambiguous_f1 is not None)
    return next(judged, ())


def _duels(files: RunFiles, made: Collection[GridRun]) -> tuple[PairedRuns, ...]:
    def temperature(run: GridRun) -> float:
        return files.record(run.name).calibration.temperature

    return tuple(
        PairedRuns(
            (single, double),
            files.predictions(single.name),
            files.predictions(double.name),
            (temperature(single), temperature(double)),
        )
        for single, double in pairings(made)
    )


def _finding(duels: tuple[PairedRuns, ...], results: StudySummary, ambiguous: tuple[str, ...], seed: int) -> Finding:
    bar = progress(duels, total=len(duels), what="comparisons", unit="backbone")
    compared = [(compare_pair(duel, ambiguous, seed), gain(duel, ambiguous, seed)) for duel in bar]
    comparisons, gains = [c for c, _ in compared], [g for _, g in compared]
    return find(comparisons, gains, results, ambiguous)


def _charts(results: StudySummary, data: DataSummary, ambiguous: tuple[str, ...]) -> dict[str, Markup]:
    right = bar_panel(results, "ambiguous_top1", "ambiguous pair, right answers, %", COIN)
    ece = bar_panel(results, "ece", "expected calibration error, %")
    return {
        "ambiguous_top1": bar_chart(right, "ambiguous_top1"),
        "ece": bar_chart(ece, "ece"),
        "counts": counts_chart(data.categories, ambiguous, name="counts"),
    }


def _curves(results: StudySummary, files: RunFiles) -> dict[str, Markup]:
    histories = {run: files.history(run) for run in results.runs}
    highest = highest_loss(tuple(histories.values()))
    bar = progress(results.runs.items(), total=len(results.runs), what="learning curves", unit="run")
    return {
        run: curve_panel(histories[run], name=f"curve{number}", title=result.run.label, highest_loss=highest)
        for number, (run, result) in enumerate(bar)
    }


def _heat_rows(
    results: StudySummary, files: RunFiles, ambiguous: tuple[str, ...], categories: tuple[str, ...]
) -> tuple[CategoryRow, ...]:
    names = [result.run.name for result in by_kind(results)]
    return heat_map({run: files.class_scores(run) for run in names}, categories, ambiguous)
