"""A folder of planned files with one manifest: what every file holds and its SHA-256.

DVC trusts a damaged object of its local cache, so readers check hashes themselves.
"""

import hashlib
import json
from pathlib import Path

from pydantic import Field, ValidationError

from pipeline.errors import ManifestError
from pipeline.params.base import Section, describe

MANIFEST = "manifest.json"
LARGEST_IMAGE = 2048
"""Largest side of a cut-out in pixels; see `pair.image_size`."""


class FileEntry(Section):
    """One file of the folder."""

    name: str = Field(pattern=r"^[\w-][\w.-]*$")
    """File name, without folders."""
    split: str
    """`train` or `test`."""
    rows: int = Field(ge=1)
    """Samples in the file."""
    sha256: str
    """Hexadecimal SHA-256 of the file's bytes."""


class Manifest(Section):
    """Contents of a folder of masks or shards."""

    kind: str
    """`masks` or `shards`."""
    schema_version: int
    """Version of the file layout; readers refuse others."""
    source: str
    """Mask source: annotation, sam or fastsam."""
    image_size: int = Field(ge=0, le=LARGEST_IMAGE)
    """Side of the stored squares in pixels; 0 for masks, which have the photo's size."""
    categories: tuple[str, ...]
    """Category name by target index."""
    settings_sha256: str
    """Hash of the settings that made the files."""
    files: tuple[FileEntry, ...]
    """Files in row order."""


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settings_sha256(settings: Section) -> str:
    """Return the hash of a section's values, independent of their order in any file."""
    canonical = json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write `folder/manifest.json` as a new file: an older one may be a link into DVC's cache."""
    (folder / MANIFEST).unlink(missing_ok=True)
    manifest.write(folder / MANIFEST)


def read_manifest(folder: Path, *, kind: str, schema_version: int) -> Manifest:
    """Read `folder/manifest.json`.

    Raises:
        ManifestError: If it is absent, damaged, or of another kind or version.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: absent; run `dvc repro` or `dvc pull`") from error
    except ValidationError as error:
        raise ManifestError(f"{path}: damaged ({describe(error)}); delete {folder} and run `dvc repro`") from error
    if (manifest.kind, manifest.schema_version) != (kind, schema_version):
        raise ManifestError(
            f"{path}: holds {manifest.kind} of version {manifest.schema_version}, this code reads {kind} of version "
            f"{schema_version}; run `dvc repro` to write them anew"
        )
    return manifest


def verified(folder: Path, entry: FileEntry) -> Path:
    """Return the path of a listed file after its bytes have been checked.

    Raises:
        ManifestError: If the file is absent or its bytes differ from the manifest.
    """
    path = folder / entry.name
    if not path.is_file():
        raise ManifestError(f"{path}: listed in the manifest but absent; run `dvc checkout` or `dvc repro`")
    if sha256_of(path) != entry.sha256:
        raise ManifestError(f"{path}: bytes differ from the manifest; run `dvc repro -f` for the stage that wrote it")
    return path
