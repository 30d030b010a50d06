"""A folder's manifest: identity after write and read, and every kind of damage named."""

from pathlib import Path

import pytest

from pipeline.params.stages import DemoParams
from pipeline.runtime.errors import ManifestError
from pipeline.runtime.manifest import (
    FileEntry,
    Manifest,
    files_by_split,
    open_verified,
    read_manifest,
    settings_sha256,
    sha256_of,
    write_manifest,
)


def manifest_of(folder: Path) -> Manifest:
    """Write one file and its manifest."""
    (folder / "train-00000.parquet").write_bytes(b"pixels")
    entry = FileEntry(
        name="train-00000.parquet", split="train", rows=1, sha256=sha256_of(folder / "train-00000.parquet")
    )
    manifest = Manifest(
        kind="shards",
        schema_version=1,
        source="annotation",
        image_size=64,
        categories=("rice",),
        settings_sha256="0",
        files=(entry,),
    )
    write_manifest(manifest, folder)
    return manifest


def test_a_manifest_reads_back_as_written(tmp_path: Path) -> None:
    """Write then read is the identity."""
    assert read_manifest(_with(tmp_path), kind="shards", schema_version=1) == manifest_of(tmp_path)


def _with(folder: Path) -> Path:
    manifest_of(folder)
    return folder


def test_the_files_of_a_split_come_with_their_first_rows(tmp_path: Path) -> None:
    """In row order, whatever lies between them; a split without files has no rows."""
    entry = manifest_of(tmp_path).files[0]
    first, other, last = (
        entry.model_copy(update={"split": split, "rows": rows}) for split, rows in (("a", 2), ("b", 3), ("a", 4))
    )
    manifest = manifest_of(tmp_path).model_copy(update={"files": (first, other, last)})
    files = files_by_split(manifest)
    assert files["a"] == ((first, last), (0, 2, 6))
    assert files["c"] == ((), (0,))


def test_an_untouched_file_is_handed_out(tmp_path: Path) -> None:
    """The path of a file whose bytes match."""
    entry = manifest_of(tmp_path).files[0]
    with open_verified(tmp_path, entry) as path:
        assert path == tmp_path / entry.name


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """One changed byte is refused by name."""
    entry = manifest_of(tmp_path).files[0]
    (tmp_path / entry.name).write_bytes(b"pixelt")
    with pytest.raises(ManifestError, match=r"train-00000.parquet: bytes differ"), open_verified(tmp_path, entry):
        pass


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    """A listed file that is gone is refused by name."""
    entry = manifest_of(tmp_path).files[0]
    (tmp_path / entry.name).unlink()
    with pytest.raises(ManifestError, match="absent"), open_verified(tmp_path, entry):
        pass


@pytest.mark.parametrize(
    ("kind", "version", "message"), [("masks", 1, "holds shards"), ("shards", 2, "of version 1, this code reads")]
)
def test_another_kind_or_version_is_refused(tmp_path: Path, kind: str, version: int, message: str) -> None:
    """Readers never guess at another layout."""
    manifest_of(tmp_path)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path, kind=kind, schema_version=version)


def test_a_damaged_or_absent_manifest_says_what_to_do(tmp_path: Path) -> None:
    """Both cases name the file and the command."""
    with pytest.raises(ManifestError, match="dvc pull"):
        read_manifest(tmp_path, kind="shards", schema_version=1)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ManifestError, match="damaged"):
        read_manifest(tmp_path, kind="shards", schema_version=1)


def test_the_settings_hash_depends_on_values_alone() -> None:
    """Equal settings, equal hash; another value, another hash."""
    one, same, other = (DemoParams(train_photos=1, test_photos=1, seed=seed) for seed in (0, 0, 1))
    assert settings_sha256(one) == settings_sha256(same) != settings_sha256(other)
