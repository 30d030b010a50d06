"""Step agreement on a small real folder."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.index import read_samples
from pipeline.datasets.masks import KIND, SCHEMA_VERSION, Masks, StoredMask, write_mask_file
from pipeline.evaluation.mask_agreement import AgreementSummary
from pipeline.evaluation.semantic_map import read_overlaps, score_maps
from pipeline.params.masks import AgreementParams
from pipeline.params.stages import IndexParams, SegmentParams
from pipeline.runtime.errors import ManifestError
from pipeline.runtime.manifest import FileEntry, sha256_of, write_manifest
from pipeline.segmentation.weights import CARD, MaskWeightsCard
from pipeline.steps.agreement import compare_source
from pipeline.steps.index import build_index
from pipeline.steps.segment import write_masks
from tests.raw_folder import RawFolder, labels_of

PARAMS = AgreementParams(boundary=0.02, shown=1, image_size=16, seed=0)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make photos, their annotated masks, and masks of `sam` that are one row lower; one sample is only boxed.

    The last row of the last photo is void.
    """
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    raw = RawFolder(tmp_path / "raw")
    for number in range(4):
        last = (0, 0, 0, 0, 255) if number == 3 else ()
        raw.add("train" if number < 2 else "test", f"0000000{number}", labels_of(1, 2, 7, *last), seed=number)
    boxed = raw.add_extra("ketchup", "test", "bottle", None, seed=9)
    (boxed / "prompts.csv").write_text("photo,kind,x0,y0,x1,y1\nbottle.png,box,2,2,6,6\n")
    samples = tmp_path / "index/samples.parquet"
    build_index(IndexParams(on_error="fail", tiny_area=0), raw=raw.path, index=tmp_path / "index", workers=1)
    segmenting = SegmentParams(source="annotation", photos_per_file=3)
    write_masks(segmenting, raw=raw.path, samples=samples, masks=tmp_path / "masks/annotation", workers=1)
    for source in ("annotation", "sam"):
        (tmp_path / "weights" / source).mkdir(parents=True)
        origin = "none" if source == "annotation" else "random"
        fields = {"architecture": None, "file": None, "sha256": None, "licence": None, "stored": None}
        MaskWeightsCard(source=source, origin=origin, **fields).write(tmp_path / "weights" / source / CARD)
    _write_lowered(tmp_path / "masks")
    return tmp_path


def _write_lowered(masks: Path) -> None:
    """Write the annotated masks of rows 0 and 1 one row lower, those of row 2 as they are, as masks of `sam`."""
    reference = Masks(masks / "annotation")
    (masks / "sam").mkdir()
    entries = []
    for split in ("train", "test"):
        rows = sum(entry.rows for entry in reference.manifest.files if entry.split == split)
        lowered = [_lowered(mask) for mask in reference.locate(split, 0, rows).read(reference.folder)]
        path = masks / "sam" / f"{split}-00000.parquet"
        write_mask_file(lowered, path, {})
        entries.append(FileEntry(name=path.name, split=split, rows=rows, sha256=sha256_of(path)))
    update = {"source": "sam", "files": tuple(entries), "kind": KIND, "schema_version": SCHEMA_VERSION}
    write_manifest(reference.manifest.model_copy(update=update), masks / "sam")


def _lowered(mask: StoredMask) -> StoredMask:
    full = mask.full()
    if not full[2].any():
        full = np.roll(full, 1, axis=0)
    return StoredMask.of(full, sample_id=mask.sample_id, score=0.5, status="ok", prompts='[{"box": [0, 0, 9, 2]}]')


def compare(data: Path, source: str, name: str, *, workers: int = 1) -> Path:
    """Run the step; return the folder it wrote."""
    compare_source(
        PARAMS,
        source=source,
        raw=data / "raw",
        samples=data / "index/samples.parquet",
        weights=data / "weights" / source,
        masks=data / "masks",
        output=data / name,
        workers=workers,
    )
    return data / name


def test_every_annotated_sample_has_its_row(data: Path) -> None:
    """Overlap as drawn: none where the mask moved a row, all where it stayed; boxed samples are left out."""
    rows = list(csv.DictReader((compare(data, "sam", "out") / "samples.csv").open()))
    annotated = [s.sample_id for s in read_samples(data / "index/samples.parquet") if s.label_map_path]
    assert [row["sample_id"] for row in rows] == annotated
    assert [float(row["iou"]) for row in rows] == [0.0, 0.0, 1.0] * 4
    assert {row["parts"] for row in rows} == {"1"}


def test_the_summary_and_pictures_are_of_those_rows(data: Path) -> None:
    """Mean of all, one picture each of best, median and worst, and random weights named."""
    folder = compare(data, "sam", "out")
    summary = AgreementSummary.model_validate_json((folder / "summary.json").read_bytes())
    assert (summary.samples, summary.weights, summary.groups[0].iou.value) == (12, "random", pytest.approx(1 / 3))
    assert [(shown.rank, shown.iou) for shown in summary.shown] == [("best", 1.0), ("median", 0.0), ("worst", 0.0)]
    for shown in summary.shown:
        assert Image.open(folder / "pictures" / shown.file).size == (10, 8)


def test_workers_change_no_byte(data: Path) -> None:
    """Same files, same bytes."""
    one, two = compare(data, "sam", "one"), compare(data, "sam", "two", workers=2)
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert len(files) == 6
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


def test_annotation_has_nothing_to_compare_and_needs_no_torch(data: Path, root: Path) -> None:
    """No agreement, in a process that never imports torch."""
    folder = compare(data, "annotation", "none")
    assert sorted(path.name for path in folder.iterdir()) == ["overlaps.parquet", "summary.json"]
    assert json.loads((folder / "summary.json").read_text())["samples"] == 0
    code = "import sys, pipeline.steps.agreement, pipeline.steps.transfer; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(root)}, check=True)  # noqa: S603


def test_true_answers_in_annotated_masks_make_the_annotation(data: Path) -> None:
    """Of the test photos that are annotated; 10 of their 160 pixels are void. In other masks they do not."""
    for source in ("annotation", "sam"):
        overlaps = read_overlaps(compare(data, source, source) / "overlaps.parquet")
        assert {overlap.photo_id for overlap in overlaps} == {"test/00000002", "test/00000003"}
        for masks in {"annotation", source}:
            found = [overlap for overlap in overlaps if overlap.masks == masks]
            assert sum(overlap.pixels for overlap in found) == 2 * 80 - 10
            scores = score_maps(found, {overlap.sample_id: overlap.target for overlap in found}, 4)
            assert (scores == (1, 1, 1)) == (masks == "annotation")


def test_masks_of_another_table_are_refused(data: Path) -> None:
    """Rows of other samples must not be compared."""
    path = data / "masks/sam/test-00000.parquet"
    manifest = Masks(data / "masks/sam").manifest
    first, *rest = Masks(data / "masks/sam").locate("test", 0, 7).read(data / "masks/sam")
    write_mask_file([*rest, first], path, {})
    entries = tuple(
        entry.model_copy(update={"sha256": sha256_of(path)}) if entry.split == "test" else entry
        for entry in manifest.files
    )
    write_manifest(manifest.model_copy(update={"files": entries}), data / "masks/sam")
    with pytest.raises(ManifestError, match="holds other samples than the table; run `dvc repro -f segment`"):
        compare(data, "sam", "out")
