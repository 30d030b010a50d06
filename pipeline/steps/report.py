"""Everything a person wants to see of a study, as one page that opens anywhere without a network."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from pipeline.console import progress
from pipeline.datasets.samples import Sample, read_samples
from pipeline.datasets.shards import Shards
from pipeline.datasets.summary import Summary as DataSummary
from pipeline.errors import ManifestError
from pipeline.evaluation.predictions import PredictionTable, read_predictions
from pipeline.imaging.decode import read_photo
from pipeline.params.analysis import ReportParams
from pipeline.params.base import load_settings
from pipeline.params.data import DownloadParams
from pipeline.reporting.chart_rows import by_kind, perturbation_charts, result_charts
from pipeline.reporting.curve_charts import curve_panel, highest_loss
from pipeline.reporting.data_charts import counts_chart
from pipeline.reporting.duels import Duel, answers_of, category_of, compare_duel, gain
from pipeline.reporting.grid import GridRun
from pipeline.reporting.headline import Comparison, Finding, find, pairings
from pipeline.reporting.heat_map import HeatRow, heat_map
from pipeline.reporting.page import Examples, Page, render
from pipeline.reporting.results import RunRecord, read_class_scores, read_history, read_record
from pipeline.reporting.sample_cards import SampleCard, sample_card
from pipeline.reporting.sample_choice import Views, choose_ids, choose_samples, pick_views
from pipeline.reporting.settings_view import place_name, read_settings
from pipeline.reporting.summary import Summary

SPLIT = "test"
GAINED, LOST = 6, 4
"""Examples shown of samples that the second branch wins, and of those it loses."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where everything but the summary is read from; see `write_report`."""

    index: Path
    raw: Path
    shards: Shards
    runs: Path
    evaluations: Path
    settings: Path


class Photos(NamedTuple):
    """Where the pictures of a sample come from."""

    table: Path
    """`samples.parquet`."""
    raw: Path
    """Photos."""
    shards: Shards
    """Masks and cut-outs."""
    ambiguous: tuple[str, ...]
    """Names of the ambiguous pair."""


def write_report(  # noqa: PLR0913 - one argument for each thing that the stage depends on
    params: ReportParams,
    *,
    variant: str,
    summary: Path,
    index: Path,
    raw: Path,
    shards: Path,
    runs: Path,
    evaluations: Path,
    settings: Path,
    report: Path,
) -> None:
    """Write `report/index.html`; same inputs, same bytes.

    Args:
        params: Section `report`.
        variant: Name of the variant's run.
        summary: `results/summary.json`; names the runs that the page is about.
        index: Output of stage `index`.
        raw: Output of stage `download`.
        shards: Output of stage `pair`.
        runs: Outputs of stage `train`; `run.json` and `history.csv` of each run are read.
        evaluations: Outputs of stage `evaluate`.
        settings: Output of stage `configure`.
        report: Folder to write.

    Raises:
        ManifestError: If anything is absent or damaged; says which stage to run.
    """
    results = _results(summary, variant)
    inputs = Inputs(index, raw, Shards(shards), runs, evaluations, settings)
    text = render(_page(params, results, inputs))
    report.mkdir(parents=True, exist_ok=True)
    (report / "index.html").write_text(text, encoding="utf-8")


def _page(params: ReportParams, results: Summary, inputs: Inputs) -> Page:
    cards = {run: read_record(RunRecord, inputs.runs / run / "run.json", f"train@{run}") for run in results.runs}
    data = read_record(DataSummary, inputs.index / "summary.json", "index")
    ambiguous = _pair(results, cards[results.variant])
    duels = _duels(inputs.evaluations)
    finding = _finding(duels, results, ambiguous, params.seed)
    photos = Photos(inputs.index / "samples.parquet", inputs.raw, inputs.shards, ambiguous)
    samples, examples = _pictures(params, finding.comparisons[0], duels[0], photos)
    return Page(
        dataset=place_name(load_settings(DownloadParams, inputs.settings / "download.json").source),
        summary=results,
        groups=tuple((kind, tuple(group)) for kind, group in groupby(by_kind(results), lambda r: r.run.kind)),
        finding=finding,
        data=data,
        ambiguous=ambiguous,
        samples=samples,
        charts=_charts(results, data, ambiguous),
        curves=_curves(results, inputs.runs),
        heat_rows=_heat_rows(results, inputs.evaluations, ambiguous, inputs.shards.categories),
        examples=examples,
        records=cards,
        shards=inputs.shards.manifest,
        settings=read_settings(inputs.settings),
    )


