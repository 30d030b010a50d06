"""The page as text: one template filled with values, without any look at files other than its own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.datasets.summary import Summary as DataSummary
from pipeline.evaluation.intervals import Interval
from pipeline.manifest import Manifest
from pipeline.reporting.error_charts import scale_colours
from pipeline.reporting.figures.style import PaperFigure
from pipeline.reporting.grid import Kind
from pipeline.reporting.headline import Finding
from pipeline.reporting.heat_map import STEPS, HeatRow
from pipeline.reporting.judgement import Judgement
from pipeline.reporting.lesson_evidence import LessonEvidence
from pipeline.reporting.mask_evidence import MaskEvidence
from pipeline.reporting.paper.checks import Check
from pipeline.reporting.paper.source import Paper
from pipeline.reporting.paper_tables import ReportTable
from pipeline.reporting.results import RunRecord
from pipeline.reporting.sample_cards import SampleCard
from pipeline.reporting.seed_evidence import SeedEvidence
from pipeline.reporting.summary import RunSummary, Summary
from pipeline.reporting.table_files import difference_text, interval_text, paper_text, value_text

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


class Examples(NamedTuple):
    """Samples that two runs disagree on."""

    title: str
    cards: tuple[SampleCard, ...]
    total: int
    """How many there are, shown or not."""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the page shows."""

    dataset: str
    """Where the photos came from: `demo`, an address or a path."""
    photos: bool
    """Whether photos and cut-outs were at hand; without, the sections and figures that show them are left out."""
    summary: Summary
    groups: tuple[tuple[Kind, tuple[RunSummary, ...]], ...]
    """Runs by kind, as tables show them."""
    finding: Finding
    data: DataSummary
    ambiguous: tuple[str, ...]
    """Names of the ambiguous pair that the data set has."""
    samples: tuple[SampleCard, ...]
    charts: Mapping[str, Markup]
    curves: Mapping[str, Markup]
    """Learning curves by run."""
    heat_rows: tuple[HeatRow, ...]
    """Cells by run in the order of `groups`."""
    examples: tuple[Examples, ...]
    records: Mapping[str, RunRecord]
    """Run cards by run."""
    shards: Manifest
    settings: Sequence[tuple[str, Mapping[str, str]]]
    """Name of each settings file and its values by dotted key."""
    paper: Paper
    """The printed numbers."""
    tables: Sequence[ReportTable]
    """Tables 2 to 12, ours beside the paper's."""
    f1: Mapping[str, Mapping[str, Interval]]
    """Macro F1 and F1 of the pair with intervals, by score and by name of the run."""
    checks: Sequence[Check]
    """The paper's numbers against each other."""
    judgements: Mapping[str, Judgement]
    """Calibration, confusions and scores by category of every run."""
    error_charts: Mapping[str, tuple[Markup, Markup]]
    """Reliability panel and confusion matrix by run."""
    figures: Sequence[PaperFigure]
    """Figures 3 to 10."""
    masks: MaskEvidence
    """Prompted masks against annotation."""
    seeds: SeedEvidence | None
    """Runs under several seeds; None where nothing was repeated."""
    lesson: LessonEvidence | None
    """Teacher and student; None where nobody teaches."""


def render(page: Page) -> str:
    """Return the page as HTML; same values, same text."""
    environment = Environment(
        loader=PackageLoader("pipeline.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "score": score,
        "points": points,
        "chance": chance,
        "grouped": "{:,}".format,
        "value": value_text,
        "interval": lambda cell: interval_text(cell, cell.ours),
        "paper": paper_text,
        "difference": difference_text,
    }
    values = {field.name: getattr(page, field.name) for field in fields(page)}
    offsets = next((result.translocations for result in page.summary.runs.values() if result.translocations), ())
    return environment.get_template("page.html.j2").render(
        **values, offsets=offsets, heat_steps=STEPS, colours=scale_colours(STEPS)
    )


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in [0, 1] as a number of per cent; a dash where there is none."""
    return DASH if share is None or math.isnan(share) else f"{100 * share:.{digits}f}"


def score(value: float | None) -> str:
    """Return a number in [0, 1] with three decimals; a dash where there is none."""
    return DASH if value is None or math.isnan(value) else f"{value:.3f}"


def chance(probability: float) -> str:
    """Return a probability in per cent; what would round to 0 is said to be less than 1."""
    return f"{100 * probability:.0f} %" if probability >= 0.005 else "< 1 %"  # noqa: PLR2004


def points(change: float | None, digits: int = 1) -> str:
    """Return a difference of shares in percentage points with its sign; a dash where there is none."""
    return DASH if change is None else f"{100 * change:+.{digits}f}".replace("-", MINUS)
