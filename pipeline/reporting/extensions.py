"""Results that extend the paper's: frozen features, repeated runs, masks of other sources, students, voting models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image as Pillow
from pydantic import JsonValue

from pipeline.datasets.foodseg103 import CATEGORIES, COUNTS
from pipeline.evaluation.bootstrap import Bootstrap, Interval, Scores, compare_students, score_intervals, share_interval
from pipeline.evaluation.mask_agreement import AgreementGroup, AgreementSummary, ShownSample, TransferSummary
from pipeline.evaluation.metrics import DIGITS
from pipeline.evaluation.predictions import PREDICTIONS, read_predictions
from pipeline.evaluation.probe import REFERENCE, ProbeSummary, read_probe
from pipeline.evaluation.repetitions import Repetitions
from pipeline.evaluation.semantic_map import BACKGROUND, OVERLAPS, SemanticScores, read_overlaps, score_maps
from pipeline.params.base import Section, read_record
from pipeline.params.masks import VotePlan, VoteSummary
from pipeline.params.stages import DistillationSummary
from pipeline.reporting.figures.charts import dot_chart
from pipeline.reporting.figures.style import BLUE, INK, MUTED, ORANGE, chart_style, finish_inline, name_rows
from pipeline.reporting.finding import direction
from pipeline.reporting.grid import ALL, GridRun
from pipeline.reporting.results import RunFiles, Stored
from pipeline.reporting.samples import Picture, picture
from pipeline.reporting.tables import points
from pipeline.runtime.escaping import write_csv

SUMMARY, CARD = "summary.json", "run.json"
PLAN, VOTE = "plan.json", "vote.json"
TEACHER, STUDENT, UNDISTILLED = "teacher", "student", "undistilled"
SCORE_TITLES = {"top1": "top-1 accuracy", "macro_f1": "macro F1", "ambiguous_f1": "F1 of the ambiguous pair"}
VIEW_TITLES = {
    "roi": "ROI",
    "extra_roi": "extra-ROI",
    "whole": "whole photo",
    "context": "box grown by half",
    "inside": "inside the mask",
    "outside": "outside the mask",
    "other_extra_roi": "another photo's extra-ROI",
    "same_food_extra_roi": "the same food's extra-ROI in another photo",
}
MAP_HEAD = ("answers", "masks", "miou", "macc", "aacc")
TRUE = "the true category"  # what a perfect classifier answers

SummaryT = TypeVar("SummaryT", bound=Section)


def _read_summary(schema: type[SummaryT], folder: Path | None, stage: str) -> SummaryT | None:
    """Read `summary.json` of a stage for one mask source or teacher; None where the stage did not run."""
    if folder is None or not (folder / SUMMARY).exists():
        return None
    return read_record(schema, folder / SUMMARY, f"{stage}@{folder.name}")


class ProbeResults(NamedTuple):
    """One backbone's probe, with its chart and a sentence on whether the surroundings add to the ROI."""

    summary: ProbeSummary
    chart: Markup
    verdict: str


def read_probe_results(folder: Path | None, backbones: Sequence[str]) -> tuple[ProbeResults, ...]:
    """Read the outputs of stage `probe`; backbones that were not probed are left out.

    Raises:
        ManifestError: If a file is damaged.
    """
    results = []
    for name in backbones:
        if folder is None or not (folder / name).is_dir():
            continue
        found = read_probe(folder / name)
        chart = dot_chart(
            [views_title(row.views) for row in found.rows],
            [row.top1 for row in found.rows],
            [ORANGE if row.views[1:] else BLUE for row in found.rows],
            lines={found.rows[0].top1.value: (INK, "--"), found.majority_rate: (MUTED, ":")},
            name=f"probe-{found.backbone}",
            axis="top-1, %",
        )
        results.append(ProbeResults(found, chart, verdict_of(found)))
    return tuple(results)


def views_title(views: Sequence[str]) -> str:
    """Return what a classifier on views side by side sees."""
    return " + ".join(VIEW_TITLES[view] for view in views)


def verdict_of(summary: ProbeSummary) -> str:
    """Say whether the extra-ROI helps or harms beside the ROI; undecided unless Holm's p of top-1 is at most 0.05."""
    row = next(row for row in summary.rows if row.views == ("roi", "extra_roi"))  # the views of RveRNet
    gain, p = row.gain_top1, row.p_top1
    if gain is None or p is None:
        raise ValueError(f"{row.views} is not compared with {REFERENCE}")
    text = f"{points(gain.value)} points of top-1 ({points(gain.low)} to {points(gain.high)})"
    if summary.weights is None:
        return f"Random weights, so nothing about food follows; the extra-ROI changes {text}."
    found = direction(gain.value, p)
    if found == "undecided":
        return f"Undecided: beside the ROI the extra-ROI adds {text}, which other photos might reverse."
    return f"The surroundings {found.removesuffix('s')}: beside the ROI the extra-ROI adds {text}."


