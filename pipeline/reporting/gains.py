"""What the second branch gains over the ROI alone, and where: by size, number of foods, confusability and category.

Nothing that groups samples is an answer for the test split. Confusability is measured on the validation split as the
mean of both compared runs: were it that of the ROI-only run, the categories that this one network had bad luck with
would be called confused, and the other network would do better there without any help (regression to the mean).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool
from markupsafe import Markup

from pipeline.datasets.index import read_samples
from pipeline.evaluation.bootstrap import Bootstrap, Interval, gain_interval, holm, sign_flip_p
from pipeline.evaluation.metrics import DIGITS
from pipeline.evaluation.predictions import PredictionTable
from pipeline.reporting.figures.charts import dot_chart
from pipeline.reporting.figures.style import BLUE, INK, ORANGE
from pipeline.reporting.finding import Direction, direction, pairings
from pipeline.reporting.grid import GridRun
from pipeline.reporting.results import SPLIT, RunPredictions
from pipeline.runtime.errors import EvaluationError, counted
from pipeline.runtime.escaping import markdown, write_csv

SIZES = {0.0: "below 3 % of the photo", 0.03: "3 to 10 %", 0.1: "10 to 30 %", 0.3: "30 % and more"}
"""Groups of sizes by their lower ends, as shares of the photo's area."""
MOST_FOODS = 5  # so many foods in a photo, or more, are one group
THIRDS = ("least confused third", "middle third", "most confused third")
ALL_SAMPLES, CATEGORY = "all samples", "category"
SIZE, FOODS, CONFUSION = "size", "foods in the photo", "confusability"
HEAD = (
    "roi_only", "both", "by", "group", "photos", "samples", "top1_roi_only", "top1_both", "gain", "low", "high", "p"
)  # fmt: skip

Rows: TypeAlias = Bool[np.ndarray, " N"]


class SampleFacts(NamedTuple):
    """What groups a test sample: its size, and the number of categories in its photo."""

    share: float  # mask area over photo area, in [0, 1]; 0 where prompts replace the mask
    foods: int


class GainRow(NamedTuple):
    """The gain in top-1 for a group of samples, from the ROI alone to both; shares, or their differences."""

    by: str
    group: str
    photos: int
    samples: int
    single: float
    double: float
    gain: Interval  # `double` minus `single` with its 95 % interval over photos, which is that of this group alone
    p: float  # of no difference, adjusted by Holm's procedure for the groups of its kind; of all samples for the runs

    @property
    def direction(self) -> Direction:
        """What the numbers say."""
        return direction(self.gain.value, self.p)


class PairGains(NamedTuple):
    """A run that sees the surroundings against the same backbone on the ROI alone."""

    single: GridRun
    double: GridRun
    overall: GainRow
    groups: tuple[GainRow, ...]
    categories: tuple[GainRow, ...]  # from the largest gain to the largest loss
    chart: Markup

    @property
    def rows(self) -> tuple[GainRow, ...]:
        """All of them."""
        return self.overall, *self.groups, *self.categories

    @property
    def lines(self) -> Iterator[tuple[object, ...]]:
        """Rows of `gains.csv`, with the columns `HEAD`."""
        for row in self.rows:
            numbers = (round(value, DIGITS) for value in (row.single, row.double, *row.gain, row.p))
            yield self.single.name, self.double.name, row.by, row.group, row.photos, row.samples, *numbers


def read_facts(samples: Path) -> dict[str, SampleFacts]:
    """Read from the sample table what groups the test samples, by sample_id."""
    shares, photos, foods = {}, {}, defaultdict[str, set[str]](set)
    for sample in read_samples(samples):
        if sample.split == SPLIT:
            shares[sample.sample_id], photos[sample.sample_id] = sample.mask_share, sample.photo_id
            foods[sample.photo_id].add(sample.category)
    return {sample_id: SampleFacts(share, len(foods[photos[sample_id]])) for sample_id, share in shares.items()}


def confusability(tables: Collection[PredictionTable]) -> dict[str, float]:
    """Return by category the share of its validation samples that are answered wrongly, mean of some runs."""
    wrong = defaultdict[str, list[float]](list)
    for table in tables:
        for target in np.unique(table.targets).tolist():
            rows = table.targets == target
            wrong[table.class_names[target]].append(float((table.predictions[rows] != target).mean()))
    return {name: float(np.mean(shares)) for name, shares in wrong.items()}


def group_samples(
    one: RunPredictions, names: Sequence[str], facts: Mapping[str, SampleFacts], confused: Mapping[str, float]
) -> dict[str, dict[str, Rows]]:
    """Return the rows of each group by kind of group.

    Samples without a mask have no size, categories without validation samples no confusability. Thirds are of the
    categories, ranked by `confused`; of equals the first in class order is confused less.
    """
    known = [facts.get(sample_id, SampleFacts(0.0, 0)) for sample_id in one.sample_ids]
    share, foods = np.array([fact.share for fact in known]), np.array([fact.foods for fact in known])
    size = np.where(share > 0, np.searchsorted(list(SIZES), share, side="right") - 1, -1)
    sizes = {label: size == place for place, label in enumerate(SIZES.values())}
    counts = {
        counted(number, "food") + (" or more" if number == MOST_FOODS else ""): np.minimum(foods, MOST_FOODS) == number
        for number in range(1, MOST_FOODS + 1)
    }
    ranked = sorted((name for name in names if name in confused), key=lambda name: confused[name])
    thirds = {}
    for title, part in zip(THIRDS, np.array_split(np.array(ranked, object), len(THIRDS)), strict=True):
        if len(part):
            low, high = (f"{100 * confused[part[place]]:.0f}" for place in (0, -1))
            label = f"{title}, {low} to {high} % wrong" if low != high else f"{title}, {low} % wrong"
            thirds[label] = np.isin(one.targets, [names.index(name) for name in part])
    categories = {name: one.targets == target for target, name in enumerate(names)}
    return {SIZE: sizes, FOODS: counts, CONFUSION: thirds, CATEGORY: categories}


