"""Every kind of stored file, damaged in every way: one line with the file's name, and nothing of it runs."""

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from pipeline.datasets.index import read_categories, read_samples, write_samples
from pipeline.datasets.layout import load_category_names
from pipeline.datasets.masks import KIND, Masks, StoredMask, write_mask_file
from pipeline.datasets.shards import Shards
from pipeline.evaluation.predictions import PredictionWriter, read_predictions
from pipeline.models.artifact import load_run
from pipeline.models.card import CARD, RUN_CARD, read_card
from pipeline.models.state_dicts import read_stored_tensors, read_tensors
from pipeline.params.base import load_settings, read_record
from pipeline.params.model import TrainParams
from pipeline.params.runtime import load_runtime
from pipeline.params.study import load_study
from pipeline.reporting.results import EvaluationMetrics, read_history
from pipeline.runtime.errors import ManifestError, PipelineError
from pipeline.runtime.manifest import MANIFEST, FileEntry, Manifest, sha256_of, write_manifest
from pipeline.segmentation.sam import load_sam, random_tensors
from pipeline.training.checkpoint import write_history
from tests.small_run import TRAIN, backbone_card, random_batch, write_small_run, write_small_shards
from tests.unit.datasets.test_index import CATEGORIES, SAMPLE
from tests.unit.training.test_checkpoint import PROGRESS, RECORD, make_trainer, step
from tests.unit.training.test_checkpoint import checkpoint as checkpoint_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stored:
    """A kind of file."""

    make: Callable[[Path], Path]
    """Writes a sound one below a folder, with what belongs to it, and returns its path."""
    read: Callable[[Path], object]
    """Reads it as the stages do."""
    text: bool = False
    """Whether half of it may be a smaller sound file."""


def masks(folder: Path) -> Path:
    """Write a folder of one mask."""
    mask = StoredMask.of(np.eye(4, dtype=np.bool_), sample_id="test/a/1", score=1.0, status="ok", prompts=None)
    write_mask_file([mask], folder / "test-00000.parquet", {})
    entry = FileEntry(name="test-00000.parquet", split="test", rows=1, sha256=sha256_of(folder / "test-00000.parquet"))
    fields = {"source": "annotation", "image_size": 0, "categories": ("bread",), "settings_sha256": "0" * 64}
    write_manifest(Manifest(kind=KIND, schema_version=1, files=(entry,), **fields), folder)  # type: ignore[arg-type]
    return folder / "test-00000.parquet"


def predictions(folder: Path) -> Path:
    """Write predictions of three samples."""
    path = folder / "predictions.parquet"
    writer = PredictionWriter(path, run="a", class_names=("bread", "rice"))
    logits = np.array([[0.1, 0.2], [0.4, 0.3], [0.5, 0.6]], np.float32)
    writer.write(("test/a/1", "test/b/1", "test/b/2"), np.array([0, 1, 1]), logits.argmax(1), logits)
    writer.close()
    return path


def checkpoint(folder: Path) -> Path:
    """Write a checkpoint after one step."""
    made = make_trainer()
    step(made)
    checkpoint_of(made, folder).save(PROGRESS)
    return folder / "checkpoint.pt"


def tensors(name: str) -> Callable[[Path], Path]:
    """Return a writer of weights."""

    def write(folder: Path) -> Path:
        content = {"a": torch.rand(9, 9), "b": torch.rand(3)}
        safetensors.torch.save_file(content, folder / name) if "safe" in name else torch.save(content, folder / name)
        return folder / name

    return write


def sam(folder: Path) -> Path:
    """Write weights of a mask source as torch does."""
    torch.save(random_tensors("tiny"), folder / "sam.pth")
    return folder / "sam.pth"


def text(name: str, content: str) -> Callable[[Path], Path]:
    """Return a writer of a text file."""

    def write(folder: Path) -> Path:
        (folder / name).write_text(content, encoding="utf-8")
        return folder / name

    return write


def card(folder: Path) -> Path:
    """Write a backbone's card."""
    backbone_card("tiny").write(folder / CARD)
    return folder / CARD


def samples(folder: Path) -> Path:
    """Write a sample table."""
    write_samples([SAMPLE] * 50, CATEGORIES, folder / "samples.parquet")
    return folder / "samples.parquet"


def history(folder: Path) -> Path:
    """Write a history."""
    write_history([RECORD], folder / "history.csv")
    return folder / "history.csv"


