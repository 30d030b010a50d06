"""Bring a data set in the official layout to data/raw: generated, fetched, unpacked or copied."""

import shutil
from pathlib import Path
from typing import NamedTuple

from pipeline.acquisition.archive import ArchiveLimits, extract_archive
from pipeline.acquisition.extra import copy_extra
from pipeline.acquisition.object_store import fetch_object, fetch_tree, is_stored_folder
from pipeline.acquisition.source import (
    DEMO,
    SourceRecord,
    copy_folder,
    hash_file,
    is_remote,
    is_stored,
    local_path,
    note_ignored,
    remote_name,
    verify_sha256,
    write_record,
)
from pipeline.acquisition.transfer import TransferPolicy, fetch
from pipeline.datasets.layout import find_listed
from pipeline.datasets.problems import Problem, ProblemKind
from pipeline.demo.dataset import pack_archive, write_demo
from pipeline.params.stages import DownloadParams
from pipeline.runtime.console import byte_progress, note
from pipeline.runtime.errors import ParamsError, SourceError
from pipeline.runtime.manifest import settings_sha256
from pipeline.runtime.resources import catch_disk_full, ensure_space, format_bytes
from pipeline.runtime.resumable import publish, resumable_dir

GIGABYTE = 10**9
DEMO_PHOTO_BYTES = 120_000
"""Room for a generated photo and its label map, three times: drawn, packed and extracted; measured."""


class Archive(NamedTuple):
    """An archive on this machine."""

    path: Path
    """Where it lies now."""
    name: str
    """What it is called where it came from."""


def download(params: DownloadParams, *, raw: Path, workers: int) -> None:
    """Write the official files, `extra/` and `source.json` to `raw`.

    Args:
        params: Section `download`.
        raw: Folder that is replaced once everything is there.
        workers: Processes that generate the demo.

    Raises:
        ParamsError: If the demo has no password, or an extra category cannot be used.
        SourceError: If the source cannot be had or is not what was pinned.
        ArchiveError: If the archive is damaged, hostile, locked or too large.
        DatasetError: If extra photos lack their masks or prompts, or a list in ImageSets is not UTF-8.
        SpaceError: If the disk has no room.
    """
    demo = settings_sha256(params.demo) if params.source == DEMO else ""
    with resumable_dir("download", params.source, params.sha256 or "", demo) as folder:
        copy_extra(params.extra, folder / "extra")  # first: a photo without mask is told before a gigabyte is fetched
        acquire = _from_folder if _is_folder(params.source) else _from_archive
        files, record = acquire(params, folder, workers)
        _join_extra(folder / "extra", files / "extra")
        write_record(record, files)
        with catch_disk_full(raw, record.bytes):  # a copy, where data/ is on another file system
            publish(files, raw)
    found = find_listed(raw)
    unused = [each.file for each in found if isinstance(each, Problem) and each.kind is ProblemKind.NOT_LISTED]
    note_ignored(unused, "that no list in ImageSets names")


def _join_extra(copied: Path, destination: Path) -> None:
    shutil.rmtree(destination, ignore_errors=True)  # an interrupted run may have had other extra categories
    if copied.is_dir():
        copied.rename(destination)


def _is_folder(source: str) -> bool:
    if is_stored(source):
        return is_stored_folder(source)
    return source != DEMO and not is_remote(source) and local_path(source).is_dir()


def _from_folder(params: DownloadParams, folder: Path, _workers: int) -> tuple[Path, SourceRecord]:
    """Return the copied files and what is known about their origin."""
    files = folder / "files"
    shutil.rmtree(files, ignore_errors=True)  # the source may have lost files since a broken copy
    source = _fetched_tree(params, folder) if is_stored(params.source) else local_path(params.source)
    with byte_progress("copy") as report:
        record = copy_folder(source, files, report)
    _announce(record, params)
    verify_sha256(record.sha256, params.sha256, params.source)
    return files, record


def _from_archive(params: DownloadParams, folder: Path, workers: int) -> tuple[Path, SourceRecord]:
    """Return the extracted files and what is known about their origin."""
    archive = _archive(params, folder, workers)
    record = _verified(params, archive)
    files = folder / f"files-{record.sha256}"  # keyed by content: a newer archive never completes an older one's files
    limits = ArchiveLimits(max_bytes=_max_bytes(params), max_files=params.max_files)
    with byte_progress("extract") as report:
        extract_archive(archive.path, files, password=params.password, limits=limits, report=report)
    return files, record


def _archive(params: DownloadParams, folder: Path, workers: int) -> Archive:
    if params.source == DEMO:
        return _demo_archive(params, folder, workers)
    if is_remote(params.source):
        return Archive(_fetched(params, folder), remote_name(params.source))
    if is_stored(params.source):
        with byte_progress("download") as report:
            fetched = fetch_object(params.source, folder, max_bytes=_max_bytes(params), report=report)
        return Archive(fetched, remote_name(params.source))
    path = local_path(params.source)
    return Archive(path, path.name)


def _demo_archive(params: DownloadParams, folder: Path, workers: int) -> Archive:
    """Pack the generated data set like the official archive, so that it takes the same way."""
    if not params.password:
        raise ParamsError("download.password is empty; the demo is packed like the official archive and needs one")
    archive = Archive(folder / "demo.zip", "demo.zip")
    needed = DEMO_PHOTO_BYTES * (params.demo.train_photos + params.demo.test_photos)
    ensure_space(folder, needed)
    with catch_disk_full(folder, needed):
        write_demo(params.demo, folder / "demo", workers=workers)
        pack_archive(folder / "demo", archive.path, password=params.password)
    return archive


def _fetched(params: DownloadParams, folder: Path) -> Path:
    policy = TransferPolicy(
        attempts=params.attempts,
        timeout=params.timeout,
        max_bytes=_max_bytes(params),
        pinned=params.sha256 is not None,
    )
    with byte_progress("download") as report:
        return fetch(params.source, folder, policy=policy, report=report)


def _fetched_tree(params: DownloadParams, folder: Path) -> Path:
    """Return the data set as it lies on object storage, under the name it has there."""
    with byte_progress("download") as report:
        place = folder / "stored" / remote_name(params.source.rstrip("/"))
        place.parent.mkdir(exist_ok=True)
        return fetch_tree(params.source, place, max_bytes=_max_bytes(params), report=report)


def _max_bytes(params: DownloadParams) -> int:
    return round(params.max_gigabytes * GIGABYTE)


def _verified(params: DownloadParams, archive: Archive) -> SourceRecord:
    """Hash an archive and compare; a fetched one that fails is removed, so that the next run fetches it anew."""
    with byte_progress("SHA-256") as report:
        sha256 = hash_file(archive.path, report)
    record = SourceRecord(sha256=sha256, bytes=archive.path.stat().st_size, name=archive.name)
    _announce(record, params)
    try:
        verify_sha256(sha256, params.sha256, archive.name)
    except SourceError:
        if is_remote(params.source) or is_stored(params.source):
            archive.path.unlink()
        raise
    return record


def _announce(record: SourceRecord, params: DownloadParams) -> None:
    remote = is_remote(params.source) or is_stored(params.source)
    unseen = "; a change there goes unnoticed: `dvc repro --force download` looks again" if remote else ""
    pinned = "" if params.sha256 else f" (set download.sha256 to insist on it{unseen})"
    note(f"{record.name}: {format_bytes(record.bytes)}, SHA-256 {record.sha256}{pinned}")
