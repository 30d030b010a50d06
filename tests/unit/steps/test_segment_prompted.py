"""Step segment with sources that answer prompts, on small real folders."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.arrays import AnyImage
from pipeline.datasets.index import read_samples
from pipeline.datasets.masks import Masks, StoredMask
from pipeline.datasets.prompts import Prompt
from pipeline.params.masks import (
    FastSamSegmentParams,
    GrabCutSegmentParams,
    PromptableWeightsParams,
    PromptParams,
    SamSegmentParams,
    SourceName,
)
from pipeline.params.stages import IndexParams, SegmentParams
from pipeline.runtime.errors import DatasetError, ParamsError, WeightsError
from pipeline.runtime.manifest import MANIFEST
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.mask_source import MaskPrediction, MaskSource
from pipeline.segmentation.registry import create_source
from pipeline.segmentation.weights import CARD, MaskWeightsCard
from pipeline.steps import segment as segment_prompted
from pipeline.steps.index import build_index
from pipeline.steps.mask_weights import fetch_mask_weights
from pipeline.steps.segment import Params, write_masks, write_prompted_masks
from tests.mask_sources import FASTSAM_DECODING, SAM_DECODING, tiny_fastsam, tiny_promptable, tiny_sam
from tests.raw_folder import RawFolder, labels_of

pytestmark = pytest.mark.slow

PROMPTS = PromptParams(kind="box", min_area=0, min_share=0.0, max_parts=16, jitter=0.0, seed=0)
SHARED = {"photos_per_file": 2, "tiny_area": 10, "prompts": PROMPTS}
SAM = SamSegmentParams(source="sam", decoding=SAM_DECODING, **SHARED)
FASTSAM = FastSamSegmentParams(source="fastsam", decoding=FASTSAM_DECODING, **SHARED)
GRABCUT = GrabCutSegmentParams(source="grabcut", **SHARED)
SAM2 = SamSegmentParams(source="sam2", decoding=SAM_DECODING, **SHARED)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store tiny weights as stage mask_weights does."""
    folder = tmp_path_factory.mktemp("mask_weights")
    stored_weights(folder, "sam")
    fetch_mask_weights("grabcut", settings=folder / "absent.json", output=folder / "grabcut")
    if importlib.util.find_spec("ultralytics") is not None:
        stored_weights(folder, "fastsam")
    if importlib.util.find_spec("transformers") is not None:
        model = tiny_promptable(folder / "model", "sam2")
        PromptableWeightsParams(model=str(model)).write(folder / "sam2.json")
        fetch_mask_weights("sam2", settings=folder / "sam2.json", output=folder / "sam2")
    return folder


def stored_weights(folder: Path, source: SourceName) -> Path:
    """Store tiny weights of one source; return their folder."""
    fields = {"architecture": "tiny", "origin": "random", "file": None, "sha256": None, "licence": None}
    (folder / source).mkdir()
    stored = (tiny_sam if source == "sam" else tiny_fastsam)(folder / source).name
    MaskWeightsCard(source=source, stored=stored, **fields).write(folder / source / CARD)
    return folder / source


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RawFolder:
    """Make five photos with seven samples; one is clicked instead of annotated."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return folder_of(tmp_path / "raw", [labels_of(1, 2), labels_of(7), labels_of(2, 7), labels_of(1)])


def folder_of(path: Path, label_maps: Sequence[np.ndarray]) -> RawFolder:
    """Make a data set of the given label maps, the last one for testing, and one clicked photo."""
    folder = RawFolder(path)
    for number, labels in enumerate(label_maps):
        folder.add("test" if number == len(label_maps) - 1 else "train", f"0000000{number}", labels, seed=number)
    clicked = folder.add_extra("chili paste", "test", "bowl", None, seed=11)
    (clicked / "prompts.csv").write_text("photo,kind,x0,y0,x1,y1\nbowl.png,point,4,3,,\nbowl.png,point,6,5,,\n")
    return folder


def indexed(raw: RawFolder) -> Path:
    """Index; return the sample table."""
    index = raw.path.parent / f"{raw.path.name}-index"
    build_index(IndexParams(on_error="fail", tiny_area=10), raw=raw.path, index=index, workers=1)
    return index / "samples.parquet"


def segment(raw: RawFolder, weights: Path, params: Params, name: str, workers: int = 1) -> Path:
    """Index and segment; return the folder of masks."""
    masks, places = raw.path.parent / name, {"raw": raw.path, "samples": indexed(raw)}
    weights = weights / params.source
    write_prompted_masks(params, **places, weights=weights, masks=masks, device="cpu", workers=workers)
    return masks


def read(folder: Path, split: str) -> list[StoredMask]:
    """Return all masks of a split."""
    masks = Masks(folder)
    return masks.locate(split, 0, sum(e.rows for e in masks.manifest.files if e.split == split)).read(folder)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return the content of every file."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class Counting:
    """Passes photos on to a source, and is interrupted when it has seen so many."""

    name = "sam"

    def __init__(self, source: MaskSource, limit: int) -> None:
        """Wrap a source."""
        self.source, self.limit, self.photos = source, limit, 0

    def predict(self, photo: AnyImage, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Answer, or stop as Ctrl-C would."""
        if self.photos == self.limit:
            raise KeyboardInterrupt
        self.photos += 1
        return self.source.predict(photo, prompts)


