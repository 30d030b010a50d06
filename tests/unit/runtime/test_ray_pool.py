"""Work on a Ray cluster, by tasks and by actors: order, errors, bounds and bytes as on one machine, if machines die.

One file, because two raylets take longer to start than most tests: all share them.
"""

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import neg
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.masks import FastSamSegmentParams, SamSegmentParams
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import IndexParams, PairParams, SegmentParams
from pipeline.runtime.errors import DatasetError, ParamsError, WorkerError
from pipeline.runtime.ray_pool import ActorPool, RayCluster, Resources, actor_pool, cluster_of, resources_for
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks, write_prompted_masks
from tests.actor_work import Counter, die, die_at_first, meet, refuse, visible_gpus
from tests.mirrors import bucket_served, stored
from tests.raw_folder import RawFolder, labels_of
from tests.ray_cluster import (
    STORE,
    TwoNodes,
    kill_once_stuck,
    killed_once_stuck,
    losing_node,
    make_fifos,
    stuck_on_second,
    two_nodes,
)
from tests.unit.demo.test_dataset import contents
from tests.unit.steps.test_segment_prompted import FASTSAM, SAM, bytes_of, folder_of, indexed, stored_weights

pytestmark = pytest.mark.slow

CORES, GPUS = {"CPU": 8.0, "memory": 1e9}, {"CPU": 8.0, "GPU": 4.0}
RAW, SAMPLES, MASKS, SHARDS = (
    Path(f"data/{name}") for name in ("raw", "index/samples.parquet", "masks/annotation", "shards/annotation")
)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Serve S3; what finds it must be in the environment before the raylets start."""
    with bucket_served() as url:
        yield url


@pytest.fixture(scope="module")
def nodes(bucket: str) -> Iterator[TwoNodes]:  # noqa: ARG001 - first the store
    """Two raylets on loopback for all tests here; starting them takes most of the time."""
    with two_nodes() as found:
        yield found


def test_results_come_in_order_and_items_are_drawn_lazily(nodes: TwoNodes) -> None:
    """As from `pipeline.runtime.parallel`."""
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
    monkeypatch.setattr("pipeline.runtime.ray_pool.MAX_LOSSES", 1)
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


@pytest.fixture(scope="class")
def pool(nodes: TwoNodes) -> Iterator[ActorPool]:
    """One actor a node, two in all."""
    nodes.complete()
    with actor_pool(RayCluster(nodes.address, 1), device="cpu", threads=1) as found:
        yield found


class TestPool:
    """One pool for what leaves it whole; an actor takes seconds to start."""

    def test_an_actor_keeps_what_it_has_and_items_are_drawn_lazily(self, pool: ActorPool) -> None:
        """Results in order of the items, none more than four an actor ahead; each process counts on by one."""
        drawn: list[int] = []

        def items() -> Iterator[int]:
            for number in range(40):
                drawn.append(number)
                yield number

        done = []
        for result in pool.map_ordered(Counter(), items()):
            done.append(result)
            assert len(drawn) < len(done) + 8
        assert [item for _, _, item in done] == list(range(40))
        for process in {process for process, _, _ in done}:
            calls = [calls for other, calls, _ in done if other == process]
            assert sorted(calls) == list(range(1, len(calls) + 1))
        assert list(pool.map_ordered(neg, [])) == []

    def test_an_actor_that_is_killed_is_replaced_and_an_error_arrives_as_it_was_raised(
        self, pool: ActorPool, tmp_path: Path
    ) -> None:
        """Whether one or all of them, nothing is lost; an error has its type and line and is not tried again."""
        results = pool.map_ordered(partial(die_at_first, tmp_path), range(4))
        assert [next(results) for _ in range(3)] == [0, -1, -2]
        with pytest.raises(DatasetError, match=r"^photo 3: damaged; replace it$"):
            next(results)

    def test_an_item_that_kills_every_actor_is_one_line(self, pool: ActorPool, monkeypatch: pytest.MonkeyPatch) -> None:
        """It does not go round for ever."""
        monkeypatch.setattr("pipeline.runtime.ray_pool.MAX_LOSSES", 1)
        with pytest.raises(WorkerError, match=r"lost its worker .* too often .*; look at `ray status`.*run the same"):
            list(pool.map_ordered(die, [1]))


def test_a_machine_that_joins_on_the_way_gets_an_actor(
    nodes: TwoNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two items that wait for each other are done once there are two actors."""
    monkeypatch.setattr("pipeline.runtime.ray_pool.TIMEOUT", 0.2)
    if nodes.doomed:
        nodes.kill()
    fifo = make_fifos(tmp_path)

    def items() -> Iterator[int]:
        nodes.complete()  # by now the head's actor is there, and it is not asked again before both are at work
        yield from (0, 1)

    with actor_pool(RayCluster(nodes.address, 1), device="cpu", threads=1) as pool:
        assert list(pool.map_ordered(partial(meet, fifo), items())) == [0, 1]


def test_a_gpu_has_one_actor_that_sees_no_other(nodes: TwoNodes) -> None:
    """GPUs are taken where there are some, and asked for in vain where not."""
    with pytest.raises(ParamsError, match="runtime.device: the Ray cluster has no GPU; see `ray status`, or choose"):
        actor_pool(RayCluster(nodes.address, 1), device="cuda", threads=1).__enter__()
    third = nodes.cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE)
    try:
        with actor_pool(RayCluster(nodes.address, 1), device="auto", threads=1) as found:
            assert (found.device, found.size()) == ("cuda", 1)
            assert list(found.map_ordered(visible_gpus, range(2))) == ["0", "0"]
    finally:
        nodes.cluster.remove_node(third, allow_graceful=False)


