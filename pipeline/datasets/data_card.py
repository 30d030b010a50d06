"""The data set in plain sentences, for the report and for whoever opens `summary.json`."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from pipeline.datasets.summary import CategoryCount, Duplicated, ProblemGroup, SplitSummary

NAMED = 10
"""Names written out before the rest is only counted."""


def data_card(
    source: Mapping[str, JsonValue] | None,
    splits: Mapping[str, SplitSummary],
    categories: Sequence[CategoryCount],
    duplicates: Duplicated,
    problems: Mapping[str, ProblemGroup],
) -> tuple[str, ...]:
    """Return one sentence a fact, in the order a reader asks for them."""
    sentences = [
        *_source(source),
        _contents(categories),
        *(sentence for split, summary in splits.items() for sentence in _split(split, summary)),
        *_unlearnable(categories),
        *_extra(categories),
        _duplicates(duplicates),
        _problems(problems),
    ]
    return tuple(sentences)


def listed(names: Sequence[str]) -> str:
    """Return names joined by commas, the first ten of many."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _source(source: Mapping[str, JsonValue] | None) -> Iterator[str]:
    if source is None:
        yield "Where the data set came from is not recorded."
        return
    known = {key: value for key, value in sorted(source.items()) if key != "name" and value is not None}
    facts = ", ".join(
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}" for key, value in known.items()
    )
    yield f"The data set came from {source.get('name') or 'an unnamed source'}" + (f" ({facts})." if facts else ".")


def _contents(categories: Sequence[CategoryCount]) -> str:
    number = _count(len(categories), "category", "categories")
    rule = "a sample is one category in one photo, and no sample is left out for its size"
    return f"It holds {number} beside the background; {rule}."


def _split(split: str, summary: SplitSummary) -> Iterator[str]:
    photos = _count(summary.photos, "usable photo", "usable photos")
    samples = _count(summary.samples, "sample", "samples")
    yield f"Split {split} has {photos} with {samples}, {summary.samples_per_photo:.1f} a photo."
    if visible := summary.samples - summary.photos:
        yield (
            f"Were extra-ROIs paired by photo, as the released code does, {visible:,} of its samples "
            f"({visible / summary.samples:.1%}) would see their own food in theirs."
        )
    if summary.imbalance:
        skew = summary.imbalance
        yield (
            f"Of its {_count(summary.categories, 'category', 'categories')}, {skew.largest} is the largest with "
            f"{_count(skew.largest_samples, 'sample', 'samples')} ({skew.majority_rate:.1%}) and {skew.smallest} the "
            f"smallest with {skew.smallest_samples:,}; the median is {skew.median_samples:g}, {summary.single} occur "
            f"once, and all together are as varied as {skew.effective_categories:.1f} equally frequent ones."
        )
    if summary.photo_width and summary.photo_height:
        width, height = summary.photo_width, summary.photo_height
        yield (
            f"Its photos are {width.minimum:g} to {width.maximum:g} pixels wide (median {width.median:g}) and "
            f"{height.minimum:g} to {height.maximum:g} high (median {height.median:g})."
        )
    if summary.mask_share and summary.components:
        share, parts = summary.mask_share, summary.components
        yield (
            f"A mask covers {share.median:.1%} of its photo in the median (5 % of them at most {share.p05:.2%}, 5 % at "
            f"least {share.p95:.1%}) and has {parts.median:g} parts in the median, {parts.maximum:g} at most."
        )
    if summary.flags:
        yield f"Flagged samples: {', '.join(f'{count:,} {flag}' for flag, count in summary.flags.items())}."


def _unlearnable(categories: Sequence[CategoryCount]) -> Iterator[str]:
    unseen = [category.name for category in categories if category.test and not category.train]
    if unseen:
        yield f"Tested but never trained on: {listed(unseen)}."
    untested = [category.name for category in categories if category.train and not category.test]
    if untested:
        yield f"Trained on but never tested: {listed(untested)}."
    empty = [category.name for category in categories if not category.train and not category.test]
    if empty:
        yield f"Without any sample: {listed(empty)}."


def _extra(categories: Sequence[CategoryCount]) -> Iterator[str]:
    extra = [f"{c.name} ({c.train:,} train, {c.test:,} test)" for c in categories if c.extra]
    if extra:
        yield f"The user's own photos add the categories {listed(extra)}."


def _duplicates(duplicates: Duplicated) -> str:
    if not duplicates.pairs:
        return "No two photos have the same bytes."
    disagreeing = _count(duplicates.disagreeing, "pair has", "pairs have")
    return (
        f"Pairs of photos with the same bytes: {duplicates.within_train} within train, {duplicates.within_test} within "
        f"test, {duplicates.across_splits} across both; {disagreeing} annotations that differ."
    )


def _problems(problems: Mapping[str, ProblemGroup]) -> str:
    kinds = [f"{group.count:,} {kind}" for kind, group in problems.items() if group.left_out]
    notes = sum(group.count for group in problems.values() if not group.left_out)
    unused = f" {_count(notes, 'file is', 'files are')} not listed and not used." if notes else ""
    return (f"Left out for problems: {', '.join(kinds)}." if kinds else "Nothing was left out for problems.") + unused
