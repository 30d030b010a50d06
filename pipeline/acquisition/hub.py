"""Fetch the copy of FoodSeg103 on the Hugging Face hub.

It has the original JPEG and PNG bytes with their names in Parquet files, and the test split as `validation`.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi, RepoFile, constants, errors, hf_hub_download, try_to_load_from_cache
from huggingface_hub.file_download import repo_folder_name

from pipeline.acquisition.source import SourceRecord, hash_file, hash_listing
from pipeline.datasets import layout
from pipeline.datasets.foodseg103 import CATEGORIES
from pipeline.runtime.console import ByteReport, byte_progress
from pipeline.runtime.errors import SourceError, one_line
from pipeline.runtime.hub import TRANSPORT_ERROR, hub_answers
from pipeline.runtime.resources import catch_disk_full, ensure_space, is_disk_full

ROWS_AT_ONCE = 16  # rows held in memory
REPO_TYPE = "dataset"
COLUMNS = {"image": layout.PHOTOS, "label": layout.LABEL_MAPS}  # folder of what a column holds
_NAME = re.compile(r"\w[\w .-]*\.(jpg|jpeg|png)", re.IGNORECASE)


class HubCopy(NamedTuple):
    """A data set on the hub, pinned."""

    repository: str
    revision: str  # first digits of a commit
    files: Mapping[str, str | None]  # SHA-256 of each Parquet file; None takes the one that the hub states

    @property
    def page(self) -> str:
        """Address of the repository."""
        return f"{constants.ENDPOINT}/datasets/{self.repository}"


HUB_COPY = HubCopy(
    "EduardoPacheco/FoodSeg103",
    "34e1208",
    {
        "data/train-00000-of-00003.parquet": "7288a62861c06f1c0f677674fd9564aae277a727a146bf31688cf86befa452b7",
        "data/train-00001-of-00003.parquet": "814ef4e25036a9073a4017e8d05bad80b213df74cc9cd60e972136b5ae2e0ab9",
        "data/train-00002-of-00003.parquet": None,
        "data/validation-00000-of-00001.parquet": "73d4d49abc2ef135dfccbce86f395d8e39215cf656d2954b516a88572f24b0e6",
    },
)


def fetch_from_hub(copy: HubCopy, folder: Path) -> SourceRecord:
    """Write the copy's data set into `folder`, which is replaced; files in the hub's cache are not fetched again.

    Raises:
        SourceError: If the hub cannot be reached, refuses, lacks the revision, or has other bytes than are pinned.
        SpaceError: If a disk has no room for the files, before the first of them is fetched.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with _hub_errors(copy):
        commit, stated = _locate(copy)
        _check_space(copy, commit, stated, folder)
        hashes, offline = dict[str, str](), not stated
        for name, pinned in copy.files.items():
            path = Path(
                hf_hub_download(copy.repository, name, repo_type=REPO_TYPE, revision=commit, local_files_only=offline)
            )
            lfs = stated[name].lfs if name in stated else None
            expected = pinned or (lfs.sha256 if lfs else path.resolve().name)  # the cache names files by their hash
            with byte_progress(f"SHA-256 of {path.name}") as report:
                found = hash_file(path, report)
            if found != expected:
                path.resolve().unlink()  # so that the next call fetches it anew
                path.unlink(missing_ok=True)
                advice = "run the same command again to fetch it anew"
                raise SourceError(f"{copy.repository}/{name}: SHA-256 is {found}, not {expected}; {advice}")
            split = "train" if "train" in PurePosixPath(name).name else "test"
            with byte_progress(f"unpack {PurePosixPath(name).name}") as report, catch_disk_full(folder):
                hashes |= _unpack(path, folder, split, report)
    lists = {layout.CATEGORY_FILE: layout.format_category_names(dict(enumerate(CATEGORIES)))}
    for split in layout.OFFICIAL_SPLITS:
        stems = (Path(name).stem for name in hashes if name.startswith(f"{layout.PHOTOS}/{split}/"))
        lists[f"{layout.LISTS}/{split}.txt"] = layout.format_split_list(stems)
    for name, text in lists.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text.encode())
        hashes[name] = hashlib.sha256(text.encode()).hexdigest()
    size = sum((folder / name).stat().st_size for name in hashes)
    return SourceRecord(sha256=hash_listing(hashes.items()), bytes=size, name=copy.repository, revision=commit)


