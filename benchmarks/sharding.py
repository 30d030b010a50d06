"""Writing shards, and what they take on disk, beside the files one would write without them."""

import shutil
from collections.abc import Iterator

from benchmarks.measure import bytes_of, rates, ratios, take_turns
from benchmarks.plain import read_pngs, write_pngs, write_small_jpegs
from benchmarks.row import Row
from benchmarks.site import Site
from pipeline.datasets.shards import Shards

FOODSEG103 = 26_089
"""Samples of the whole data set."""


def measure(site: Site) -> Iterator[Row]:
    """Yield the rows about files."""
    yield _writing(site)
    yield from _disk(site)


def _writing(site: Site) -> Row:
    folder = site.scratch / "small_jpegs"
    contenders = {
        "ours": site.material.pair,
        "plain": lambda: write_small_jpegs(site.material, folder),
    }
    costs = take_turns(contenders, site.rounds)
    shutil.rmtree(folder)
    return Row(
        name="write shards from photos and masks, per core",
        against="times the samples/s of NumPy masks, PIL resize, two JPEG files a sample",
        reach=3,
        ratios=ratios(costs["plain"], costs["ours"]),
        detail=rates(site.material.rows, costs),
    )


def _disk(site: Site) -> Iterator[Row]:
    shards, folder = Shards(site.material.shards), site.scratch / "pngs"
    write_pngs(shards, folder)
    rows, sizes = site.material.rows, {"ours": bytes_of(site.material.shards), "plain": bytes_of(folder)}
    yield Row(
        name="shards on disk",
        against="of the bytes of two lossless PNG files a sample",
        reach=0.65,
        sense="at most",
        ratios=(sizes["ours"] / sizes["plain"],),
        detail={f"{name}_gigabytes_for_foodseg103": size / rows * FOODSEG103 / 1e9 for name, size in sizes.items()},
    )
    costs = take_turns({"ours": lambda: _read(shards), "plain": lambda: read_pngs(folder)}, site.rounds)
    shutil.rmtree(folder)
    yield Row(
        name="read shards into arrays",
        against="times the samples/s of the PNG files",
        reach=1,
        ratios=ratios(costs["plain"], costs["ours"]),
        detail=rates(rows, costs),
    )


def _read(shards: Shards) -> int:
    return sum(batch.roi.nbytes + batch.extra_roi.nbytes for split in shards.splits for batch in shards.batches(split))
