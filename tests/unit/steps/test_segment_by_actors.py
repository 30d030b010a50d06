"""Masks by SAM and FastSAM from a Ray cluster are those of one process, whoever dies."""

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.actors import Crew
from pipeline.cluster import RayCluster
from pipeline.params.masks import FastSamSegmentParams, SamSegmentParams
from pipeline.steps.segment_prompted import write_prompted_masks
from tests.raw_folder import labels_of
from tests.ray_cluster import TwoNodes, killed_once_stuck, make_fifos, stuck_on_second, two_nodes
from tests.unit.steps.test_segment_prompted import FASTSAM, SAM, bytes_of, folder_of, indexed, stored_weights


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    """Two raylets on loopback for all tests here; starting them takes most of the time."""
    with two_nodes() as found:
        yield found


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