@contextmanager
def _hub_errors(copy: HubCopy) -> Iterator[None]:
    """Turn each error of the hub into one line with its remedy."""
    login = "log in by `hf auth login`, or export HF_TOKEN=hf_..., and run the same command again"
    remedies: dict[type[Exception], str] = {  # a class before those it derives from
        errors.GatedRepoError: f"the hub asks to accept conditions; open that page, accept, then {login}",
        errors.RepositoryNotFoundError: f"is gone, or the hub asks for a login; {login}",
        errors.RevisionNotFoundError: _no_commit(copy),
        errors.LocalEntryNotFoundError: _not_cached(),
        errors.EntryNotFoundError: "lacks a file",
    }
    try:
        yield
    except (TRANSPORT_ERROR, errors.EntryNotFoundError, OSError, pa.ArrowException, KeyError, TypeError) as error:
        if is_disk_full(error):
            raise
        status = getattr(getattr(error, "response", None), "status_code", None)
        remedy = f"{one_line(error)}; run the same command again to go on"
        if status in {401, 403}:
            remedy = f"the hub refuses ({status}); {login}"
        remedy = next((text for kind, text in remedies.items() if isinstance(error, kind)), remedy)
        raise SourceError(f"{copy.page}: {remedy}") from error


def _not_cached() -> str:
    reason = f"{constants.ENDPOINT} cannot be reached; check the network, or set HF_ENDPOINT to a mirror"
    return f"not in the hub's cache, and {'HF_HUB_OFFLINE is set; unset it' if constants.HF_HUB_OFFLINE else reason}"


def _no_commit(copy: HubCopy) -> str:
    return f"has no commit {copy.revision} any more, so it may hold other photos"


def _locate(copy: HubCopy) -> tuple[str, dict[str, RepoFile]]:
    """Return the whole commit and what the hub says of its files; nothing of files if only the cache can be read."""
    if not hub_answers():
        folder = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=copy.repository, repo_type=REPO_TYPE))
        for found in sorted(folder.glob(f"snapshots/{copy.revision}*")):
            return found.name, {}
        raise SourceError(f"{copy.repository}: {_not_cached()}")
    api = HfApi()
    commits = [commit.commit_id for commit in api.list_repo_commits(copy.repository, repo_type=REPO_TYPE)]
    whole = [commit for commit in commits if commit.startswith(copy.revision)]
    if len(whole) != 1:
        raise SourceError(f"{copy.page}: {_no_commit(copy)}")
    listed = api.get_paths_info(copy.repository, list(copy.files), revision=whole[0], repo_type=REPO_TYPE)
    stated = {file.path: file for file in listed if isinstance(file, RepoFile)}
    for name, pinned in copy.files.items():
        if name not in stated:
            raise SourceError(f"{copy.page}: lacks {name} at {whole[0]}")
        lfs = stated[name].lfs
        if pinned and lfs and lfs.sha256 != pinned:
            raise SourceError(f"{copy.page}: {name} has SHA-256 {lfs.sha256} there, not {pinned}: it was replaced")
    return whole[0], stated


def _check_space(copy: HubCopy, commit: str, stated: Mapping[str, RepoFile], folder: Path) -> None:
    """Check that the files and what is unpacked from them have room, before anything is fetched."""
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    absent = [
        file.size
        for name, file in stated.items()
        if not isinstance(try_to_load_from_cache(copy.repository, name, revision=commit, repo_type=REPO_TYPE), str)
    ]
    unpacked = sum(file.size for file in stated.values())
    one_disk = cache.stat().st_dev == folder.stat().st_dev
    ensure_space(cache, sum(absent) + unpacked * one_disk)
    ensure_space(folder, unpacked)


def _unpack(path: Path, folder: Path, split: str, report: ByteReport) -> dict[str, str]:
    """Write photos and label maps of one Parquet file, a few rows at a time; return SHA-256 by path."""
    hashes: dict[str, str] = {}
    with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as table:
        done, total = 0, path.stat().st_size
        for batch in table.iter_batches(ROWS_AT_ONCE, columns=list(COLUMNS), use_threads=False):
            for row in batch.to_pylist():
                names = [PurePosixPath(row[column]["path"]).name for column in COLUMNS]
                if not all(map(_NAME.fullmatch, names)) or len({Path(name).stem for name in names}) != 1:
                    raise SourceError(
                        f"{path.name}: a row has the names {names}, not those of a photo and its label map"
                    )
                for name, (column, part) in zip(names, COLUMNS.items(), strict=True):
                    to, body = f"{part}/{split}/{name}", row[column]["bytes"]
                    (folder / to).parent.mkdir(parents=True, exist_ok=True)
                    with (folder / to).open("xb") as file:  # a name that comes twice is an error
                        file.write(body)
                    hashes[to] = hashlib.sha256(body).hexdigest()
                    done += len(body)
                report(min(done, total), total)
    return hashes
