"""The page and `results.json` as text."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.datasets.statistics import IndexSummary as DataSummary
from pipeline.evaluation.bootstrap import Bootstrap, Interval
from pipeline.reporting import extensions
from pipeline.reporting.error_analysis import SCALE_COLOURS, STEPS, CategoryRow, ErrorAnalysis, step_of
from pipeline.reporting.figures.style import PaperFigure
from pipeline.reporting.finding import Finding
from pipeline.reporting.gains import PairGains, gains_json
from pipeline.reporting.grid import GridRun, Kind
from pipeline.reporting.paper.checks import PaperCheck
from pipeline.reporting.paper.published import FORMATS, Paper, ReportTable, TableCell
from pipeline.reporting.results import RunRecord
from pipeline.reporting.samples import Examples, SampleCard
from pipeline.reporting.summary import RunSummary, StudySummary
from pipeline.reporting.tables import DASH, PLACES, difference_text, interval_text, paper_text, points, value_text
from pipeline.runtime.errors import without_secrets
from pipeline.runtime.manifest import Manifest


class Page(NamedTuple):
    """Everything the page shows; mappings are by name of the run unless another key is named."""

    dataset: str  # source of the photos: `demo`, an address or a path
    photos: bool  # whether photos and cut-outs are there; without, the sections and figures that show them are left out
    summary: StudySummary
    groups: tuple[tuple[Kind, tuple[RunSummary, ...]], ...]
    finding: Finding
    probes: tuple[extensions.ProbeResults, ...]
    gains: tuple[PairGains, ...]
    data: DataSummary
    source: Mapping[str, str | int | None]  # what `data/source.json` records, empty if there is none
    data_card: Sequence[str]
    ambiguous: tuple[str, ...]
    pair_basis: str  # how the pair was chosen, or why there is none; empty where that is not recorded
    samples: tuple[SampleCard, ...]
    examples: tuple[Examples, ...]
    charts: Mapping[str, Markup]
    curves: Mapping[str, Markup]
    curve_split: str
    visible: tuple[float, ...]
    """Shares in [0, 1] of test samples that see their own food, of the runs whose views are paired by photo; sorted."""
    f1_rows: tuple[CategoryRow, ...]
    records: Mapping[str, RunRecord]
    shards: Manifest
    settings: Sequence[tuple[str, Mapping[str, str]]]  # name of each settings file and its values by dotted key
    paper: Paper
    tables: Sequence[ReportTable]
    f1: Mapping[str, Mapping[str, Interval]]  # macro F1 and F1 of the pair, by score and by name of the run
    checks: Sequence[PaperCheck]
    error_analyses: Mapping[str, ErrorAnalysis]
    error_charts: Mapping[str, tuple[Markup, Markup]]  # reliability panel and confusion matrix
    figures: Sequence[PaperFigure]
    masks: extensions.MaskResults
    semantic_maps: extensions.SemanticMaps | None
    seeds: extensions.SeedResults | None
    distillation: extensions.DistillationResults | None
    votes: tuple[extensions.VoteResults, ...]


def render(page: Page) -> str:
    """Return the page as HTML; same values, same text."""
    loader = PackageLoader("pipeline.reporting")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= FILTERS
    offsets = next((result.translocations for result in page.summary.runs.values() if result.translocations), ())
    template = environment.get_template("page.html.j2")
    return template.render(**page._asdict(), offsets=offsets, f1_steps=STEPS, colours=SCALE_COLOURS)


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in [0, 1] as a number of per cent; a dash where there is none."""
    return DASH if share is None or math.isnan(share) else f"{100 * share:.{digits}f}"


def score(value: float | None) -> str:
    """Return a number in [0, 1] with three decimals; a dash where there is none."""
    return DASH if value is None or math.isnan(value) else f"{value:.3f}"


def chance(probability: float) -> str:
    """Return a probability in per cent; what rounds to 0 is `< 1 %`."""
    return f"{100 * probability:.0f} %" if probability >= 0.005 else "< 1 %"  # noqa: PLR2004


def p_value(p: float | None) -> str:
    """Return a probability of no difference with two decimals, small ones with three; a dash where there is none."""
    return DASH if p is None else "< 0.001" if p < 0.0005 else f"{p:.2f}" if p >= 0.095 else f"{p:.3f}"  # noqa: PLR2004


FILTERS = {filter_.__name__: filter_ for filter_ in (percent, score, points, chance, p_value)} | {
    "label": lambda run: GridRun.parse(run).label,
    "step": step_of,
    "views": extensions.views_title,
    "grouped": "{:,}".format,
    "value": value_text,
    "interval": interval_text,
    "paper": paper_text,
    "difference": difference_text,
}
"""Filters of the templates."""


