"""Manifest of a folder: content and SHA-256 of every file. Readers check hashes, since DVC does not check its cache."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, ValidationError

from pipeline.params.base import Name, Section, describe
from pipeline.runtime.errors import ManifestError, PipelineError, raise_if_machine_error
from pipeline.runtime.stores import Place, RemoteFolder, open_local

MANIFEST = "manifest.json"
MAX_IMAGE_SIZE = 2048  # largest side of a cut-out in pixels; see `pair.image_size`


class FileEntry(Section):
    """One file of the folder."""

    name: str = Field(pattern=r"^[\w-][\w.-]*$")  # file name, without folders
    split: str  # `train`, `validation` or `test`
    rows: int = Field(ge=1)  # samples in the file
    sha256: str  # hexadecimal SHA-256 of the file's bytes


class Manifest(Section):
    """Contents of a folder of masks or shards."""

    kind: str  # `masks` or `shards`
    schema_version: int  # version of the file layout; readers refuse others
    source: str  # mask source: annotation, sam, fastsam or grabcut
    image_size: int = Field(ge=0, le=MAX_IMAGE_SIZE)  # side of the stored squares in pixels; 0 for masks
    categories: tuple[Name, ...]  # category name by target index
    settings_sha256: str  # hash of the settings that made the files
    files: tuple[FileEntry, ...]  # files in row order


class SplitFiles(NamedTuple):
    """Files of a split in row order."""

    files: tuple[FileEntry, ...] = ()
    starts: tuple[int, ...] = (0,)  # first row of each file, and last the number of rows


def files_by_split(manifest: Manifest) -> defaultdict[str, SplitFiles]:
    """Return the files of each split, none of any other."""
    entries = defaultdict[str, list[FileEntry]](list)
    for entry in manifest.files:
        entries[entry.split].append(entry)
    files = {split: SplitFiles(tuple(of), (0, *accumulate(each.rows for each in of))) for split, of in entries.items()}
    return defaultdict(SplitFiles, files)


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in blocks."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise_if_machine_error(path, error)
        raise


def settings_sha256(settings: Section) -> str:
    """Return the hash of a section's values, whatever their order."""
    canonical = json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write `folder/manifest.json` as a new file; the old one may be a link into DVC's cache."""
    (folder / MANIFEST).unlink(missing_ok=True)
    manifest.write(folder / MANIFEST)


def read_manifest(folder: Place, *, kind: str, schema_version: int) -> Manifest:
    """Read `folder/manifest.json`; raise `ManifestError` if it is absent, damaged, or of another kind or version."""
    path = f"{folder}/{MANIFEST}"
    try:
        with open_local(folder, MANIFEST) as file:
            manifest = Manifest.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: absent; {_advice(folder, 'run `dvc repro` or `dvc pull`')}") from error
    except ValidationError as error:
        advice = _advice(folder, f"delete {folder} and run `dvc repro`")
        raise ManifestError(f"{path}: damaged ({describe(error)}); {advice}") from error
    if (manifest.kind, manifest.schema_version) != (kind, schema_version):
        raise ManifestError(
            f"{path}: holds {manifest.kind} of version {manifest.schema_version}, this code reads {kind} of version "
            f"{schema_version}; run `dvc repro` to write them anew"
        )
    return manifest


def sha256_of_manifest(folder: Place) -> str:
    """Return the hexadecimal SHA-256 of `folder/manifest.json`, which covers all files."""
    with open_local(folder, MANIFEST) as file:
        return sha256_of(file)


def open_verified(folder: Place, entry: FileEntry) -> AbstractContextManager[Path]:
    """Yield the path here of a listed file; a `ManifestError` if it is absent or its bytes are not the listed ones."""
    where, checkout = f"{folder}/{entry.name}", _advice(folder, "run `dvc checkout` or `dvc repro`")
    again = _advice(folder, "run `dvc repro -f` for the stage that wrote it")
    absent = ManifestError(f"{where}: listed in the manifest but absent; {checkout}")
    changed = ManifestError(f"{where}: bytes differ from the manifest; {again}")
    return open_checked(folder, entry.name, entry.sha256, absent=absent, changed=changed)


@contextmanager
def open_checked(
    folder: Place, name: str, sha256: str | None, *, absent: PipelineError, changed: PipelineError
) -> Iterator[Path]:
    """Yield the path here of a folder's file; raise `absent` if it is not there, `changed` if its SHA-256 differs."""
    with ExitStack() as stack:
        path = None
        with suppress(FileNotFoundError):
            path = stack.enter_context(open_local(folder, name))
        if path is None or not path.is_file():
            raise absent
        if sha256_of(path) != sha256:
            raise changed
        yield path


def _advice(folder: Place, here: str) -> str:
    return "copy the folder there again" if isinstance(folder, RemoteFolder) else here
