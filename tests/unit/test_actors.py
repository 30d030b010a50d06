"""Work by actors on a Ray cluster: what they keep, where they sit, and what happens when they die."""

from collections.abc import Iterator
from functools import partial
from operator import neg
from pathlib import Path

import pytest

from pipeline.actors import Crew, Seat, crew_of, seat_for
from pipeline.cluster import RayCluster
from pipeline.errors import DatasetError, ParamsError, WorkerError
from tests.actor_work import Counter, die, die_at_first, meet, refuse, visible_gpus
from tests.ray_cluster import STORE, TwoNodes, make_fifos, two_nodes

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


def test_a_machine_that_joins_on_the_way_gets_an_actor(
    nodes: TwoNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two items that wait for each other are done once there are two actors."""
    monkeypatch.setattr("pipeline.actors.PATIENCE", 0.2)
    if nodes.doomed:
        nodes.kill()
    fifo = make_fifos(tmp_path)

    def items() -> Iterator[int]:
        nodes.complete()  # by now the head's actor is there, and it is not asked again before both are at work
        yield from (0, 1)

    with crew_of(RayCluster(nodes.address, 1), device="cpu", threads=1) as crew:
        assert list(crew.map_ordered(partial(meet, fifo), items())) == [0, 1]


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