def measure_gains(
    runs: tuple[GridRun, GridRun],
    predictions: Mapping[GridRun, RunPredictions],
    groups: Mapping[str, Mapping[str, Rows]],
    bootstrap: Bootstrap,
) -> PairGains:
    """Return the gain of all samples, whose p is not adjusted yet, and of every group that has samples.

    Raises:
        EvaluationError: If the runs were evaluated on different samples.
    """
    if len({predictions[run].sample_ids for run in runs}) > 1:
        names = f"{runs[1].name} and {runs[0].name}"
        raise EvaluationError(f"{names} have different test samples; run `dvc repro evaluate`")
    single, double = (predictions[run].predictions == predictions[run].targets for run in runs)
    change, photo_ids = double.astype(np.int64) - single, np.array(predictions[runs[0]].photo_ids)

    def row(by: str, group: str, rows: Rows) -> GainRow:
        photos, found = photo_ids[rows].tolist(), change[rows]
        before, after = (float(right[rows].mean()) for right in (single, double))
        gain, p = gain_interval(found, photos, bootstrap), sign_flip_p(found, photos)
        return GainRow(by, group, len(set(photos)), len(found), before, after, gain, p)

    measured = {
        by: adjust([row(by, group, rows) for group, rows in members.items() if rows.any()])
        for by, members in groups.items()
    }
    overall = row(ALL_SAMPLES, ALL_SAMPLES, np.ones(len(change), np.bool_))
    categories = sorted(measured.pop(CATEGORY, ()), key=lambda found: -found.gain.value)
    shown = [overall, *(found for rows in measured.values() for found in rows)]
    chart = dot_chart(
        [found.group for found in shown],
        [found.gain for found in shown],
        [ORANGE if found is overall else BLUE for found in shown],
        lines={0.0: (INK, "-")},
        name=f"gains-{runs[1].roi}-{runs[1].extra_roi}",
        axis="gain in top-1, percentage points",
        digits="+.1f",
    )
    return PairGains(*runs, overall, tuple(shown[1:]), tuple(categories), chart)


def adjust(rows: Sequence[GainRow]) -> tuple[GainRow, ...]:
    """Return rows with p adjusted for all of them."""
    adjusted = holm(np.array([row.p for row in rows])[:, np.newaxis])[:, 0].tolist()
    return tuple(row._replace(p=p) for row, p in zip(rows, adjusted, strict=True))


def all_gains(
    predictions: Mapping[GridRun, RunPredictions],
    class_names: Mapping[GridRun, Sequence[str]],
    validations: Mapping[GridRun, PredictionTable | None],
    facts: Mapping[str, SampleFacts],
    bootstrap: Bootstrap,
) -> tuple[PairGains, ...]:
    """Return what runs that see the surroundings gain on the ROI alone; a run may lack predictions for validation."""
    found = []
    for runs in pairings(predictions, fused=True):
        tables = [table for run in runs if (table := validations[run]) is not None]
        confused = confusability(tables) if len(tables) == len(runs) else {}
        one, names = predictions[runs[0]], class_names[runs[0]]
        found.append(measure_gains(runs, predictions, group_samples(one, names, facts, confused), bootstrap))
    overall = adjust([pair.overall for pair in found])
    return tuple(pair._replace(overall=row) for pair, row in zip(found, overall, strict=True))


def gains_json(pairs: Iterable[PairGains]) -> list[dict[str, object]]:
    """Return the entry of `results.json`."""
    return [dict(zip(HEAD, line, strict=True)) for pair in pairs for line in pair.lines]


def write_gains(pairs: Sequence[PairGains], folder: Path) -> None:
    """Write `gains.csv` and `gains.md`; nothing without pairs."""
    if not pairs:
        return
    write_csv(folder / "gains.csv", HEAD, (line for pair in pairs for line in pair.lines))
    about = (
        "Top-1 in per cent, gain in points with its 95 % interval over photos, which is not adjusted; p by a sign-flip "
        "test over photos, adjusted by Holm's procedure within each kind."
    )
    columns = ("run", "by", "group", "photos", "samples", "ROI only", "both", "gain", "p")
    lines = [f"**What the second branch gains over the ROI alone.** {about}", "", f"| {' | '.join(columns)} |"]
    lines.append(f"|{' --- |' * 3}{' ---: |' * 6}")
    for pair in pairs:
        for row in pair.rows:
            names = f"{markdown(pair.double.name)} | {row.by} | {markdown(row.group)} | {row.photos} | {row.samples}"
            gain, low, high = (f"{100 * value:+.1f}" for value in row.gain)
            scores = rf"{100 * row.single:.1f} | {100 * row.double:.1f} | {gain} \[{low}, {high}\] | {row.p:.3f}"
            lines.append(f"| {names} | {scores} |")
    (folder / "gains.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
