"""Data that lies outside of the checkout: what changed there is seen by the next `dvc repro`, and nothing else runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import timm
from ruamel.yaml import YAML

from pipeline.datasets.index import read_samples
from pipeline.models import demo_backbones  # noqa: F401 - timm knows them from here on
from tests.e2e.checkout import Checkout, ran
from tests.raw_folder import RawFolder, labels_of

pytestmark = pytest.mark.e2e
TARGETS = ("segment@annotation", "weights@vit")


@pytest.fixture
def photos(tmp_path: Path) -> RawFolder:
    """Make a data set of eight photos, with categories of training in test."""
    folder = RawFolder(tmp_path / "photos")
    for number in range(8):
        folder.add("test" if number % 4 == 3 else "train", f"{number:08d}", labels_of(1, 2, 7), seed=number)
    return folder


def write_weights(path: Path, seed: float) -> None:
    """Write a state dict of the demo's ViT."""
    tensors = {name: tensor + seed for name, tensor in timm.create_model("demo_vit").state_dict().items()}
    safetensors.torch.save_file(tensors, path)


@pytest.fixture
def copy(study: Checkout, tmp_path: Path, photos: RawFolder) -> Checkout:
    """Return a clone that names photos and weights outside of it; nothing has run."""
    one = study.clone(tmp_path / "copy")
    write_weights(tmp_path / "vit.safetensors", 0.0)
    yaml, params = YAML(), one.folder / "params.yaml"
    values = yaml.load(params)
    values["dataset"] = str(photos.path)
    values["backbones"]["vit"] |= {"timm": "demo_vit", "weights": str(tmp_path / "vit.safetensors")}
    yaml.dump(values, params)
    return one


def samples(one: Checkout) -> Iterator[str]:
    """Yield the ids of the photos that have become samples."""
    return (sample.photo_id for sample in read_samples(one.folder / "data/index/samples.parquet"))


def test_what_changes_outside_is_seen_and_nothing_else_runs(copy: Checkout, photos: RawFolder, tmp_path: Path) -> None:
    """A label map that is damaged, then mended; a photo more; other weights; no change; all of it gone."""
    damaged = photos.label_map("train", "00000001")
    sound = damaged.read_bytes()
    damaged.write_bytes(sound[:-40])
    assert damaged.name in copy.refused("dvc", "repro", *TARGETS)
    damaged.write_bytes(sound)
    assert {"download", "index", "segment@annotation"} <= set(ran(copy.call("dvc", "repro", *TARGETS)))
    assert len(set(samples(copy))) == 8

    photos.add("train", "00000009", labels_of(1, 7), seed=9)
    assert set(ran(copy.call("dvc", "repro", *TARGETS))) == {"configure", "download", "index", "segment@annotation"}
    assert len(set(samples(copy))) == 9

    write_weights(tmp_path / "vit.safetensors", 1.0)
    assert ran(copy.call("dvc", "repro", *TARGETS)) == ["configure", "weights@vit"]

    assert ran(copy.call("dvc", "repro", *TARGETS)) == ["configure"]
    copy.commit()
    photos.path.rename(tmp_path / "elsewhere")
    (tmp_path / "vit.safetensors").unlink()
    twin = copy.clone_with_cache(tmp_path / "twin")
    for one in (copy, twin):
        output = one.call("dvc", "repro", *TARGETS)
        assert ran(output) == ["configure"]
        assert f"download.source: {photos.path} is not here; taken to be as recorded" in output
    assert twin.call("git", "status", "--porcelain") == ""
    assert f"{photos.path}: no such archive or folder" in twin.refused("dvc", "repro", "--force", "download")


def test_a_clone_without_the_commits_data_tries_one_variant_after_another(
    study: Checkout, photos: RawFolder, tmp_path: Path
) -> None:
    """Who never runs the demo: own data by `-S`, back to the commit, the next variant; what can be reused is reused."""
    clone = study.clone(tmp_path / "clone")
    own = ("dvc", "exp", "run", "-S", f"dataset={photos.path}", "pair@annotation")
    assert "pair@annotation" in ran(clone.call(*own))
    clone.call("git", "checkout", "-q", "--", ".")
    assert ran(clone.call(*own, "-S", "pair.image_size=96")) == ["configure", "pair@annotation"]
    clone.call("git", "checkout", "-q", "--", ".")
    assert ran(clone.call(*own)) == ["configure"]
