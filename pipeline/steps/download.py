"""Bring a data set to data/raw: generated, fetched, unpacked or copied."""

import shutil
from pathlib import Path

from pipeline.acquisition import source as origin
from pipeline.acquisition.archive import ArchiveLimits, extract_archive
from pipeline.acquisition.extra import copy_extra
from pipeline.acquisition.object_store import fetch_object, fetch_tree, is_store_folder
from pipeline.acquisition.transfer import TransferPolicy, fetch
from pipeline.datasets.layout import LISTS, find_listed, normalise_lists
from pipeline.datasets.problems import Problem, ProblemKind
from pipeline.demo.dataset import pack_archive, write_demo
from pipeline.params.stages import DownloadParams
from pipeline.runtime.console import byte_progress, note
from pipeline.runtime.errors import ParamsError, SourceError
from pipeline.runtime.manifest import settings_sha256
from pipeline.runtime.resources import catch_disk_full, ensure_space, format_bytes
from pipeline.runtime.resumable import publish, resumable_dir

GIGABYTE = 10**9
OFFICIAL_URL = "https://research.larc.smu.edu.sg/downloads/datarepo/FoodSeg103.zip"
"""The authors' server, which has failed for most people since October 2024."""
BRIEF_TIMEOUT = 20.0  # seconds without a byte after which the copy on the hub is taken
ON_HUB, BY_AUTHORS, BY_PATH = (
    f"dvc exp run -S dataset={source}" for source in ("foodseg103@hub", "foodseg103@official", "/path/FoodSeg103.zip")
)
DEMO_PHOTO_BYTES = 120_000  # of a generated photo and its label map, three times (drawn, packed, extracted); measured


def download(params: DownloadParams, *, raw: Path, record: Path, workers: int) -> None:
    """Write the files of the data set and `extra/` to `raw`, and where they came from to `record`.

    What is in `raw`, which is replaced once everything is there, does not depend on where it came from. `workers` are
    processes that generate the demo.

    Raises:
        ParamsError: If the demo has no password, or an extra category cannot be used.
        SourceError: If the source cannot be fetched or its hash is not the pinned one.
        ArchiveError: If the archive is damaged, hostile, locked or too large.
        DatasetError: If extra photos lack their masks or prompts, or a list in ImageSets is not UTF-8.
        SpaceError: If the disk has no room.
    """
    demo = settings_sha256(params.demo) if params.source == origin.DEMO else ""
    with resumable_dir("download", params.source, params.sha256 or "", demo) as folder:
        extra = folder / "extra"
        copy_extra(params.extra, extra)  # first, so that its errors come before a download of gigabytes
        name, _, place = params.source.partition("@")
        stored = origin.is_store_url(params.source) and is_store_folder(params.source)
        if name == origin.FOODSEG103 and params.source in origin.NAMED:
            files, source = _fetch_foodseg103(params, place, folder)
        elif stored or (origin.is_local(params.source) and origin.local_path(params.source).is_dir()):
            files, source = _copy_files(params, folder)
        else:
            files, source = _extract_files(params, folder, workers)
        shutil.rmtree(files / "extra", ignore_errors=True)  # an interrupted run may have had other extra categories
        if extra.is_dir():
            extra.rename(files / "extra")
        normalise_lists(files)
        with catch_disk_full(raw, source.bytes):  # if data/ is on another file system, publishing copies
            publish(files, raw)
        record.unlink(missing_ok=True)  # an old one may be a link into DVC's cache
        source.write(record)
    if (raw / LISTS).is_dir():
        found = find_listed(raw)
        unused = [each.file for each in found if isinstance(each, Problem) and each.kind is ProblemKind.NOT_LISTED]
        origin.note_ignored(unused, "that no list in ImageSets names")


def _fetch_foodseg103(params: DownloadParams, place: str, folder: Path) -> tuple[Path, origin.SourceRecord]:
    """Fetch FoodSeg103 from its authors, going on with what came earlier, or else its copy on the hub.

    `place` is `official` or `hub` for one of them alone, empty for both. A pinned hash is that of the authors' archive,
    so the hub is no substitute then.
    """
    from pipeline.acquisition.hub import HUB_COPY, fetch_from_hub  # noqa: PLC0415 - other sources need no hub

    failure = None
    if place != origin.HUB:
        only = place == origin.OFFICIAL or params.sha256 is not None
        brief = {} if only else {"attempts": 1, "timeout": min(params.timeout, BRIEF_TIMEOUT)}
        try:
            return _extract_files(params.model_copy(update={"source": OFFICIAL_URL} | brief), folder, workers=1)
        except SourceError as error:
            if only:
                unpin = " without download.sha256, the archive's" if params.sha256 else ""
                raise SourceError(f"{error}; or take the copy on the hub{unpin}: {ON_HUB}") from error
            failure = str(error).partition("; ")[0]
            note(f"{failure}; taking the copy {HUB_COPY.repository} on the Hugging Face hub instead")
    try:
        record = fetch_from_hub(HUB_COPY, folder / "files")
    except SourceError as error:
        also = f" ({failure})" if failure else f", or its authors' server: {BY_AUTHORS}"
        raise SourceError(f"{error}; or give the path of an archive or folder: {BY_PATH}{also}") from error
    record = record.model_copy(update={"instead_of": failure})
    size = format_bytes(record.bytes)
    note(f"{record.name} at commit {record.revision}: {size}, SHA-256 of the files' listing {record.sha256}")
    origin.verify_sha256(record.sha256, params.sha256, record.name)
    return folder / "files", record