def _results(path: Path, variant: str) -> Summary:
    results = read_record(Summary, path, "summary")
    if results.variant != variant:
        raise ManifestError(f"{path}: is about variant {results.variant}, not {variant}; run `dvc repro summary`")
    return results


def _pair(results: Summary, record: RunRecord) -> tuple[str, ...]:
    """Return the ambiguous pair, or nothing where runs were not judged on it."""
    return () if results.runs[results.variant].ambiguous_f1 is None else record.ambiguous


def _duels(evaluations: Path) -> tuple[Duel, ...]:
    def table(run: GridRun) -> PredictionTable:
        return read_predictions(evaluations / run.name / "predictions.parquet")

    return tuple(Duel((single, double), table(single), table(double)) for single, double in pairings())


def _finding(duels: tuple[Duel, ...], results: Summary, ambiguous: tuple[str, ...], seed: int) -> Finding:
    bar = progress(duels, total=len(duels), what="comparisons", unit="backbone")
    compared = [(compare_duel(duel, ambiguous), gain(duel, ambiguous, seed)) for duel in bar]
    comparisons, gains = zip(*compared, strict=True)
    return find(comparisons, gains, results, ambiguous)


def _charts(results: Summary, data: DataSummary, ambiguous: tuple[str, ...]) -> dict[str, Markup]:
    counts = counts_chart(data.categories, ambiguous, name="counts")
    return result_charts(results) | perturbation_charts(results) | {"counts": counts}


def _curves(results: Summary, runs: Path) -> dict[str, Markup]:
    histories = {run: read_history(runs / run / "history.csv", f"train@{run}") for run in results.runs}
    highest = highest_loss(tuple(histories.values()))
    bar = progress(results.runs.items(), total=len(results.runs), what="learning curves", unit="run")
    return {
        run: curve_panel(histories[run], name=f"curve{number}", title=result.run.label, highest_loss=highest)
        for number, (run, result) in enumerate(bar)
    }


def _heat_rows(
    results: Summary, evaluations: Path, ambiguous: tuple[str, ...], categories: tuple[str, ...]
) -> tuple[HeatRow, ...]:
    names = [result.run.name for result in by_kind(results)]
    scores = {run: read_class_scores(evaluations / run / "per_class.csv", f"evaluate@{run}") for run in names}
    return heat_map(scores, categories, ambiguous)


def _pictures(
    params: ReportParams, comparison: Comparison, duel: Duel, photos: Photos
) -> tuple[tuple[SampleCard, ...], tuple[Examples, ...]]:
    """Return the contact sheet, and the examples of both directions."""
    chosen = choose_samples(_test_samples(photos.table), photos.ambiguous, params.samples, params.seed)
    sheet = [sample.sample_id for sample in chosen]
    sides = {
        "Right with the surroundings, wrong without": (comparison.only_double, GAINED),
        "Wrong with the surroundings, right without": (comparison.only_single, LOST),
    }
    categories = category_of(duel)
    shown = {title: choose_ids(ids, categories, limit, params.seed) for title, (ids, limit) in sides.items()}
    wanted = frozenset(sheet).union(*shown.values())
    samples = {sample.sample_id: sample for sample in _test_samples(photos.table) if sample.sample_id in wanted}
    cards = dict(_cards(samples, photos))
    examples = tuple(
        Examples(title, tuple(cards[i]._replace(answers=answers_of(duel, i)) for i in ids), len(sides[title][0]))
        for title, ids in shown.items()
    )
    return tuple(cards[sample_id] for sample_id in sheet), examples


def _test_samples(table: Path) -> Iterator[Sample]:
    return (sample for sample in read_samples(table) if sample.split == SPLIT)


def _cards(samples: Mapping[str, Sample], photos: Photos) -> Iterator[tuple[str, SampleCard]]:
    views: Iterable[tuple[str, Views]] = pick_views(photos.shards.batches(SPLIT), samples)
    for sample_id, seen in progress(views, total=len(samples), what="samples", unit="sample"):
        sample = samples[sample_id]
        yield sample_id, sample_card(sample, read_photo(photos.raw / sample.photo_path), seen, photos.ambiguous)
