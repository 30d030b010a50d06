"""Counters over a stream of samples, and the statistics of a split that follow from them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import exp, log
from statistics import median

from pipeline.datasets.samples import Category, Sample
from pipeline.datasets.summary import Imbalance, Quantiles, SplitSummary

DECIMALS = 6
SHARE_STEPS = 10_000
"""Shares are counted in this many steps, so that memory does not grow with the number of samples."""


@dataclass(slots=True)
class SplitTally:
    """Counts of one split; rows of a photo must be adjacent."""

    samples_by_target: Counter[int] = field(default_factory=Counter)
    """Samples by class index."""
    samples_of_photo: Counter[int] = field(default_factory=Counter)
    """Photos by their number of samples."""
    heights: Counter[int] = field(default_factory=Counter)
    """Photos by height."""
    widths: Counter[int] = field(default_factory=Counter)
    """Photos by width."""
    shares: Counter[int] = field(default_factory=Counter)
    """Masks by share of the photo, in steps."""
    components: Counter[int] = field(default_factory=Counter)
    """Masks by number of parts."""
    flags: Counter[str] = field(default_factory=Counter)
    """Samples by flag."""
    _photo_id: str = ""
    _photo_samples: int = 0

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        if sample.photo_id != self._photo_id:
            self._photo_id, self._photo_samples = sample.photo_id, 0
            self.heights[sample.photo_height] += 1
            self.widths[sample.photo_width] += 1
        self._count_for_photo()
        self.samples_by_target[sample.target] += 1
        self.flags.update(sample.flags)
        if sample.mask_area:
            self.shares[round(sample.mask_share * SHARE_STEPS)] += 1
            self.components[sample.components] += 1

    def _count_for_photo(self) -> None:
        if self._photo_samples:
            self.samples_of_photo[self._photo_samples] -= 1
        self._photo_samples += 1
        self.samples_of_photo[self._photo_samples] += 1

    def summarise(self, categories: Sequence[Category]) -> SplitSummary:
        """Return the statistics of all samples counted so far."""
        photos, samples = self.heights.total(), self.samples_by_target.total()
        counted = {category.name: self.samples_by_target[category.target] for category in categories}
        present = {name: count for name, count in counted.items() if count}
        return SplitSummary(
            photos=photos,
            samples=samples,
            photos_by_samples=dict(sorted((+self.samples_of_photo).items())),
            samples_per_photo=round(samples / max(photos, 1), DECIMALS),
            categories=len(present),
            absent=tuple(name for name, count in counted.items() if not count),
            single=sum(count == 1 for count in present.values()),
            imbalance=imbalance(present) if present else None,
            mask_share=quantiles(self.shares, steps=SHARE_STEPS),
            components=quantiles(self.components),
            photo_height=quantiles(self.heights),
            photo_width=quantiles(self.widths),
            flags=dict(sorted(self.flags.items())),
        )


def imbalance(samples: dict[str, int]) -> Imbalance:
    """Describe how unequal categories are.

    Args:
        samples: Samples by category name in target order, each at least 1; at least one category.
    """
    largest, smallest = max(samples, key=samples.__getitem__), min(samples, key=samples.__getitem__)
    total = sum(samples.values())
    entropy = -sum(count / total * log(count / total) for count in samples.values())
    return Imbalance(
        largest=largest,
        largest_samples=samples[largest],
        smallest=smallest,
        smallest_samples=samples[smallest],
        median_samples=float(median(samples.values())),
        largest_over_smallest=round(samples[largest] / samples[smallest], DECIMALS),
        majority_rate=round(samples[largest] / total, DECIMALS),
        effective_categories=round(exp(entropy), DECIMALS),
    )


def quantiles(counts: Counter[int], *, steps: int = 1) -> Quantiles | None:
    """Return the spread of a quantity; None if nothing was counted.

    Args:
        counts: How often each value occurs.
        steps: By what the values are to be divided.
    """
    if not counts:
        return None
    values = sorted(counts)
    reached = list(accumulate(counts[value] for value in values))

    def quantile(percent: int) -> float:
        rank = max(1, -(-reached[-1] * percent // 100))  # rounded up in whole numbers
        return next(value for value, count in zip(values, reached, strict=True) if count >= rank) / steps

    mean = sum(value * count for value, count in counts.items()) / reached[-1] / steps
    return Quantiles(
        minimum=quantile(0),
        p05=quantile(5),
        p25=quantile(25),
        median=quantile(50),
        p75=quantile(75),
        p95=quantile(95),
        maximum=quantile(100),
        mean=round(mean, DECIMALS),
    )