class SeedRow(NamedTuple):
    """One line of a table and a chart of seeds, of the score of a title; numbers are shares or their differences."""

    title: str
    label: str
    by_seed: tuple[float, ...]
    mean: Interval  # with the band around it
    deviation: float


class SeedResults(NamedTuple):
    """Repetitions with their charts, `spread` and `contrast`."""

    repetitions: Repetitions
    spreads: tuple[SeedRow, ...]  # every run by seed; the band is one standard deviation to either side
    contrasts: tuple[SeedRow, ...]
    """Differences by seed, with 95 % intervals; none for a single run, or runs of different class sets."""
    spread: Markup
    contrast: Markup | None


def read_seed_results(path: Path | None) -> SeedResults | None:
    """Read the output of stage `repeats`; None where it did not run, or nothing was repeated.

    Raises:
        ManifestError: If the file is damaged.
    """
    if path is None or not path.exists():
        return None
    found = read_record(Repetitions, path, "repeats")
    if not found.seeds:
        return None
    spreads, contrasts, contrast = [], [], None
    for s in found.spreads:
        band = Interval(s.mean, s.mean - s.deviation, s.mean + s.deviation)
        spreads.append(SeedRow(SCORE_TITLES[s.score], label_of(s.run), s.by_seed, band, s.deviation))
    for c in found.contrasts:
        label = f"({label_of(c.other)}) \N{MINUS SIGN} ({label_of(c.run)})"
        mean = Interval(c.difference.value, c.difference.low, c.difference.high)
        contrasts.append(SeedRow(SCORE_TITLES[c.score], label, c.by_seed, mean, c.deviation))
    spread = seed_chart(spreads, name="seeds-spread", axis="per cent", colour=BLUE)
    if contrasts:
        axis = "difference, percentage points"
        contrast = seed_chart(contrasts, name="seeds-contrast", axis=axis, colour=ORANGE, zero=True)
    return SeedResults(found, tuple(spreads), tuple(contrasts), spread, contrast)


def label_of(run: str) -> str:
    """Return the label of a run, with its class set unless that is `all`."""
    found = GridRun.parse(run)
    return found.label if found.classes == ALL else f"{found.label}, {found.classes}"


def seed_chart(rows: Sequence[SeedRow], *, name: str, axis: str, colour: str, zero: bool = False) -> Markup:
    """Draw a panel per score with a line per row: a dot per seed, the mean, and its band.

    The x axis is in per cent or points; `zero` marks zero. Rows of several scores may be interleaved.
    """
    by_score = {title: [row for row in rows if row.title == title] for title in dict.fromkeys(r.title for r in rows)}
    with chart_style():
        figure = Figure(figsize=(4.8, 0.45 + 0.35 * len(by_score) + 0.2 * len(rows)), layout="constrained")
        panels = figure.subplots(len(by_score), sharex=True, squeeze=False)[:, 0]
        for axes, (title, listed) in zip(panels, by_score.items(), strict=True):
            axes.set_title(title, loc="left")
            name_rows(axes, [row.label for row in listed])
            for y, row in enumerate(listed):
                band, seeds = (100 * row.mean.low, 100 * row.mean.high), [100 * value for value in row.by_seed]
                axes.plot(band, [y, y], color=colour, linewidth=4, alpha=0.35, solid_capstyle="butt")
                axes.plot(seeds, [y] * len(seeds), "o", color=colour, markersize=4, alpha=0.8)
                axes.plot([100 * row.mean.value], [y], "|", color=INK, markersize=13, markeredgewidth=1.6)
            if zero:
                axes.axvline(0, color=INK, linewidth=1)
        panels[-1].set_xlabel(axis)
        panels[-1].xaxis.set_major_locator(MaxNLocator(6))
        sorted_rows = (row for listed in by_score.values() for row in listed)
        values = "; ".join(f"{row.title}, {row.label} {100 * row.mean.value:.1f}" for row in sorted_rows)
        return finish_inline(figure, name, f"Dot chart by seed, {axis}: {values}")