@pytest.mark.parametrize("params", [SAM, FASTSAM, GRABCUT, SAM2], ids=lambda params: params.source)
def test_all_sources_have_the_same_samples(raw: RawFolder, weights: Path, params: Params) -> None:
    """In the order of the sample table, each with pixels, a status and the prompts that were asked."""
    if params is GRABCUT:  # it takes no clicks
        (raw.path / "extra/chili paste/test/prompts.csv").write_text("photo,kind,x0,y0,x1,y1\nbowl.png,box,2,2,9,8\n")
    if not (weights / params.source).exists():
        pytest.skip("ultralytics (AGPL-3.0) or transformers was left out")
    masks = segment(raw, weights, params, params.source)
    reference = raw.path.parent / "annotation"
    annotation = SegmentParams(source="annotation", photos_per_file=3, reference_only=True)
    write_masks(annotation, raw=raw.path, samples=indexed(raw), masks=reference, workers=1)
    table = [sample.sample_id for sample in read_samples(indexed(raw))]
    for folder in (masks, reference):
        assert [mask.sample_id for split in ("train", "test") for mask in read(folder, split)] == table
    found = read(masks, "train") + read(masks, "test")
    assert all(mask.crop.any() and mask.prompts for mask in found)
    assert all(mask.score == 0 for mask in found if mask.status == "empty")
    assert {mask.status for mask in found} <= {"ok", "tiny", "empty"}
    assert Masks(masks).manifest.source == params.source


def test_clicks_of_a_user_are_answered(raw: RawFolder, weights: Path) -> None:
    """A photo without annotation gets its mask from its own prompts, several for one food."""
    (clicked,) = (mask for mask in read(segment(raw, weights, SAM, "sam"), "test") if "bowl" in mask.sample_id)
    assert json.loads(clicked.prompts or "") == [{"point": [4.0, 3.0]}, {"point": [6.0, 5.0]}]
    assert clicked.full().sum() > 2


def test_clicks_are_refused_where_annotation_is_used_and_stand_in_where_it_is_not(raw: RawFolder) -> None:
    """As a reference only, annotation leaves clicked samples empty; to train on that would be a silent loss."""
    arguments = {"raw": raw.path, "samples": indexed(raw), "masks": raw.path.parent / "masks", "workers": 1}
    with pytest.raises(DatasetError, match=r"bowl.*draw a box instead, or set masks.eval and masks.train"):
        write_masks(SegmentParams(source="annotation", photos_per_file=2), **arguments)
    write_masks(SegmentParams(source="annotation", photos_per_file=2, reference_only=True), **arguments)
    (clicked,) = (mask for mask in read(raw.path.parent / "masks", "test") if "bowl" in mask.sample_id)
    assert (clicked.status, clicked.score, int(clicked.full().sum())) == ("empty", 0.0, 2)


