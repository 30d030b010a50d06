"""A mirror and Ray together: workers of a cluster have neither photos nor a shared disk, only the store."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cluster import RayCluster
from pipeline.params.data import IndexParams, PairParams, SegmentParams
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks
from tests.mirrors import bucket_served, stored
from tests.raw_folder import RawFolder, labels_of
from tests.ray_cluster import TwoNodes, losing_node, two_nodes
from tests.unit.demo.test_dataset import contents

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
    """Two raylets on loopback."""
    with two_nodes() as found:
        yield found


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


def test_a_cluster_that_has_photos_in_the_mirror_alone_makes_the_same_bytes(
    nodes: TwoNodes, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second node is killed half-way through both stages; no photo is on this machine meanwhile."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = RawFolder(RAW)
    for number in range(12):
        folder.add("train" if number % 4 else "test", f"{number:08d}", labels_of(1, 2, 7), seed=number)
    build_index(IndexParams(on_error="fail", tiny_area=1), raw=RAW, index=SAMPLES.parent, workers=1)
    masks, shards = segmented(None, None), paired(None, None)
    assert len(masks) == len(shards) == 12 + 1
    mirror = f"{bucket}/on-ray"
    stored(Path("data"), f"{mirror}/data")
    for gone in (RAW, MASKS, SHARDS):
        shutil.rmtree(gone)
    assert segmented(losing_node(nodes, before=7), mirror) == masks
    assert paired(losing_node(nodes, before=7), mirror) == shards