class MaskResults(NamedTuple):
    """Masks of another source than annotation: agreement, and what they change; None where a stage did not run."""

    agreement: AgreementSummary | None
    transfer: TransferSummary | None
    pictures: tuple[tuple[ShownSample, Picture], ...]

    @property
    def compared(self) -> bool:
        """Whether there are masks of another source."""
        return bool(self.agreement and self.agreement.samples)

    def groups(self, *, categories: bool) -> tuple[AgreementGroup, ...]:
        """Return the groups by category, lowest IoU first, or all others."""
        found = self.agreement.groups if self.agreement else ()
        chosen = [group for group in found if (group.by == "category") == categories]
        return tuple(sorted(chosen, key=lambda group: group.iou.value if categories else 0))


def read_mask_results(agreement: Path | None, transfer: Path | None) -> MaskResults:
    """Read the outputs of stages `agreement` and `transfer` for one source, as far as they ran.

    Raises:
        ManifestError: If a file is damaged.
    """
    found = _read_summary(AgreementSummary, agreement, "agreement")
    pictures = []
    if found is not None and agreement is not None:
        for sample in found.shown:
            pixels = np.asarray(Pillow.open(agreement / "pictures" / sample.file).convert("RGB"))
            description = f"{sample.category} of {sample.sample_id}: annotation against the other mask"
            pictures.append((sample, picture(pixels, description)))
    return MaskResults(found, _read_summary(TransferSummary, transfer, "transfer"), tuple(pictures))


class Published(NamedTuple):
    """Scores on the test photos of FoodSeg103 in per cent, 103 foods and the background; None where none was found."""

    name: str
    miou: float
    macc: float | None
    aacc: float | None
    source: str


_AUTHORS, _FOODSAM = "README of github.com/LARC-CMU-SMU/FoodSeg103-Benchmark-v1", "README of github.com/jamesjg/FoodSAM"
PUBLISHED = (
    Published("CCNet, ResNet-50, ReLeM (2021)", 36.8, 47.4, None, _AUTHORS),
    Published("UperNet, Swin-S (2021)", 41.6, 53.6, None, _AUTHORS),
    Published("SETR-MLA, ViT-B/16 (2021)", 45.1, 57.44, 83.53, f"{_FOODSAM}, its baseline"),
    Published("FoodSAM: SAM's masks, SETR-MLA's vote (2023)", 46.42, 58.27, 84.10, f"{_FOODSAM}; arXiv 2308.05938"),
    Published("BEiT (2023)", 49.4, None, None, "abstract of Sinha et al., paperswithcode.com, June 2023"),
    Published("HDF, MambaVision (2026)", 52.25, None, None, "abstract of doi 10.3390/foods15030534"),
)
"""From the lowest mIoU to the highest."""


class SemanticRow(NamedTuple):
    """Answers of a run, or `TRUE`, in one source's masks."""

    answers: str
    masks: str
    scores: SemanticScores


class SemanticMaps(NamedTuple):
    """Semantic maps of the test photos."""

    photos: int
    classes: int  # categories of the data set
    occurring: int  # those that the annotation of these photos has
    rows: tuple[SemanticRow, ...]
    published: tuple[Published, ...] = PUBLISHED

    @property
    def official(self) -> bool:
        """Whether there are as many photos and categories as in the release of FoodSeg103."""
        return (self.photos, self.classes) == (COUNTS["test"][0], len(CATEGORIES) - 1)

    @property
    def lines(self) -> list[tuple[object, ...]]:
        """Rows of the CSV file."""
        return [(r.answers, r.masks, *(round(score, DIGITS) for score in r.scores)) for r in self.rows]

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `results.json`."""
        ours = [dict(zip(MAP_HEAD, line, strict=True)) for line in self.lines]
        counts = {"photos": self.photos, "categories": self.classes, "occurring": self.occurring}
        return counts | {"rows": ours, "published": [published._asdict() for published in self.published]}

    def write(self, folder: Path) -> None:
        """Write `semantic_maps.csv`."""
        write_csv(folder / "semantic_maps.csv", MAP_HEAD, self.lines)


def read_semantic_maps(
    agreement: Path | None, predictions: Mapping[str, Mapping[str, str]], categories: Sequence[str]
) -> SemanticMaps | None:
    """Paint predictions into the masks that stage `agreement` laid on the annotation; None where it did not.

    Args:
        agreement: Output of the stage for one source.
        predictions: Category by sample_id, by the run or model.
        categories: Category by class index.

    Raises:
        ManifestError: If the table is damaged.
    """
    path = agreement / OVERLAPS if agreement else None
    overlaps = read_overlaps(path) if path and path.exists() else ()
    if agreement is None or not overlaps:
        return None
    index = {name: place for place, name in enumerate(categories)}
    true = {overlap.sample_id: overlap.target for overlap in overlaps}
    painted = {TRUE: true} | {n: {i: index[name] for i, name in found.items()} for n, found in predictions.items()}
    sources = sorted({overlap.masks for overlap in overlaps}, key=lambda source: (source != agreement.name, source))
    return SemanticMaps(
        photos=len({overlap.photo_id for overlap in overlaps}),
        classes=len(categories),
        occurring=len({overlap.truth for overlap in overlaps} - {BACKGROUND}),
        rows=tuple(
            SemanticRow(name, source, score_maps([o for o in overlaps if o.masks == source], given, len(categories)))
            for source in sources
            for name, given in painted.items()
        ),
    )


class StudentRecord(Stored):
    """Part of the student's `run.json`: kind, alpha and temperature."""

    distillation: dict[str, JsonValue]


