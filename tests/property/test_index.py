"""Laws of the index that hold for every input."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline.datasets.index import read_categories, read_samples, write_samples
from pipeline.datasets.layout import (
    SUFFIXES,
    fold_name,
    is_picture,
    number_categories,
    parse_category_names,
    parse_split_list,
    stem_of,
)
from pipeline.datasets.prompts import Prompt, bounding_box, parse_prompts
from pipeline.datasets.statistics import quantiles
from pipeline.imaging.components import regions_by_value
from pipeline.runtime.errors import ManifestError, printable
from tests.unit.datasets.test_index import CATEGORIES, PROMPTED, SAMPLE

STEMS = (
    st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="/."), min_size=1)
    .map(stem_of)
    .filter(lambda s: not is_picture(s))
)
NAMES = st.text(st.characters(exclude_categories=("C",)), min_size=1).map(fold_name).filter(bool)


@given(st.text())
def test_the_category_parser_answers_or_refuses(text: str) -> None:
    """Any text gives ids from 0 to 65535 with distinct folded names, or a ValueError."""
    try:
        names = parse_category_names(text)
    except ValueError:
        return
    assert all(0 <= i <= 65_535 for i in names)
    assert len(set(names.values())) == len(names)
    assert all(name == fold_name(name) and name for name in names.values())


@given(st.dictionaries(st.integers(1, 255), NAMES, min_size=1), st.sampled_from([" ", "\t", "  \t "]))
def test_categories_survive_being_written(names: dict[int, str], gap: str) -> None:
    """Whatever separates id and name; repeated names are refused."""
    text = "\n".join(f" {i}{gap}{name} " for i, name in names.items())
    if len(set(names.values())) == len(names):
        assert parse_category_names(text) == names
        return
    try:
        parse_category_names(text)
    except ValueError as error:
        assert "comes twice" in str(error)  # noqa: PT017 - both outcomes of one law
    else:
        raise AssertionError("repeated names were accepted")


@given(st.dictionaries(st.integers(1, 255), NAMES, min_size=1), st.sets(NAMES))
def test_targets_are_dense_and_ids_distinct(names: dict[int, str], extra: set[str]) -> None:
    """With any extra categories; every name has exactly one number."""
    distinct = {name: i for i, name in names.items()}
    named = {i: name for name, i in distinct.items()}
    categories = number_categories({0: "\0", **named}, extra)
    assert [category.target for category in categories] == list(range(len(named | {}) + len(extra - set(distinct))))
    assert [category.id for category in categories] == sorted({category.id for category in categories})
    assert {category.name for category in categories} == set(distinct) | extra


@given(st.lists(st.tuples(STEMS, st.sampled_from(["", *sorted(SUFFIXES), ".JPG"]))), st.sampled_from(["\n", " \n\n\t"]))
def test_lists_give_back_the_stems(lines: list[tuple[str, str]], gap: str) -> None:
    """With any suffixes, in order."""
    assert parse_split_list(gap.join(stem + suffix for stem, suffix in lines)) == [stem for stem, _ in lines]


@given(st.text())
def test_the_prompt_parser_answers_or_refuses(text: str) -> None:
    """Any text gives prompts or a ValueError, with or without the right header."""
    for document in (text, f"photo,kind,x0,y0,x1,y1\n{text}"):
        try:
            prompts = parse_prompts(document)
        except ValueError:
            continue
        for found in prompts.values():
            x0, y0, x1, y1 = bounding_box(found)
            assert 0 <= x0 <= x1
            assert 0 <= y0 <= y1


NUMBERS = st.floats(0, 1e6)


@given(st.lists(st.one_of(st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)), min_size=1))
def test_prompts_survive_being_written(coordinates: list[tuple[float, ...]]) -> None:
    """Points and boxes, to the last digit; the hull holds all of them."""
    prompts = tuple(
        Prompt("point", c)
        if len(c) == 2
        else Prompt("box", (*np.minimum(c[:2], c[2:]).tolist(), *np.maximum(c[:2], c[2:]).tolist()))
        for c in coordinates
    )
    rows = (f"a,{p.kind},{','.join(map(repr, p.coordinates))}{',,' * (p.kind == 'point')}" for p in prompts)
    parsed = parse_prompts("\n".join(["photo,kind,x0,y0,x1,y1", *rows]))
    assert parsed == {"a": prompts}
    x0, y0, x1, y1 = bounding_box(prompts)
    assert all(x0 <= b[0] and y0 <= b[1] and b[2] < x1 + 1 and b[3] < y1 + 1 for b in (p.bounds() for p in prompts))


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 7, 255])))
def test_regions_partition_the_foreground(labels: np.ndarray) -> None:
    """Areas add up, boxes hold their masks, and no mask has more parts than pixels."""
    regions = regions_by_value(labels)
    assert sum(region.area for region in regions.values()) == np.count_nonzero(labels)
    for value, region in regions.items():
        rows, columns = np.nonzero(labels == value)
        assert (region.x0, region.y0, region.x1, region.y1) == (columns.min(), rows.min(), columns.max(), rows.max())
        assert 1 <= region.components <= region.area


@given(st.lists(st.integers(0, 50), min_size=1))
def test_quantiles_are_values_in_order(values: list[int]) -> None:
    """Each is one of the values, and the ends are the extremes."""
    spread = quantiles(Counter(values))
    assert spread is not None
    inner = [spread.minimum, spread.p05, spread.p25, spread.median, spread.p75, spread.p95, spread.maximum]
    assert inner == sorted(inner)
    assert set(inner) <= set(values)
    assert (inner[0], inner[-1]) == (min(values), max(values))
    assert np.isclose(spread.mean, np.mean(values), atol=1e-6)
    assert spread.median == np.quantile(values, 0.5, method="inverted_cdf")


@given(st.text(st.characters()))
def test_what_is_shown_is_one_line_of_valid_text(text: str) -> None:
    """Also for names with lone surrogates, which cannot be written to a file otherwise."""
    shown = printable(os.fsdecode(os.fsencode(text)) if text.isascii() else text)
    assert shown.isprintable()
    shown.encode()


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.integers(0, 2**30), st.integers(1, 255))
def test_a_damaged_table_is_refused_or_harmless(place: int, flip: int) -> None:
    """After any one byte is changed: the same rows, or a ManifestError; never others, never a crash."""
    rows = [replace(SAMPLE, sample_id=f"train/{i}/1", x0=i) for i in range(20)] + [PROMPTED]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "samples.parquet"
        write_samples(rows, CATEGORIES, path)
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= flip
        path.write_bytes(content)
        try:
            found, categories = list(read_samples(path)), read_categories(path)
        except ManifestError:
            return
    assert found == rows
    assert len(categories) == len(CATEGORIES)