def test_grabcut_gives_the_same_bytes_by_one_process_or_two_and_after_an_interruption(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photo's masks depend on nothing but the photo and its boxes; finished files are not made again."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    raw = RawFolder(tmp_path / "raw")
    for number in range(4):
        raw.add("test" if number == 3 else "train", f"0000000{number}", labels_of(1, 2), seed=number)
    one, two = (bytes_of(segment(raw, weights, GRABCUT, f"by-{n}", workers=n)) for n in (1, 2))
    assert one == two
    real, asked = GrabCut.predict, list[int]()

    def stopping(source: GrabCut, photo: AnyImage, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        asked.append(len(asked))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return real(source, photo, prompts)

    monkeypatch.setattr(GrabCut, "predict", stopping)
    with pytest.raises(KeyboardInterrupt):
        segment(raw, weights, GRABCUT, "disturbed")
    assert bytes_of(segment(raw, weights, GRABCUT, "disturbed")) == one
    assert len(asked) == 4 + 1  # the two files of `train` were kept


@pytest.mark.parametrize("kind", ["box", "point", "box_point"])
def test_nothing_but_prompts_passes_from_the_annotation(tmp_path: Path, weights: Path, kind: str) -> None:
    """Label maps that differ, but give the same prompts, give the same bytes."""
    solid = np.zeros((40, 60), np.uint8)
    solid[5:30, 4:29], solid[10:31, 35:56] = 1, 2
    frayed = solid.copy()
    for corner in (frayed[5:8, 4:7], frayed[27:30, 26:29], frayed[10:12, 35:37]):
        corner[...] = 0  # far from the deepest pixel, and each box keeps the rest of its edges
    params = SAM.model_copy(update={"prompts": PROMPTS.model_copy(update={"kind": kind})})
    one, other = (
        bytes_of(segment(folder_of(tmp_path / name, [labels, labels]), weights, params, f"{name}-masks"))
        for name, labels in (("solid", solid), ("frayed", frayed))
    )
    assert (solid != frayed).any()
    assert one == other


def test_interrupted_after_a_photo_it_goes_on_there(
    raw: RawFolder, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No photo is asked about twice, and the bytes are those of an undisturbed run."""
    undisturbed = bytes_of(segment(raw, weights, SAM, "undisturbed"))
    for limit, answered in ((3, 3), (1, 1), (99, 1)):
        source = Counting(create_source(weights / "sam", device="cpu", decoding=SAM_DECODING), limit)
        monkeypatch.setattr(segment_prompted, "create_verified_source", lambda *_, source=source, **__: source)
        if limit < 99:
            with pytest.raises(KeyboardInterrupt):
                segment(raw, weights, SAM, "disturbed")
            assert not (raw.path.parent / "disturbed").exists()
        else:
            assert bytes_of(segment(raw, weights, SAM, "disturbed")) == undisturbed
        assert source.photos == answered
    assert not list((raw.path.parent / ".unfinished").glob("segment-*/"))


def test_other_weights_or_prompts_are_never_taken_up(raw: RawFolder, weights: Path) -> None:
    """The work folder is keyed by everything that defines the result; so are the settings in the manifest."""
    boxes = segment(raw, weights, SAM, "boxes")
    points = SAM.model_copy(update={"prompts": PROMPTS.model_copy(update={"kind": "point"})})
    clicks = segment(raw, weights, points, "clicks")
    assert bytes_of(boxes)[MANIFEST] != bytes_of(clicks)[MANIFEST]


def test_a_source_that_finds_nothing_leaves_its_prompts(
    raw: RawFolder, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stated fallback: the boxes themselves, score 0, status empty; a small answer is tiny."""

    class Silent:
        name = "sam"

        def predict(self, photo: AnyImage, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
            masks = np.zeros((len(prompts), *photo.shape[:2]), np.bool_)
            masks[0, 0, 0] = True
            return [MaskPrediction(mask, 0.5 if mask.any() else 0.0) for mask in masks]

    monkeypatch.setattr(segment_prompted, "create_verified_source", lambda *_, **__: Silent())
    first, second, *_ = read(segment(raw, weights, SAM, "silent"), "train")
    assert (first.status, first.score, int(first.full().sum())) == ("tiny", 0.5, 1)
    assert (second.status, second.score, int(second.full().sum())) == ("empty", 0.0, 10)


def test_weights_that_are_gone_are_named(raw: RawFolder, weights: Path, tmp_path: Path) -> None:
    """Card without weights, annotation's card, no card at all."""
    folder = tmp_path / "sam"
    folder.mkdir()
    MaskWeightsCard.model_validate_json((weights / "sam/mask_weights.json").read_bytes()).write(folder / CARD)
    with pytest.raises(WeightsError, match="tiny.safetensors: no such file"):
        segment(raw, tmp_path, SAM, "masks")
    card = MaskWeightsCard(
        source="annotation", architecture=None, origin="none", file=None, sha256=None, licence=None, stored=None
    )
    card.write(folder / CARD)
    with pytest.raises(ParamsError, match="annotation answers no clicks; choose sam or fastsam"):
        segment(raw, tmp_path, SAM, "masks")
    (folder / "mask_weights.json").unlink()
    with pytest.raises(WeightsError, match="absent; give a folder that stage mask_weights wrote"):
        segment(raw, tmp_path, SAM, "masks")