class DistillationResults(NamedTuple):
    """Teacher, student, and the same backbone without a teacher where the study has that run: the parts."""

    student_backbone: str  # backbone of the run that would show what the teacher is worth
    how: Mapping[str, JsonValue]
    samples: int
    runs: Mapping[str, str]  # name of the run by its part: `teacher`, `undistilled`, `student`
    scores: Mapping[str, Scores]
    gains: Mapping[str, Scores]  # student minus the other, by the other's part

    def as_json(self) -> dict[str, Any]:
        """Return the entry of the report's `results.json`."""
        scores, gains = (
            {part: {score: interval._asdict() for score, interval in found.items()} for part, found in parts.items()}
            for parts in (self.scores, self.gains)
        )
        return {"runs": self.runs, "how": self.how, "samples": self.samples, "scores": scores, "student_gains": gains}


def read_distillation_results(
    folder: Path | None, files: RunFiles, evaluated: Sequence[str], ambiguous: Sequence[str], bootstrap: Bootstrap
) -> DistillationResults | None:
    """Read the output of stage `distill` for one teacher; None where it did not run, or no teacher is set.

    Raises:
        EvaluationError: If the runs were evaluated on different samples.
        ManifestError: If a file is absent or damaged.
    """
    summary = _read_summary(DistillationSummary, folder, "distill")
    if folder is None or summary is None or summary.teacher is None or summary.student is None:
        return None
    tables, runs = {TEACHER: read_predictions(folder / TEACHER / PREDICTIONS)}, {TEACHER: summary.teacher}
    if summary.undistilled is not None and summary.undistilled in evaluated:
        tables[UNDISTILLED], runs[UNDISTILLED] = files.predictions(summary.undistilled), summary.undistilled
    tables[STUDENT], runs[STUDENT] = read_predictions(folder / STUDENT / PREDICTIONS), summary.student
    scores, changes = compare_students(tables, ambiguous, bootstrap)
    return DistillationResults(
        student_backbone=GridRun.parse(summary.undistilled).roi if summary.undistilled else "",
        how=read_record(StudentRecord, folder / STUDENT / CARD, f"distill@{folder.name}").distillation,
        samples=len(tables[STUDENT].sample_ids),
        runs=runs,
        scores=scores,
        gains={first: change for (first, second), change in changes.items() if second == STUDENT},
    )


class VoteResults(NamedTuple):
    """A semantic segmentation model that voted inside the masks of the test samples."""

    summary: VoteSummary
    top1: Interval
    scores: Scores
    predictions: Mapping[str, str]  # category by sample_id

    def as_json(self) -> dict[str, Any]:
        """Return the entry of the report's `results.json`."""
        intervals = {"top1_interval": self.top1, "macro_f1_interval": self.scores["macro_f1"]}
        ends = {name: [round(end, DIGITS) for end in found[1:]] for name, found in intervals.items()}
        return self.summary.model_dump(mode="json") | ends


def read_vote_results(folder: Path | None, ambiguous: Sequence[str], bootstrap: Bootstrap) -> tuple[VoteResults, ...]:
    """Read the outputs of stage `vote` for the models that are asked for, as far as it ran.

    Raises:
        ManifestError: If a file is absent or damaged.
    """
    if folder is None or not (folder / PLAN).exists():
        return ()
    found = []
    for name in read_record(VotePlan, folder / PLAN, "configure").models:
        if not (folder / name).is_dir():
            continue
        table = read_predictions(folder / name / PREDICTIONS)
        pair = table.pair(ambiguous)
        scores = score_intervals(table.targets, table.predictions, table.photo_ids, pair, bootstrap)
        summary = read_record(VoteSummary, folder / name / VOTE, f"vote@{name}")
        top1 = share_interval(table.predictions == table.targets, table.photo_ids, bootstrap)
        found.append(VoteResults(summary, top1, scores, table.named_predictions))
    return tuple(found)
