"""What the fuzzer found, once more: bytes that were neither read nor refused in one line before this was mended."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.datasets.masks import StoredMask, read_mask_file, write_mask_file
from pipeline.datasets.shards import Shards
from pipeline.imaging.decode import read_photo
from pipeline.runtime.errors import ManifestError, PhotoError
from pipeline.runtime.manifest import MANIFEST, Manifest, sha256_of
from tests.small_run import random_batch, write_small_shards

FINDINGS = Path(__file__).parent / "findings"


@pytest.mark.parametrize("name", sorted(path.name for path in FINDINGS.glob("avif-*")))
def test_a_damaged_avif_is_refused(name: str) -> None:
    """Pillow's decoder of this format raises another error than all others."""
    with pytest.raises(PhotoError, match="damaged"):
        read_photo(FINDINGS / name)


def test_a_forged_shard_whose_rectangles_are_nothing_is_refused(tmp_path: Path) -> None:
    """Nulls inside a list of fixed length do not count as nulls of the column."""
    folder = write_small_shards(tmp_path / "shards", [random_batch(2)])
    path = folder / "test-00000.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("rect")
    nothing = pa.array([[None] * 4] * 2, table.schema.field(place).type)
    assert nothing.null_count == 0
    pq.write_table(table.set_column(place, table.schema.field(place), nothing), path)
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    forged = manifest.files[0].model_copy(update={"sha256": sha256_of(path)})
    (folder / MANIFEST).write_text(manifest.model_copy(update={"files": (forged,)}).model_dump_json())
    with pytest.raises(ManifestError, match="lacks values in column 'rect'"):
        Shards(folder).read("test")


def test_a_row_group_that_lies_about_its_rows_is_refused() -> None:
    """Memory was reserved for all of them, which are 262,100,940,414 of 2."""
    with pytest.raises(ManifestError, match="in a file of 2"):
        read_mask_file(FINDINGS / "masks-row-group-of-262100940414-rows", rows=2)


@pytest.mark.parametrize(
    "sizes", [{"height": 951_630_008, "width": 951_630_008}, {"height": -1}, {"top": -1}, {"left": 3}, {"width": 3}]
)
def test_a_mask_that_lies_about_its_photo_is_refused(sizes: dict[str, int], tmp_path: Path) -> None:
    """The first of these asked for 804 pebibytes."""
    mask = StoredMask.of(np.eye(4, dtype=np.bool_), sample_id="test/a/1", score=1.0, status="ok", prompts=None)
    fields = {name: getattr(mask, name) for name in StoredMask.__slots__}
    write_mask_file([StoredMask(**fields | sizes)], tmp_path / "masks.parquet", {})
    with pytest.raises(ManifestError, match="holds what is no mask"):
        read_mask_file(tmp_path / "masks.parquet")
