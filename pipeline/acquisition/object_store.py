"""Fetch an archive, or the data set in a folder, from object storage; an interrupted fetch is resumed.

fsspec reads credentials and endpoints where each store's own tools do, so none are settings here.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.acquisition.transfer import CHUNK
from pipeline.datasets.formats import find_data_set
from pipeline.runtime.console import ByteReport
from pipeline.runtime.errors import SourceError, without_secrets
from pipeline.runtime.resources import catch_disk_full, ensure_space, format_bytes
from pipeline.runtime.stores import open_store, store_error

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

CHANGES = ("VersionId", "ETag", "etag", "content_md5", "LastModified", "last_modified", "mtime", "created", "size")
"""Attributes of an object, of which a store gives some, that change with its content."""


@contextmanager
def _store(url: str) -> Iterator[tuple["AbstractFileSystem", str]]:
    """Yield the store and the path within it; whatever fails is a `SourceError`, an absent object too."""
    try:
        with open_store(url) as (store, path):
            store.invalidate_cache()
            yield store, path
    except FileNotFoundError as error:
        raise store_error(url, error) from error


def is_store_folder(url: str) -> bool:
    """Tell whether a URL names a folder, that is, a prefix of other objects' names."""
    with _store(url) as (store, path):
        return bool(store.isdir(path))


def fetch_object(url: str, folder: Path, *, max_bytes: int, report: ByteReport) -> Path:
    """Fetch one object into a folder, resuming an earlier call; return its path.

    Raises:
        SourceError: If it cannot be had or is larger than `max_bytes`.
        SpaceError: If the disk has no room for it.
    """
    with _store(url) as (store, path):
        found = store.info(path)
        _check_size(url, found["size"], max_bytes)
        part, state = folder / "transfer.part", folder / "transfer.json"
        known = json.dumps(_version(found))
        if not (state.is_file() and state.read_text(encoding="utf-8") == known):
            part.unlink(missing_ok=True)
            state.write_text(known, encoding="utf-8")
        have = part.stat().st_size if part.exists() else 0
        ensure_space(folder, 2 * found["size"] - have)  # it is extracted beside
        with (
            catch_disk_full(folder, found["size"]),
            store.open(path, "rb", cache_type="readahead") as source,
            part.open("ab") as file,
        ):
            source.seek(file.tell())
            report(file.tell(), found["size"])
            while block := source.read(CHUNK):
                file.write(block)
                report(file.tell(), found["size"])
        store.invalidate_cache()
        if _version(store.info(path)) != _version(found):
            part.unlink()
            raise _changed(url)
        return part


def _version(found: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(found[name]) for name in CHANGES if name in found}


def _changed(url: str) -> SourceError:
    return SourceError(f"{without_secrets(url)}: changed while it was fetched; run the same command again")


def fetch_tree(url: str, folder: Path, *, max_bytes: int, report: ByteReport) -> Path:
    """Fetch the files of a data set into `folder`; return it.

    Raises:
        SourceError: If there is no data set, or more than one, or it is larger than `max_bytes`.
        SpaceError: If the disk has no room for it.
    """
    with _store(url) as (store, path):
        found = _data_set(url, store.find(path, detail=True), path)
        total, done = sum(int(entry["size"]) for entry in found.values()), 0
        _check_size(url, total, max_bytes)
        folder.mkdir(exist_ok=True)
        versions = folder.with_name(f"{folder.name}.versions")
        ensure_space(folder, 2 * total - sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
        with catch_disk_full(folder, total):
            for name, entry in found.items():
                _fetch_version(store, entry, folder / name, versions / name)
                done += int(entry["size"])
                report(done, total)
        store.invalidate_cache()
        now = _data_set(url, store.find(path, detail=True), path)
        if {name: _version(entry) for name, entry in now.items()} != {n: _version(e) for n, e in found.items()}:
            raise _changed(url)
        return folder


def _fetch_version(store: "AbstractFileSystem", entry: dict[str, Any], to: Path, state: Path) -> None:
    """Fetch one object, unless `state` records that an earlier call fetched the same version."""
    version = json.dumps(_version(entry))
    if to.is_file() and state.is_file() and state.read_text(encoding="utf-8") == version:
        return
    for path in (to, state):
        path.parent.mkdir(parents=True, exist_ok=True)
    state.unlink(missing_ok=True)
    store.get_file(entry["name"], str(to.with_suffix(".part")))
    to.with_suffix(".part").replace(to)
    state.write_text(version, encoding="utf-8")


def _data_set(url: str, found: dict[str, dict[str, Any]], path: str) -> dict[str, dict[str, Any]]:
    """Return the objects of the data set by their path in it; no other name is written to this machine."""
    prefix = path.rstrip("/") + "/"
    names = {key.removeprefix(prefix): entry for key, entry in found.items() if key.startswith(prefix)}
    try:
        data_set = find_data_set([name for name in names if ".." not in PurePosixPath(name).parts])
    except ValueError as error:
        raise SourceError(f"{without_secrets(url)}: {error}") from error
    return {name: names[data_set.top + name] for name in data_set.files}


def _check_size(url: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise SourceError(
            f"{without_secrets(url)}: {format_bytes(size)} are more than download.max_gigabytes allows "
            f"({format_bytes(max_bytes)}); raise it if this is the right place"
        )
