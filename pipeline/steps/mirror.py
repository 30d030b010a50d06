"""Copy outputs of the study to object storage: what stages read there, exactly as `dvc.lock` names it."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runtime.console import byte_progress, progress
from pipeline.runtime.errors import ManifestError, SourceError
from pipeline.runtime.stores import (
    DVC_LOCK,
    LIST_SUFFIX,
    list_of,
    md5_of,
    md5_of_list,
    open_store,
    read_list,
    recorded_md5s,
    store_error,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

MIRRORED = ("data/raw", "data/mask_weights", "data/masks", "data/shards")
"""Outputs, or folders of them, that stages read in a mirror."""
AT_ONCE = 8
"""Files on their way together: each mostly waits for the store."""


def mirror_outputs(mirror: str, folders: Sequence[str] = MIRRORED) -> dict[str, int]:
    """Copy the outputs below `folders` that are here; return how many files of each had to be sent.

    A file that is there with its size and MD5 is not sent again, so an interrupted call is gone on with. The list of a
    folder, which makes it count, is sent last.

    Args:
        mirror: URL that holds a copy of the checkout's `data`.
        folders: Paths of outputs, or of folders of them.

    Raises:
        ManifestError: If an output differs from what `dvc.lock` says.
        SourceError: If there is nothing to copy, or the store does not answer, or refuses.
    """
    named = recorded_md5s()
    chosen = [
        name
        for name, md5 in named.items()
        if md5.endswith(LIST_SUFFIX) and Path(name).is_dir() and any(f"{name}/".startswith(f"{f}/") for f in folders)
    ]
    if not chosen:
        raise SourceError(f"nothing to copy: no output below {', '.join(folders)} is both in {DVC_LOCK} and here")
    return {name: _copy(Path(name), mirror.rstrip("/"), named[name]) for name in chosen}


def _copy(folder: Path, mirror: str, md5: str) -> int:
    md5s, listed, url = _checked(folder, md5), _listed(folder, mirror, md5), f"{mirror}/{folder.as_posix()}"
    try:
        with open_store(url) as (store, path):
            there = _there(store, path, listed or {})
            missing = [name for name in md5s if not _has(there.get(name), folder / name, md5s[name])]
            if missing or listed is None:
                with suppress(FileNotFoundError):
                    store.rm_file(f"{path}{LIST_SUFFIX}")  # until all is there, it counts as absent
                _send(store, path, folder, missing)
                store.pipe_file(f"{path}{LIST_SUFFIX}", list_of(md5s))
    except FileNotFoundError as error:  # no such bucket
        raise store_error(url, error) from error
    return len(missing)


def _checked(folder: Path, md5: str) -> dict[str, str]:
    """Return the MD5 of every file by path; what is sent is what `dvc.lock` names."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashed = progress(files, total=len(files), what=f"check {folder}", unit="file")
    md5s = {path.relative_to(folder).as_posix(): md5_of(path) for path in hashed}
    if md5_of_list(list_of(md5s)) != md5:
        raise ManifestError(f"{folder}: differs from {DVC_LOCK}; run `dvc repro`, or `dvc checkout` to go back")
    return md5s


def _listed(folder: Path, mirror: str, md5: str) -> dict[str, str] | None:
    """Return what a list there says, if it is the one wanted; an older one says nothing of files since replaced."""
    try:
        return read_list(folder, mirror, md5)
    except SourceError as error:
        if error.__cause__ is None or isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _there(store: "AbstractFileSystem", path: str, listed: Mapping[str, str]) -> dict[str, tuple[int, set[str]]]:
    """Return size and known MD5 of every file there: by the list, or as S3 or Google's store say it themselves."""
    store.invalidate_cache()
    found = store.find(path, detail=True)
    names = {key: key.removeprefix(f"{path}/") for key in found}
    return {name: (found[key]["size"], {listed.get(name, ""), *_md5_in(found[key])}) for key, name in names.items()}


def _md5_in(entry: dict[str, Any]) -> Iterator[str]:
    yield str(entry.get("ETag", "")).strip('"')  # an MD5, unless the file was sent in parts
    yield base64.b64decode(entry.get("md5Hash", "")).hex()


def _has(found: tuple[int, set[str]] | None, file: Path, md5: str) -> bool:
    return found is not None and found[0] == file.stat().st_size and md5 in found[1]


def _send(store: "AbstractFileSystem", path: str, folder: Path, names: Sequence[str]) -> None:
    total, done = sum((folder / name).stat().st_size for name in names), 0
    send = partial(_send_file, store, path, folder)
    with byte_progress(f"send {folder}") as report, ThreadPoolExecutor(AT_ONCE) as pool:
        for first in range(0, len(names), AT_ONCE):  # no more are begun once one failed
            for size in pool.map(send, names[first : first + AT_ONCE]):
                done += size
                report(done, total)


def _send_file(store: "AbstractFileSystem", path: str, folder: Path, name: str) -> int:
    store.put_file(str(folder / name), f"{path}/{name}")
    return (folder / name).stat().st_size
