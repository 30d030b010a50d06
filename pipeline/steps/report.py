"""Write the report of a study: one offline page, its numbers, tables and figures."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path

from pipeline.acquisition.source import SourceRecord, is_foodseg103
from pipeline.datasets.foodseg103 import CATEGORIES, compare_with_release
from pipeline.datasets.sample_batch import share_visible
from pipeline.datasets.shards import Shards
from pipeline.datasets.statistics import IndexSummary as DataSummary
from pipeline.evaluation.ambiguous import AmbiguousPair
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.base import load_settings, read_record
from pipeline.params.stages import DownloadParams, EvaluateParams, ReportParams
from pipeline.reporting import extensions
from pipeline.reporting.error_analysis import ErrorAnalysis, analyse_errors, error_charts, f1_matrix
from pipeline.reporting.figures import charts
from pipeline.reporting.figures.paper_figures import DISAGREEING, draw_figures, write_figures
from pipeline.reporting.finding import build_finding, pair_runs, pairings
from pipeline.reporting.gains import all_gains, read_facts, write_gains
from pipeline.reporting.grid import GridRun
from pipeline.reporting.page import Page, place_name, read_settings, render, results_text
from pipeline.reporting.paper.checks import check_paper
from pipeline.reporting.paper.published import read_paper
from pipeline.reporting.paper.setting import data_deviations, official_counts, run_deviations
from pipeline.reporting.results import ReportInputs, RunFiles, RunPredictions, RunRecord
from pipeline.reporting.samples import show_samples
from pipeline.reporting.summary import StudySummary
from pipeline.reporting.tables import estimate, f1_by_run, keys_of, paper_tables, write_tables
from pipeline.runtime.console import progress
from pipeline.runtime.errors import ManifestError


def write_report(  # noqa: PLR0913 - one argument for each dependency of the stage
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
    source: Path | None = None,
    agreement: Path | None = None,
    transfer: Path | None = None,
    repetitions: Path | None = None,
    distilled: Path | None = None,
    probes: Path | None = None,
    votes: Path | None = None,
    ambiguous: Path | None = None,
) -> None:
    """Write `index.html`, `results.json`, `tables/` and `figures/` into `report`; same inputs, same bytes.

    The page is about the runs in `summary`; `variant` is None where they were chosen. Without `raw` everything that
    shows a photo is left out, and of `shards` the manifest is enough; what is None or absent of the rest did not run.

    Raises:
        ManifestError: If anything is absent or damaged; says which stage to run.
    """
    results = read_record(StudySummary, summary, "summary")
    if results.variant != variant:
        raise ManifestError(f"{summary}: is about variant {results.variant}, not {variant}; run `dvc repro summary`")
    files = RunFiles(runs, evaluations, perturbations)
    inputs = ReportInputs(index, raw, Shards(shards), files, explanations, settings)
    records = {run: files.record(run) for run in results.runs}
    histories = {run: files.history(run) for run in results.runs}
    chosen = read_record(AmbiguousPair, ambiguous, "ambiguous") if ambiguous and ambiguous.is_file() else None
    evaluated_on_pair = (run for run, result in results.runs.items() if result.ambiguous_f1 is not None)
    # as evaluated; runs of earlier versions say it in their cards
    pair = next((files.metrics(run).ambiguous or records[run].ambiguous for run in evaluated_on_pair), ())
    tables, predictions, named, errors = _load_results(results, inputs, records, pair)
    bootstrap, paper = Bootstrap(params.seed), read_paper()
    ours = estimate(keys_of(paper, predictions), predictions, bootstrap)
    voted = extensions.read_vote_results(votes, pair, bootstrap)
    data = read_record(DataSummary, index / "summary.json", "index")
    dataset = load_settings(DownloadParams, settings / "download.json").source
    came_from = read_record(SourceRecord, source, "download") if source and source.is_file() else None
    pairs, split = pair_runs(tables, records), charts.curve_split(histories.values())
    finding = build_finding(pairs, results, pair, bootstrap)
    samples, examples = show_samples(params, finding, pairs, inputs, pair)
    grouped, categories = charts.by_kind(results), inputs.shards.categories
    of_pair = charts.bar_panel(results, "ambiguous_top1", "ambiguous pair, right answers, %", charts.COIN)
    ece = charts.bar_panel(results, "ece", "expected calibration error, %")
    by_photo = [result.run for name, result in results.runs.items() if records[name].food_visible]
    visible = {share_visible(predictions[run].sample_ids) for run in by_photo}
    # figures pair views as training did
    paired = replace(inputs, shards=inputs.shards.paired("by_photo" if by_photo else "exact", categories))
    scores = {result.run.name: errors[result.run.name].categories for result in grouped}
    masks, of_data = inputs.shards.manifest.source, data_deviations(data)
    deviations = {run: of_data.joined(run_deviations(records[run.name], masks)) for run in predictions}
    gains = all_gains(
        predictions,
        {run: records[run.name].class_names for run in predictions},
        {run: files.validation(run.name) for run in {*chain(*pairings(predictions, fused=True))}},
        read_facts(index / "samples.parquet"),
        bootstrap,
    )
    page = Page(
        photos=raw is not None,
        dataset=place_name(dataset),
        summary=results,
        groups=tuple((kind, tuple(group)) for kind, group in groupby(grouped, lambda result: result.run.kind)),
        finding=finding,
        probes=extensions.read_probe_results(probes, params.probed),
        gains=gains,
        data=data,
        source=came_from.model_dump(exclude_none=True) if came_from else {},
        data_card=tuple(_data_card(data, came_from, dataset, chosen)),
        ambiguous=pair,
        pair_basis=chosen.basis if chosen else "",
        samples=samples,
        charts={
            "ambiguous_top1": charts.bar_chart(of_pair, "ambiguous_top1"),
            "ece": charts.bar_chart(ece, "ece"),
            "counts": charts.counts_chart(data.categories, pair, name="counts"),
        },
        curves=charts.curve_panels(results, histories, split),
        visible=tuple(sorted(visible)),
        curve_split=split,
        f1_rows=f1_matrix(scores, categories, pair),
        examples=examples,
        records=records,
        shards=inputs.shards.manifest,
        settings=read_settings(settings),
        paper=paper,
        tables=paper_tables(paper, predictions, ours, deviations),
        f1=f1_by_run(ours),
        checks=check_paper(paper),
        error_analyses=errors,
        error_charts=error_charts(results, errors),
        figures=draw_figures(
            results, paired, tables=tables, histories=histories, split=split, ambiguous=pair, seed=params.seed
        ),
        masks=extensions.read_mask_results(agreement, transfer),
        semantic_maps=extensions.read_semantic_maps(
            agreement, named | {f"vote@{vote.summary.name}": vote.predictions for vote in voted}, categories
        ),
        seeds=extensions.read_seed_results(repetitions),
        distillation=extensions.read_distillation_results(distilled, files, tuple(results.runs), pair, bootstrap),
        votes=voted,
    )
    text = results_text(page, bootstrap)
    write_tables(page.tables, report / "tables")
    write_gains(gains, report / "tables")
    if page.semantic_maps is not None:
        page.semantic_maps.write(report / "tables")
    write_figures(page.figures, report / "figures")
    (report / "results.json").write_text(text, encoding="utf-8")
    (report / "index.html").write_text(render(page), encoding="utf-8")


def _data_card(
    data: DataSummary, came_from: SourceRecord | None, dataset: str, chosen: AmbiguousPair | None
) -> Iterator[str]:
    """Yield the data set in sentences: source, whether FoodSeg103 is complete, stage `index`'s, what a pair lacks."""
    yield came_from.sentence() if came_from else "Where the data set came from is not recorded."
    names = tuple(category.name for category in data.categories if not category.extra)
    if is_foodseg103(dataset) or names == CATEGORIES[1:]:
        yield compare_with_release(official_counts(data), names)
    yield from data.data_card
    if chosen:
        yield from chosen.notes


