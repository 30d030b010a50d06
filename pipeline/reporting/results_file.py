"""`results.json`: every number of the report with its interval and where it came from, for programs."""

import json
import math
from typing import Any

from pipeline.evaluation.intervals import Bootstrap, Interval
from pipeline.reporting.estimates import INTERVALS
from pipeline.reporting.page import Page
from pipeline.reporting.paper_tables import ReportTable, TableCell

SCHEMA_VERSION = 1
PLACES = 6


def results_text(page: Page, bootstrap: Bootstrap) -> str:
    """Return the file's text; same values, same text.

    Args:
        page: What the report shows.
        bootstrap: How intervals were drawn.
    """
    shards, summary = page.shards, page.summary
    values = {
        "schema_version": SCHEMA_VERSION,
        "provenance": {
            "dataset": page.dataset,
            "mask_source": shards.source,
            "image_size": shards.image_size,
            "shard_settings_sha256": shards.settings_sha256,
            "runs": {run: record.model_dump(mode="json") for run, record in page.records.items()},
            "paper": dict(page.paper.provenance),
        },
        "conventions": summary.conventions,
        "intervals": {"confidence": bootstrap.confidence, "methods": INTERVALS, **_resampling(bootstrap)},
        "variant": summary.variant,
        "runs": {
            name: result.model_dump(mode="json") | _f1_ends(page, name) | page.judgements[name].as_json()
            for name, result in summary.runs.items()
        },
        "tables": {str(table.number): _table(table) for table in page.tables},
        "paper_checks": {
            check.name: {
                "title": check.title,
                "agrees": check.agrees,
                "lines": [line._asdict() for line in check.lines],
            }
            for check in page.checks
        },
    }
    masks = page.masks
    if masks.compared:
        parts = {"agreement": masks.agreement, "transfer": masks.transfer}
        values["masks"] = {name: part.model_dump(mode="json") for name, part in parts.items() if part}
    values |= _beyond(page)
    return json.dumps(_finite(values), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _beyond(page: Page) -> dict[str, Any]:
    """Return what goes beyond single runs, as far as it was asked for."""
    found: dict[str, Any] = {}
    if page.seeds is not None:
        found["seeds"] = page.seeds.repetitions.model_dump(mode="json")
    if page.lesson is not None:
        found["distillation"] = page.lesson.as_json()
    return found


def _resampling(bootstrap: Bootstrap) -> dict[str, int]:
    return {"resamples": bootstrap.resamples, "seed": bootstrap.seed}


def _f1_ends(page: Page, run: str) -> dict[str, list[float] | None]:
    found = {score: by_run.get(run) for score, by_run in page.f1.items()}
    return {f"{score}_interval": _ends(interval) for score, interval in found.items()}


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(end, PLACES) for end in interval[1:]]


def _table(table: ReportTable) -> dict[str, Any]:
    return {
        "caption": table.caption,
        "columns": table.columns,
        "rows": [{"label": row.label, "cells": [_cell(cell) for cell in row.cells]} for row in table.rows],
        "issues": table.issues,
    }


def _cell(cell: TableCell) -> dict[str, Any]:
    return {
        "runs": [run.name for run in cell.key.runs],
        "score": cell.key.measure.score,
        "detail": cell.key.measure.detail,
        "paper": cell.paper,
        "ours": None if cell.ours is None else round(cell.ours.value, PLACES),
        "interval": _ends(cell.ours),
        "difference": cell.difference,
        "samples": cell.samples if cell.key.measure.score == "count" else None,
        "status": cell.status or cell.deviation,
    }


def _finite(value: Any) -> Any:
    """Replace NaN, which JSON lacks, by null."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
