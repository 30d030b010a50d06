"""Work by actors on a Ray cluster: what they keep, where they sit, and masks that are the same whoever dies."""

import importlib.util
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import neg
from pathlib import Path
from typing import Any

import pytest

from pipeline.actors import Crew, Seat, crew_of, seat_for
from pipeline.cluster import RayCluster
from pipeline.errors import DatasetError, ParamsError, WorkerError
from pipeline.params.masks import FastSamSegmentParams, SamSegmentParams
from pipeline.steps.segment_prompted import write_prompted_masks
from tests.raw_folder import labels_of
from tests.ray_cluster import STORE, TwoNodes, killed_once_stuck, make_fifos, stuck_on_second, two_nodes
from tests.unit.steps.test_segment_prompted import FASTSAM, SAM, bytes_of, folder_of, indexed, stored_weights

pytest.importorskip("ray", reason="optional: requirements-ray.txt")

CORES, GPUS = {"CPU": 8.0, "memory": 1e9}, {"CPU": 8.0, "GPU": 4.0}


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    """Two raylets on loopback for all tests here; starting them takes most of the time."""
    with two_nodes() as found:
        yield found


@pytest.fixture
def crew(nodes: TwoNodes) -> Iterator[Crew]:
    """One actor a node, two in all."""
    nodes.complete()
    with crew_of(RayCluster(nodes.address, 1), device="cpu", threads=1) as found:
        yield found


class Counter:
    """Says which process it is in, and how often it was called there."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.calls = 0

    def __call__(self, item: int) -> tuple[int, int, int]:
        """Return process, calls and item."""
        self.calls += 1
        return os.getpid(), self.calls, item


def refuse(item: int) -> int:
    """Fail as a damaged photo does."""
    raise DatasetError(f"photo {item}: damaged; replace it")


def die(_: int) -> int:
    """Take the actor along."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def die_at_first(folder: Path, item: int) -> int:
    """Take the actor along the first time that an item comes."""
    mark = folder / str(item)
    if not mark.exists():
        mark.touch()
        die(item)
    return -item


def visible_gpus(_: int) -> str:
    """Return what CUDA would find."""
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_an_actor_keeps_what_it_has_from_item_to_item(crew: Crew) -> None:
    """Results in order of the items; each process counts on by one."""
    done = list(crew.map_ordered(Counter(), range(12)))
    assert [item for _, _, item in done] == list(range(12))
    for process in {process for process, _, _ in done}:
        calls = [calls for other, calls, _ in done if other == process]
        assert sorted(calls) == list(range(1, len(calls) + 1))


def test_items_are_drawn_lazily(crew: Crew) -> None:
    """No more than four an actor ahead of what was taken, and none where there are none."""
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(40):
            drawn.append(number)
            yield number

    results = crew.map_ordered(neg, items())
    for number in range(20):
        assert next(results) == -number
        assert len(drawn) <= number + 8
    assert list(results) == [-number for number in range(20, 40)]
    assert list(crew.map_ordered(neg, [])) == []


def test_an_actor_that_is_killed_is_replaced(crew: Crew, tmp_path: Path) -> None:
    """Whether one or all of them; nothing is lost or out of order."""
    assert list(crew.map_ordered(partial(die_at_first, tmp_path), range(3))) == [0, -1, -2]


def test_an_error_of_the_work_arrives_as_it_was_raised(crew: Crew) -> None:
    """Its own type and line, without Ray's traceback, and it is not tried again."""
    with pytest.raises(DatasetError, match=r"^photo 3: damaged; replace it$"):
        list(crew.map_ordered(refuse, [3]))


def test_an_item_that_kills_every_actor_is_one_line(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not go round for ever."""
    monkeypatch.setattr("pipeline.actors.LOSSES", 1)
    with pytest.raises(WorkerError, match=r"lost its worker .* too often .*; look at `ray status`.*run the same"):
        list(crew.map_ordered(die, [1]))


def test_a_gpu_has_one_actor_that_sees_no_other(nodes: TwoNodes) -> None:
    """GPUs are taken where there are some, and asked for in vain where not."""
    with pytest.raises(ParamsError, match="runtime.device: the Ray cluster has no GPU; see `ray status`, or choose"):
        crew_of(RayCluster(nodes.address, 1), device="cuda", threads=1).__enter__()
    third = nodes.cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE)
    try:
        with crew_of(RayCluster(nodes.address, 1), device="auto", threads=1) as found:
            assert (found.device, found.size()) == ("cuda", 1)
            assert list(found.map_ordered(visible_gpus, range(2))) == ["0", "0"]
    finally:
        nodes.cluster.remove_node(third, allow_graceful=False)


@pytest.mark.parametrize(
    ("device", "threads", "machines", "seat", "actors"),
    [
        ("cpu", 2, [CORES, CORES], Seat(cpus=2, gpus=0), 8),
        ("cpu", 3, [CORES, {"CPU": 2.0}], Seat(cpus=3, gpus=0), 2),
        ("cpu", 16, [CORES, {"CPU": 2.0}], Seat(cpus=8, gpus=0), 1),
        ("auto", 2, [CORES, GPUS], Seat(cpus=1, gpus=1), 4),
        ("cuda", 2, [GPUS, {"CPU": 1.0, "GPU": 2.0}], Seat(cpus=1, gpus=1), 5),
        ("auto", 2, [CORES], Seat(cpus=2, gpus=0), 4),
        ("auto", 2, [], Seat(cpus=1, gpus=0), 0),
    ],
)
def test_seats_are_as_many_as_gpus_or_threads_allow(
    device: str, threads: int, machines: list[dict[str, float]], seat: Seat, actors: int
) -> None:
    """A GPU and a core each, or a core a thread."""
    assert seat_for(device, threads, machines) == seat
    assert seat.count(machines) == actors


def test_a_device_that_no_cluster_knows_is_refused() -> None:
    """With those it knows."""
    with pytest.raises(ParamsError, match="runtime.device: 'mps' is not known on a cluster; choose auto, cpu or cuda"):
        seat_for("mps", 1, [CORES])


@pytest.mark.parametrize("params", [SAM, FASTSAM], ids=["sam", "fastsam"])
def test_masks_are_those_of_one_process_though_a_machine_dies_with_a_file(
    nodes: TwoNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: SamSegmentParams | FastSamSegmentParams
) -> None:
    """The second node is certain to hold a file when it is killed; the head's actor then has all others."""
    if params is FASTSAM and importlib.util.find_spec("ultralytics") is None:
        pytest.skip("ultralytics (AGPL-3.0) was left out")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    one_a_file = params.model_copy(update={"photos_per_file": 1})
    raw = folder_of(tmp_path / "raw", [labels_of(1, 2), labels_of(7), labels_of(2, 7), labels_of(1)])
    places = {"raw": raw.path, "samples": indexed(raw), "weights": stored_weights(tmp_path, params.source)}
    write_prompted_masks(one_a_file, **places, masks=tmp_path / "one", device="cpu")
    fifo, real = make_fifos(tmp_path), Crew.map_ordered

    def stuck(crew: Crew, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return real(crew, partial(stuck_on_second, fifo, function), items)

    monkeypatch.setattr(Crew, "map_ordered", stuck)
    cluster = RayCluster(nodes.address, 1)
    with killed_once_stuck(nodes, fifo):
        write_prompted_masks(one_a_file, **places, masks=tmp_path / "many", device="cpu", cluster=cluster)
    assert len(bytes_of(tmp_path / "one")) == 5 + 1
    assert bytes_of(tmp_path / "many") == bytes_of(tmp_path / "one")
    assert nodes.doomed is None