def _copy_files(params: DownloadParams, folder: Path) -> tuple[Path, origin.SourceRecord]:
    """Copy a data set from a local folder or object storage; return its new folder and record."""
    files = folder / "files"
    shutil.rmtree(files, ignore_errors=True)  # the source may have lost files since an interrupted copy
    if origin.is_store_url(params.source):
        source = folder / "stored" / origin.remote_name(params.source.rstrip("/"))
        source.parent.mkdir(exist_ok=True)
        with byte_progress("download") as report:
            fetch_tree(params.source, source, max_bytes=_max_bytes(params), report=report)
    else:
        source = origin.local_path(params.source)
    with byte_progress("copy") as report:
        record = origin.copy_folder(source, files, report)
    _print_and_verify(record, params, params.source)
    return files, record


def _extract_files(params: DownloadParams, folder: Path, workers: int) -> tuple[Path, origin.SourceRecord]:
    """Get and extract an archive; return the folder of its files and its record."""
    fetched = origin.is_http_url(params.source) or origin.is_store_url(params.source)
    if params.source == origin.DEMO:
        archive, name = _pack_demo(params, folder, workers), "demo.zip"
    elif fetched:
        archive, name = _fetch_archive(params, folder), origin.remote_name(params.source)
    else:
        archive = origin.local_path(params.source)
        name = archive.name
    with byte_progress("SHA-256") as report:
        record = origin.SourceRecord(sha256=origin.hash_file(archive, report), bytes=archive.stat().st_size, name=name)
    try:
        _print_and_verify(record, params, name)
    except SourceError:
        if fetched:  # the next run fetches it anew
            archive.unlink()
        raise
    files = folder / f"files-{record.sha256}"  # by content: an archive never completes the files of another one
    limits = ArchiveLimits(max_bytes=_max_bytes(params), max_files=params.max_files)
    with byte_progress("extract") as report:
        extract_archive(archive, files, password=params.password, limits=limits, report=report)
    return files, record


def _pack_demo(params: DownloadParams, folder: Path, workers: int) -> Path:
    """Generate the demo and pack it like the official archive, so that both are extracted in the same way."""
    if not params.password:
        raise ParamsError("download.password is empty; the demo is packed like the official archive and needs one")
    archive = folder / "demo.zip"
    needed = DEMO_PHOTO_BYTES * (params.demo.train_photos + params.demo.test_photos)
    ensure_space(folder, needed)
    with catch_disk_full(folder, needed):
        write_demo(params.demo, folder / "demo", workers=workers)
        pack_archive(folder / "demo", archive, password=params.password)
    return archive


def _fetch_archive(params: DownloadParams, folder: Path) -> Path:
    max_bytes = _max_bytes(params)
    with byte_progress("download") as report:
        if origin.is_store_url(params.source):
            return fetch_object(params.source, folder, max_bytes=max_bytes, report=report)
        pinned = params.sha256 is not None
        policy = TransferPolicy(
            attempts=params.attempts, timeout=params.timeout, max_bytes=max_bytes, pinned=pinned, copies=2
        )
        return fetch(params.source, folder, policy=policy, report=report)


def _max_bytes(params: DownloadParams) -> int:
    return round(params.max_gigabytes * GIGABYTE)


def _print_and_verify(record: origin.SourceRecord, params: DownloadParams, name: str) -> None:
    remote = origin.is_http_url(params.source) or origin.is_store_url(params.source)
    unseen = "; a change there goes unnoticed: `dvc repro --force download` looks again" if remote else ""
    unpinned = "" if params.sha256 else f" (set download.sha256 to insist on it{unseen})"
    note(f"{record.name}: {format_bytes(record.bytes)}, SHA-256 {record.sha256}{unpinned}")
    origin.verify_sha256(record.sha256, params.sha256, name)