def read_masks(path: Path) -> None:
    """Read a folder of masks."""
    Masks(path.parent).locate("test", 0, 1).read(path.parent)


def read_pretrained(path: Path) -> dict[str, torch.Tensor]:
    """Read weights as a run does that starts from them."""
    return read_stored_tensors(path, backbone_card("tiny"))


METRICS = (
    '{"samples": 1, "top1": 1.0, "macro_f1": 1.0, "macro_f1_all": 1.0, "ambiguous_f1": null, "ambiguous_samples": 0,'
    '"ambiguous_top1": null, "ece": 0.0, "majority_rate": 1.0, "epoch": 1, "conventions": {}}'
)
FILES = {
    "masks": Stored(masks, read_masks),
    "masks-manifest": Stored(lambda folder: masks(folder).with_name(MANIFEST), read_masks),
    "shards": Stored(
        lambda folder: write_small_shards(folder / "s", [random_batch(2)]) / "test-00000.parquet",
        lambda path: Shards(path.parent).read("test"),
    ),
    "shards-manifest": Stored(
        lambda folder: write_small_shards(folder / "s", [random_batch(2)]) / MANIFEST,
        lambda path: Shards(path.parent).read("test"),
    ),
    "samples": Stored(samples, lambda path: (list(read_samples(path)), read_categories(path))),
    "predictions": Stored(predictions, read_predictions),
    "run-card": Stored(
        lambda folder: write_small_run(folder / "r", ("roi",)) / RUN_CARD, lambda path: load_run(path.parent, "cpu")
    ),
    "run-model": Stored(
        lambda folder: write_small_run(folder / "r", ("roi",)) / "model.safetensors",
        lambda path: load_run(path.parent, "cpu"),
    ),
    "backbone-card": Stored(card, lambda path: read_card(path.parent)),
    "backbone-weights": Stored(tensors("model.safetensors"), read_pretrained),
    "given-weights-safetensors": Stored(tensors("given.safetensors"), read_tensors),
    "given-weights-pth": Stored(tensors("given.pth"), read_tensors),
    "sam-weights-pth": Stored(sam, lambda path: load_sam(path, "tiny")),
    "checkpoint": Stored(checkpoint, lambda path: checkpoint_of(make_trainer(), path.parent).load()),
    "settings": Stored(text("train.json", TRAIN.model_dump_json()), lambda path: load_settings(TrainParams, path)),
    "params": Stored(text("params.yaml", (ROOT / "params.yaml").read_text()), load_study, text=True),
    "params-runtime": Stored(text("params.yaml", "runtime: {workers: 1, device: cpu}\n"), load_runtime, text=True),
    "metrics": Stored(text("metrics.json", METRICS), lambda path: read_record(EvaluationMetrics, path, "evaluate")),
    "history": Stored(history, lambda path: read_history(path, "train"), text=True),
    "categories": Stored(
        text("category_id.txt", "1 bread\n2 rice\n"), lambda path: load_category_names(path.parent), text=True
    ),
}  # fmt: skip


class Bomb:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, path: Path) -> None:
        """Remember what to create."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Ask the loader to run a shell command."""
        return os.system, (f"touch {self.path}",)


def pickled(path: Path) -> bytes:
    """Return a bare pickle with a payload."""
    return pickle.dumps({"model": Bomb(path.parent / "ran")})


def saved_by_torch(path: Path) -> bytes:
    """Return torch's own format with a payload where the tensors should be."""
    torch.save({"model": Bomb(path.parent / "ran"), "optimizer": {}, "records": []}, path.with_name("bomb"))
    return path.with_name("bomb").read_bytes()


SURE: dict[str, Callable[[Path], bytes]] = {
    "zero-bytes": lambda _: b"",
    "web-page": lambda _: b"<!DOCTYPE html><title>Sign in</title>",
    "zeros": lambda path: bytes(path.stat().st_size),
    "not-utf-8": lambda _: b"\xff\xfe\xfa",
    "pickle": pickled,
    "torch": saved_by_torch,
    "json-list": lambda _: b"[1, 2]",
    "json-null": lambda _: b"null",
    "deep-nesting": lambda _: b"[" * 20_000,
}
"""Bytes that no kind of file may pass for."""


@pytest.fixture(scope="module", params=FILES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stored, Path, Path]:
    """Return a kind of file, a sound one, and the folder that has it with what belongs to it."""
    kind, folder = FILES[request.param], tmp_path_factory.mktemp("sound")
    return kind, kind.make(folder), folder


