"""Work on a Ray cluster: order, errors and bounds as on one machine, and machines that die."""

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from operator import neg
from pathlib import Path

import pytest

from pipeline.cluster import RayCluster, cluster_of
from pipeline.errors import DatasetError, ParamsError, WorkerError
from pipeline.params.data import IndexParams, PairParams, SegmentParams
from pipeline.params.runtime import RuntimeParams
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks
from tests.raw_folder import RawFolder, labels_of
from tests.ray_cluster import TwoNodes, kill_once_stuck, losing_node, make_fifos, stuck_on_second, two_nodes


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    """Two raylets on loopback for all tests here; starting them takes most of the time."""
    with two_nodes() as found:
        yield found


def refuse(item: int) -> int:
    """Fail as a damaged photo does."""
    raise DatasetError(f"photo {item}: damaged; replace it")


def die(_: int) -> int:
    """Take the worker along."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def test_results_come_in_order_and_items_are_drawn_lazily(nodes: TwoNodes) -> None:
    """As from `pipeline.parallel`."""
    nodes.complete()
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(40):
            drawn.append(number)
            yield number

    results = RayCluster(nodes.address, 1).map_ordered(neg, items())
    assert next(results) == 0
    assert len(drawn) <= 8
    assert list(results) == [-number for number in range(1, 40)]


def test_work_under_way_on_a_machine_that_dies_is_done_on_another(nodes: TwoNodes, tmp_path: Path) -> None:
    """The second node is certain to hold an item when it is killed; nothing is lost or out of order."""
    fifo = make_fifos(tmp_path)
    nodes.complete()

    def items() -> Iterator[int]:
        for number in range(12):
            if number == 6:
                kill_once_stuck(nodes, fifo)
            yield number

    results = RayCluster(nodes.address, 1).map_ordered(partial(stuck_on_second, fifo, neg), items())
    assert list(results) == [-number for number in range(12)]


def test_an_error_of_the_work_arrives_as_it_was_raised(nodes: TwoNodes) -> None:
    """Its own type and line, without Ray's traceback, and it is not tried again."""
    with pytest.raises(DatasetError, match=r"^photo 3: damaged; replace it$"):
        list(RayCluster(nodes.address, 1).map_ordered(refuse, [3]))


def test_an_item_that_kills_every_worker_is_one_line(nodes: TwoNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not go round for ever."""
    monkeypatch.setattr("pipeline.cluster.LOSSES", 1)
    with pytest.raises(WorkerError, match=r"lost its worker .* too often .*; look at `ray status`.*run the same"):
        list(RayCluster(nodes.address, 1).map_ordered(die, [1]))


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what else could be chosen."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ParamsError, match=r"runtime.engine: ray is not installed; `pip install -r .*or choose local"):
        list(RayCluster(None, 1).map_ordered(neg, [1]))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "head", "no.such.host.invalid:6379"])
def test_where_no_cluster_is_one_line_says_so_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would insist for minutes."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(ParamsError, match=rf"runtime.ray_address: no cluster at {address} .*`ray start --head`"):
        list(RayCluster(address, 1).map_ordered(neg, [1]))


def test_the_engine_is_chosen_in_params() -> None:
    """Local unless asked otherwise."""
    assert cluster_of(RuntimeParams(workers=1, device="cpu")) is None
    asked = RuntimeParams(workers=3, device="cpu", engine="ray", ray_address="head:6379")
    assert cluster_of(asked) == RayCluster("head:6379", 3)


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make twelve photos with their sample table."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    folder = RawFolder(tmp_path / "raw")
    for number in range(12):
        folder.add("train" if number % 4 else "test", f"{number:08d}", labels_of(1, 2, 7), seed=number)
    build_index(IndexParams(on_error="fail", tiny_area=1), raw=folder.path, index=tmp_path / "index", workers=1)
    return folder.path


def segmented_and_paired(
    raw: Path, name: str, segment_on: RayCluster | None = None, pair_on: RayCluster | None = None
) -> list[bytes]:
    """Write masks and shards of one photo a file; return the bytes of all files by name."""
    samples, masks, shards = (
        raw.parent / "index/samples.parquet",
        raw.parent / name / "masks",
        raw.parent / name / "shards",
    )
    settings = SegmentParams(source="annotation", photos_per_file=1)
    write_masks(settings, raw=raw, samples=samples, masks=masks, workers=1, cluster=segment_on)
    views = PairParams(image_size=16, fill=0, pad=125, photos_per_file=1)
    places = {"raw": raw, "samples": samples, "masks": masks, "shards": shards}
    write_shards(views, source="annotation", workers=1, cluster=pair_on, **places)
    return [path.read_bytes() for folder in (masks, shards) for path in sorted(folder.iterdir())]


def test_masks_and_shards_are_those_of_one_process_whatever_machine_dies(nodes: TwoNodes, raw: Path) -> None:
    """The second node is killed half-way through each stage."""
    expected = segmented_and_paired(raw, "local")
    assert len(expected) == 2 * (12 + 1)
    segment_on = losing_node(nodes, before=7)
    assert segmented_and_paired(raw, "lost in segment", segment_on=segment_on) == expected
    pair_on = losing_node(nodes, before=7)
    assert segmented_and_paired(raw, "lost in pair", pair_on=pair_on) == expected