@pytest.mark.parametrize(
    ("device", "threads", "machines", "resources", "actors"),
    [
        ("cpu", 2, [CORES, CORES], Resources(cpus=2, gpus=0), 8),
        ("cpu", 3, [CORES, {"CPU": 2.0}], Resources(cpus=3, gpus=0), 2),
        ("cpu", 16, [CORES, {"CPU": 2.0}], Resources(cpus=8, gpus=0), 1),
        ("auto", 2, [CORES, GPUS], Resources(cpus=1, gpus=1), 4),
        ("cuda", 2, [GPUS, {"CPU": 1.0, "GPU": 2.0}], Resources(cpus=1, gpus=1), 5),
        ("auto", 2, [CORES], Resources(cpus=2, gpus=0), 4),
        ("auto", 2, [], Resources(cpus=1, gpus=0), 0),
    ],
)
def test_actors_are_as_many_as_gpus_or_threads_allow(
    device: str, threads: int, machines: list[dict[str, float]], resources: Resources, actors: int
) -> None:
    """A GPU and a core each, or a core a thread."""
    assert resources_for(device, threads, machines) == resources
    assert resources.count(machines) == actors


def test_a_device_that_no_cluster_knows_is_refused() -> None:
    """With those it knows."""
    with pytest.raises(ParamsError, match="runtime.device: 'mps' is not known on a cluster; choose auto, cpu or cuda"):
        resources_for("mps", 1, [CORES])


def segmented(cluster: RayCluster | None, mirror: str | None) -> dict[str, bytes]:
    """Write masks of one photo a file; return their bytes by name."""
    params = SegmentParams(source="annotation", photos_per_file=1)
    write_masks(params, raw=RAW, samples=SAMPLES, masks=MASKS, workers=1, cluster=cluster, mirror=mirror)
    return contents(MASKS)


def paired(cluster: RayCluster | None, mirror: str | None) -> dict[str, bytes]:
    """Write shards of one photo each; return their bytes by name."""
    params = PairParams(image_size=16, fill=0, pad=125, photos_per_file=1)
    places = {"raw": RAW, "samples": SAMPLES, "masks": MASKS, "shards": SHARDS}
    write_shards(params, source="annotation", workers=1, cluster=cluster, mirror=mirror, **places)
    return contents(SHARDS)


def test_masks_and_shards_are_those_of_one_process_whatever_machine_dies(
    nodes: TwoNodes, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From photos here and from a mirror alone; the second node is killed half-way through each stage."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = RawFolder(RAW)
    for number in range(8):
        folder.add("train" if number % 4 else "test", f"{number:08d}", labels_of(1, 2, 7), seed=number)
    build_index(IndexParams(on_error="fail", tiny_area=1), raw=RAW, index=SAMPLES.parent, workers=1)
    masks, shards = segmented(None, None), paired(None, None)
    assert len(masks) == len(shards) == 8 + 1
    nodes.complete()
    whole = RayCluster(nodes.address, 1)
    shutil.rmtree(MASKS)
    assert segmented(whole, None) == masks
    shutil.rmtree(SHARDS)
    assert paired(losing_node(nodes, before=5), None) == shards
    mirror = f"{bucket}/on-ray"
    stored(Path("data"), f"{mirror}/data")
    for gone in (RAW, MASKS, SHARDS):
        shutil.rmtree(gone)
    assert segmented(losing_node(nodes, before=5), mirror) == masks
    assert paired(whole, mirror) == shards


def made_here(params: SamSegmentParams | FastSamSegmentParams, folder: Path) -> dict[str, Path]:
    """Write masks of one photo a file to `folder/one` without a cluster; return where everything else lies."""
    raw = folder_of(folder / "raw", [labels_of(1, 2), labels_of(7), labels_of(2, 7), labels_of(1)])
    places = {"raw": raw.path, "samples": indexed(raw), "weights": stored_weights(folder, params.source)}
    write_prompted_masks(params, **places, masks=folder / "one", device="cpu")
    assert len(bytes_of(folder / "one")) == 5 + 1
    return places


def test_masks_of_sam_are_those_of_one_process_though_a_machine_dies_with_a_file(
    nodes: TwoNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second node is certain to hold a file when it is killed; the head's actor then has all others."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    params = SAM.model_copy(update={"photos_per_file": 1})
    places = made_here(params, tmp_path)
    fifo, real = make_fifos(tmp_path), ActorPool.map_ordered

    def stuck(pool: ActorPool, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return real(pool, partial(stuck_on_second, fifo, function), items)

    monkeypatch.setattr(ActorPool, "map_ordered", stuck)
    cluster = RayCluster(nodes.address, 1)
    with killed_once_stuck(nodes, fifo):
        write_prompted_masks(params, **places, masks=tmp_path / "many", device="cpu", cluster=cluster)
    assert bytes_of(tmp_path / "many") == bytes_of(tmp_path / "one")
    assert nodes.doomed is None


def test_masks_of_fastsam_are_those_of_one_process(
    nodes: TwoNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an actor on the node that is left: two would only take twice as long to start."""
    if importlib.util.find_spec("ultralytics") is None:
        pytest.skip("ultralytics (AGPL-3.0) was left out")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    if nodes.doomed:
        nodes.kill()
    params, cluster = FASTSAM.model_copy(update={"photos_per_file": 1}), RayCluster(nodes.address, 1)
    places = made_here(params, tmp_path)
    write_prompted_masks(params, **places, masks=tmp_path / "many", device="cpu", cluster=cluster)
    assert bytes_of(tmp_path / "many") == bytes_of(tmp_path / "one")