def read_settings(folder: Path) -> tuple[tuple[str, dict[str, str]], ...]:
    """Return name and values by dotted key of every settings file; files of stages first."""
    files = sorted(folder.rglob("*.json"), key=lambda path: (len(path.parts), path))
    return tuple(
        (path.relative_to(folder).with_suffix("").as_posix(), flatten(json.loads(path.read_bytes()))) for path in files
    )


def flatten(value: object, key: str = "") -> dict[str, str]:
    """Return nested settings as text by dotted key, which starts with `key`; passwords are hidden."""
    if not isinstance(value, dict) or not value:
        return {key: "hidden" if key.rpartition(".")[2] == "password" and value else plain(value)}
    return {
        dotted: text
        for name, entry in value.items()
        for dotted, text in flatten(entry, f"{key}.{name}" if key else str(name)).items()
    }


def plain(value: object) -> str:
    """Return a value as text; of a local path only the last part."""
    if value is None or value in ({}, []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f"({plain(entry)})" if isinstance(entry, list) else plain(entry) for entry in value)
    return place_name(value) if isinstance(value, str) else str(value)


def place_name(source: str) -> str:
    """Return a plain word unchanged, a web address without its secrets, and the last part of a local path."""
    local = source.startswith(("/", "~", "file:")) or ":\\" in source
    return PurePath(source.replace("\\", "/")).name if local else without_secrets(source)


def results_text(page: Page, bootstrap: Bootstrap) -> str:
    """Return the text of `results.json`: every number with its interval and provenance."""
    shards, summary, masks = page.shards, page.summary, page.masks
    values: dict[str, Any] = {
        "schema_version": 1,
        "provenance": {
            "dataset": page.dataset,
            "mask_source": shards.source,
            "image_size": shards.image_size,
            "shard_settings_sha256": shards.settings_sha256,
            "runs": {run: record.model_dump(mode="json") for run, record in page.records.items()},
            "paper": dict(page.paper.provenance),
        },
        "conventions": summary.conventions,
        "intervals": {
            "confidence": bootstrap.confidence,
            "methods": {score: form.interval for score, form in FORMATS.items()},
            "resamples": bootstrap.resamples,
            "seed": bootstrap.seed,
        },
        "variant": summary.variant,
        "runs": {
            name: result.model_dump(mode="json")
            | {f"{score}_interval": _ends(by_run.get(name)) for score, by_run in page.f1.items()}
            | page.error_analyses[name].as_json()
            for name, result in summary.runs.items()
        },
        "tables": {
            str(table.number): {
                "caption": table.caption,
                "columns": table.columns,
                "rows": [{"label": row.label, "cells": [_cell(cell) for cell in row.cells]} for row in table.rows],
                "issues": table.issues,
                "setting": table.setting,
            }
            for table in page.tables
        },
        "paper_checks": {
            check.name: {
                "title": check.title,
                "agrees": check.agrees,
                "lines": [line._asdict() for line in check.lines],
            }
            for check in page.checks
        },
    }
    compared = {"agreement": masks.agreement, "transfer": masks.transfer} if masks.compared else {}
    beyond = {
        "probes": {probe.summary.backbone: probe.summary.model_dump(mode="json") for probe in page.probes},
        "gains": gains_json(page.gains),
        "masks": {name: part.model_dump(mode="json") for name, part in compared.items() if part},
        "semantic_maps": page.semantic_maps and page.semantic_maps.as_json(),
        "seeds": page.seeds and page.seeds.repetitions.model_dump(mode="json"),
        "distillation": page.distillation and page.distillation.as_json(),
        "votes": [vote.as_json() for vote in page.votes],
    }
    values |= {name: part for name, part in beyond.items() if part}
    return json.dumps(_finite(values), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(end, PLACES) for end in interval[1:]]


def _cell(cell: TableCell) -> dict[str, Any]:
    return {
        "runs": [run.name for run in cell.key.runs],
        "score": cell.key.measure.score,
        "detail": cell.key.measure.detail,
        "paper": cell.paper,
        "ours": None if cell.ours is None else round(cell.ours.value, PLACES),
        "interval": _ends(cell.ours),
        "difference": cell.difference,
        "samples": (cell.paper_samples, cell.our_samples) if cell.key.measure.score == "count" else None,
        "status": cell.note,
    }


def _finite(value: Any) -> Any:
    """Replace NaN, which JSON lacks, by null."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
