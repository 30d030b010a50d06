"""The predictions of all runs, each file read once, and what follows from them."""

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.console import progress
from pipeline.evaluation.intervals import Bootstrap, Interval
from pipeline.params.analysis import EvaluateParams
from pipeline.reporting.estimates import deviation_of, estimate, samples_of
from pipeline.reporting.grid import GridRun
from pipeline.reporting.judgement import Judgement, judge
from pipeline.reporting.paper.source import AMBIGUOUS, MACRO, Key, Paper
from pipeline.reporting.paper_tables import ReportTable, fill, keys_of
from pipeline.reporting.run_files import Evidence, RunFiles
from pipeline.reporting.summary import Summary


class Answers(NamedTuple):
    """What the predictions of all runs give."""

    evidence: Mapping[GridRun, Evidence]
    judgements: Mapping[str, Judgement]
    """By name of the run."""


def read_answers(results: Summary, files: RunFiles, ambiguous: tuple[str, ...], settings: EvaluateParams) -> Answers:
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
        judgements[name] = judge(
            table,
            temperature=files.record(name).calibration.temperature,
            bins=settings.ece_bins,
            limit=settings.top_confusions,
        )
        perturbed = bool(result.permutations or result.translocations)
        evidence[result.run] = files.evidence(name, table, ambiguous, perturbed=perturbed)
    return Answers(evidence, judgements)


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
