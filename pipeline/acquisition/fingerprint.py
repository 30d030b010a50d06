"""Fingerprints of local sources, by which stage `configure` notices that data outside the checkout changed.

A fingerprint is a SHA-256 of content alone, so that it is equal on every machine. A file whose size, times and inode
have not changed since the last call is not read again.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pipeline.acquisition.source import find_in_folder, hash_file, hash_listing, local_path
from pipeline.datasets.layout import OFFICIAL_SPLITS, is_clutter, is_utf8
from pipeline.runtime.console import byte_progress
from pipeline.runtime.errors import SourceError
from pipeline.runtime.resumable import read_cache, write_cache

SETTLED = 2.0  # seconds without a change after which times are trusted: two writes in a row may get the same time
MODEL_FILES = (
    *("config.json", "preprocessor_config.json", "processor_config.json", "*.safetensors", "*.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"),
)
"""What a model of transformers is made of, with its tokenizer if it takes text; no pickle among it."""
WHOLE = ""  # name of the file of a source that is a single file; its hash is the fingerprint


def data_set_files(source: str) -> dict[str, Path]:
    """Return the files of a data set at a path or file:// URL by name: an archive, or those in a folder, or none."""
    with suppress(SourceError):
        path = local_path(source)
        if not path.is_dir():
            return {WHOLE: path}
        found = find_in_folder(path)
        return {name: path / found.top / name for name in found.files}
    return {}


def extra_files(place: str) -> dict[str, Path]:
    """Return photos, masks and prompts of an extra category by name; none if there is no such folder."""
    folder = Path(place).expanduser()
    found = (path for split in OFFICIAL_SPLITS for path in sorted((folder / split).glob("*")) if path.is_file())
    named = {path.relative_to(folder): path for path in found}  # stage download refuses names that are not UTF-8
    return {name.as_posix(): path for name, path in named.items() if not is_clutter(name) and is_utf8(name)}


def single_file(place: str) -> dict[str, Path]:
    """Return a file, of weights for instance; none if it is not there."""
    path = Path(place).expanduser()
    return {WHOLE: path} if path.is_file() else {}


def model_files(place: str) -> dict[str, Path]:
    """Return the tensors and settings of a folder as transformers saves a model; none if there is no such folder."""
    folder = Path(place).expanduser()
    return {path.name: path for pattern in MODEL_FILES for path in sorted(folder.glob(pattern))}


def fingerprint(files: Mapping[str, Path], cache: Path) -> str:
    """Return the SHA-256 of a file, or of the `sha256sum` listing of several, given by name below the source.

    The file `cache`, which is made if absent, keeps the hashes for the next call.
    """
    known: dict[str, list[int | str]] = read_cache(cache)
    found = {name: _state(path) for name, path in files.items()}
    changed = {name for name, state in found.items() if known.get(name, [])[:-1] != state}
    total, done = sum(found[name][0] for name in changed), 0
    hashes = {name: str(known[name][-1]) for name in files.keys() - changed}
    with byte_progress("look for changes") as report:
        for name in sorted(changed):
            hashes[name] = hash_file(files[name], lambda read, _: report(done + read, total))  # noqa: B023
            done += found[name][0]
    if changed or known.keys() != files.keys():
        settled = time.time_ns() - SETTLED * 1e9
        kept = {
            name: [*state, hashes[name]]
            for name, state in found.items()
            if state == _state(files[name]) and max(state[1:3]) < settled
        }
        write_cache(cache, kept)
    return hashes[WHOLE] if WHOLE in hashes else hash_listing(hashes.items())


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