@pytest.fixture
def kind(made: tuple[Stored, Path, Path]) -> Stored:
    """Return a kind of file."""
    return made[0]


@pytest.fixture
def path(made: tuple[Stored, Path, Path], tmp_path: Path) -> Path:
    """Return a copy of a sound one."""
    _, path, folder = made
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / path.relative_to(folder)


def refused(kind: Stored, path: Path) -> str:
    """Read a file that must be refused, and return the message."""
    with pytest.raises(PipelineError) as caught:
        kind.read(path)
    assert path.name in str(caught.value)
    assert str(caught.value).isprintable()
    assert not (path.parent / "ran").exists()
    return str(caught.value)


@pytest.mark.parametrize("damage", SURE)
def test_other_content_is_refused_and_nothing_of_it_runs(kind: Stored, path: Path, damage: str) -> None:
    """Whatever lies in the place of the file."""
    content = SURE[damage](path)
    path.unlink()
    path.write_bytes(content)
    refused(kind, path)


def test_half_a_file_is_refused(kind: Stored, path: Path) -> None:
    """Text cut at the end of a line may be a smaller sound file; then a manifest or DVC's hash tells."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if kind.text:
        sound_or_refused(kind, path)
    else:
        refused(kind, path)


def test_flipped_bits_are_refused_or_harmless(kind: Stored, path: Path) -> None:
    """A hundred places and all eight bits: never another error, let alone a crash."""
    content = path.read_bytes()
    for number, at in enumerate(range(0, len(content), len(content) // 100 + 1)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << number % 8]) + content[at + 1 :])
        sound_or_refused(kind, path)


@pytest.mark.parametrize("name", ["checkpoint", "given-weights-pth", "sam-weights-pth"])
def test_each_bit_of_the_tables_of_a_file_by_torch_may_flip(name: str, tmp_path: Path) -> None:
    """The header of an entry, and the table of contents at the end, which say how it is packed and where it lies.

    Every bit of given weights; of the other files, which the same function reads, one bit of every byte.
    """
    kind = FILES[name]
    path = kind.make(tmp_path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0].header_offset
        places = [*range(first, first + 40), *range(archive.start_dir, min(archive.start_dir + 60, len(content)))]
    for at in [*places, *range(len(content) - 22, len(content))]:
        for bit in range(8) if name == "given-weights-pth" else (at % 8,):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
            sound_or_refused(kind, path)


@pytest.mark.parametrize("name", ["checkpoint", "given-weights-pth", "sam-weights-pth"])
def test_a_flipped_bit_in_a_tensor_is_never_loaded(name: str, tmp_path: Path) -> None:
    """Torch stores a checksum of each tensor and does not compare it."""
    kind = FILES[name]
    path = kind.make(tmp_path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        held = archive.read(largest)
    at = content.index(held) + largest.file_size // 2
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    assert "damaged at" in refused(kind, path)


def sound_or_refused(kind: Stored, path: Path) -> None:
    """Read a file; an error must be one line."""
    try:
        kind.read(path)
    except PipelineError as error:
        message = str(error)
    else:
        return
    assert message.isprintable()
    assert path.name in message or path.parent.name in message


@pytest.mark.parametrize("name", ["masks", "shards", "samples", "predictions"])
def test_parquet_of_other_columns_is_refused(name: str, tmp_path: Path) -> None:
    """Even where the manifest confirms the bytes."""
    kind = FILES[name]
    path = kind.make(tmp_path)
    other = predictions(tmp_path) if name != "predictions" else samples(tmp_path)
    if other != path:
        path.write_bytes(other.read_bytes())
    if (manifest := path.with_name(MANIFEST)).exists():
        text = manifest.read_text()
        before = Manifest.model_validate_json(text).files[0].sha256
        manifest.write_text(text.replace(before, sha256_of(path)))
    refused(kind, path)


def test_a_model_of_another_run_is_refused(tmp_path: Path) -> None:
    """The card names its model by hash."""
    one, two = (
        write_small_run(tmp_path / name, branches) for name, branches in (("a", ("roi",)), ("b", ("extra_roi",)))
    )
    (one / "model.safetensors").write_bytes((two / "model.safetensors").read_bytes())
    with pytest.raises(ManifestError, match="not the file run.json describes"):
        load_run(one, "cpu")