def _load_results(
    results: StudySummary, inputs: ReportInputs, records: Mapping[str, RunRecord], ambiguous: tuple[str, ...]
) -> tuple[
    dict[GridRun, PredictionTable], dict[GridRun, RunPredictions], dict[str, dict[str, str]], dict[str, ErrorAnalysis]
]:
    """Read the predictions of one run after the other; tables, with logits, are kept of the runs that are compared."""
    settings, files = load_settings(EvaluateParams, inputs.settings / "evaluate.json"), inputs.files
    runs = [result.run for result in results.runs.values()]
    kept = {runs[0], *DISAGREEING, *chain(*pairings(runs))}
    tables, predictions, named, errors = {}, {}, {}, {}
    for name, result in progress(results.runs.items(), total=len(results.runs), what="predictions", unit="run"):
        table, record = files.predictions(name), records[name]
        named[name] = table.named_predictions
        bins, limit = settings.ece_bins, settings.top_confusions
        errors[name] = analyse_errors(table, temperature=record.calibration.temperature, bins=bins, limit=limit)
        perturbed = bool(result.permutations or result.translocations)
        predictions[result.run] = files.run_predictions(
            name, table, ambiguous, perturbed=perturbed, side=record.image_size
        )
        if result.run in kept:
            tables[result.run] = table
    return tables, predictions, named, errors
