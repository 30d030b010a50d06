"""Copy outputs of the study to object storage: what stages read there, exactly as `dvc.lock` names it."""

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runtime import stores
from pipeline.runtime.console import byte_progress, progress
from pipeline.runtime.errors import ManifestError, SourceError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

MIRRORED = ("data/raw", "data/mask_weights", "data/masks", "data/shards")
"""Outputs, or folders of them, that stages read in a mirror."""
AT_ONCE = 8  # files on their way together: each mostly waits for the store


def mirror_outputs(mirror: str, folders: Sequence[str] = MIRRORED) -> dict[str, int]:
    """Copy the outputs below `folders` that are here; return how many files of each had to be sent.

    A file that is there with its size and MD5 is not sent again, so an interrupted call is gone on with. The list of a
    folder, which makes it count, is sent last.

    `mirror` is the URL that holds a copy of the checkout's `data`; `folders` are outputs, or folders of them.

    Raises:
        ManifestError: If an output differs from what `dvc.lock` says.
        SourceError: If there is nothing to copy, or the store does not answer, or refuses.
    """
    named, below = stores.recorded_md5s(), tuple(f"{folder}/" for folder in folders)
    listed = [name for name, md5 in named.items() if md5.endswith(stores.LIST_SUFFIX) and Path(name).is_dir()]
    chosen = [name for name in listed if f"{name}/".startswith(below)]
    if not chosen:
        raise SourceError(
            f"nothing to copy: no output below {', '.join(folders)} is both in {stores.DVC_LOCK} and here"
        )
    return {name: _copy(Path(name), mirror.rstrip("/"), named[name]) for name in chosen}


def _copy(folder: Path, mirror: str, md5: str) -> int:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashed = progress(files, total=len(files), what=f"check {folder}", unit="file")
    md5s = {path.relative_to(folder).as_posix(): stores.md5_of(path) for path in hashed}
    if stores.md5_of_list(stores.list_of(md5s)) != md5:  # what is sent is what `dvc.lock` names
        raise ManifestError(f"{folder}: differs from {stores.DVC_LOCK}; run `dvc repro`, or `dvc checkout` to go back")
    listed, url = _listed(folder, mirror, md5), f"{mirror}/{folder.as_posix()}"
    try:
        with stores.open_store(url) as (store, path):
            there = _there(store, path, listed or {})
            sizes = {name: (folder / name).stat().st_size for name in md5s}
            missing = [
                name
                for name, size in sizes.items()
                if name not in there or there[name][0] != size or md5s[name] not in there[name][1]
            ]
            if missing or listed is None:
                with suppress(FileNotFoundError):
                    store.rm_file(f"{path}{stores.LIST_SUFFIX}")  # until all is there, it counts as absent
                _send(store, path, folder, {name: sizes[name] for name in missing})
                store.pipe_file(f"{path}{stores.LIST_SUFFIX}", stores.list_of(md5s))
    except FileNotFoundError as error:  # no such bucket
        raise stores.store_error(url, error) from error
    return len(missing)


def _listed(folder: Path, mirror: str, md5: str) -> dict[str, str] | None:
    """Return what a list there says, if it is the one wanted; an older one says nothing of files since replaced."""
    try:
        return stores.read_list(folder, mirror, md5)
    except SourceError as error:
        if error.__cause__ is None or isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _there(store: "AbstractFileSystem", path: str, listed: Mapping[str, str]) -> dict[str, tuple[int, set[str]]]:
    """Return size and known MD5 of every file there: by the list, or as S3 or Google's store say it themselves."""
    store.invalidate_cache()
    there = {}
    for key, entry in store.find(path, detail=True).items():
        name, tag = key.removeprefix(f"{path}/"), str(entry.get("ETag", "")).strip('"')
        digest = base64.b64decode(entry.get("md5Hash", "")).hex()
        # A tag is an MD5, unless the file was sent in parts.
        there[name] = (entry["size"], {listed.get(name, ""), tag, digest})
    return there


def _send(store: "AbstractFileSystem", path: str, folder: Path, sizes: Mapping[str, int]) -> None:
    def send(name: str) -> int:
        store.put_file(str(folder / name), f"{path}/{name}")
        return sizes[name]

    names, total, done = list(sizes), sum(sizes.values()), 0
    with byte_progress(f"send {folder}") as report, ThreadPoolExecutor(AT_ONCE) as pool:
        for first in range(0, len(names), AT_ONCE):  # no more are begun once one failed
            for size in pool.map(send, names[first : first + AT_ONCE]):
                done += size
                report(done, total)
