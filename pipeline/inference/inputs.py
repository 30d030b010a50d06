"""Photos given as files, folders, URLs or the standard input."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from os.path import abspath, commonpath, exists, isdir, lexists
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeAlias, runtime_checkable

from PIL import Image as Pillow

from pipeline.acquisition.archive import folded
from pipeline.acquisition.source import is_http_url, note_ignored, remote_name
from pipeline.arrays import Image
from pipeline.datasets.layout import is_clutter, is_utf8
from pipeline.imaging.decode import HEIF_ADVICE, HEIF_ENDINGS, PHOTO_FORMATS, read_photo
from pipeline.runtime.errors import ParamsError, PhotoError, SourceError, without_secrets
from pipeline.runtime.resources import catch_disk_full


@dataclass(frozen=True, slots=True)
class PhotoUrl:
    """A photo on a web server."""

    url: str  # of scheme http or https

    def __str__(self) -> str:
        """Return the URL without secrets."""
        return without_secrets(self.url)


PhotoSource: TypeAlias = Path | PhotoUrl  # a file, `-` for the standard input, or a URL

STANDARD_INPUT = Path("-")  # name of a photo that is piped in
MASK_ENDING = ".mask.png"  # suffix of a mask beside its photo, as in the layout of extra categories
MAX_BYTES = 256 * 2**20  # largest photo read from the standard input or a URL


@runtime_checkable
class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes."""


def expand_patterns(named: Sequence[str]) -> list[str]:
    """Replace patterns such as `photos/**/*.jpg` by the files they match, sorted, without masks beside photos.

    What exists under its own name is no pattern.

    Raises:
        ParamsError: If nothing matches.
    """
    found: list[str] = []
    for text in named:
        if is_http_url(text) or not has_magic(text) or lexists(text):
            found.append(text)
            continue
        matching = sorted(path for path in glob(text, recursive=True) if not is_mask_beside(Path(path)))  # noqa: PTH207
        if not matching:
            raise ParamsError(f"{text}: matches no file; name photos, a folder of photos, or another pattern")
        found += matching
    return found


def list_photos(named: Sequence[str], *, without: Sequence[Path] = ()) -> tuple[PhotoSource, ...]:
    """Return the photos that files, folders and http(s) URLs name, each once; folders as `photos_in_folder` does.

    Raises:
        ParamsError: If a folder holds no photo, a URL is of another scheme, or a name is empty.
    """
    found: dict[str, PhotoSource] = {}
    for text in named:
        if not text:  # an unset variable of a shell; as a path it would be the current folder
            advice = "name a photo, a folder of photos (. is this one), or an http(s) URL"
            raise ParamsError(f"an empty name of a photo; {advice}")
        if is_http_url(text):
            found.setdefault(text, PhotoUrl(text))
            continue
        if "://" in text:
            raise ParamsError(f"{without_secrets(text)}: photos are fetched over http and https only; give a file")
        path = Path(text)
        # os.path: Path raises if a name is too long, and would resolve `-` otherwise.
        for photo in photos_in_folder(path, without=without) if isdir(path) else (path,):  # noqa: PTH112
            found.setdefault(abspath(photo), photo)  # noqa: PTH100
    return tuple(found.values())


def common_folder(named: Sequence[str]) -> Path:
    """Return the common parent folder of all files and folders among what was typed."""
    paths = [Path(text) for text in named if not is_http_url(text) and text != str(STANDARD_INPUT)]
    folders = [(path if isdir(path) else path.parent).absolute() for path in paths]  # noqa: PTH112
    return Path(commonpath(folders)) if folders else Path()


def may_exist(source: PhotoSource) -> bool:
    """Tell whether a photo may exist: only for files this is known in advance."""
    return isinstance(source, PhotoUrl) or source == STANDARD_INPUT or exists(source)  # noqa: PTH110


def stem_of(source: PhotoSource) -> str:
    """Return the name of a photo without its suffix."""
    if source == STANDARD_INPUT:
        return "photo"
    return Path(remote_name(source.url) if isinstance(source, PhotoUrl) else source).stem


def photos_in_folder(folder: Path, *, without: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Return the photos of a folder and its subfolders, sorted.

    Masks beside photos, `<stem>.mask.png`, hidden files, files of the Finder and what lies in `without` are skipped;
    other files that are no photos are named on the standard error.

    Raises:
        ParamsError: If the folder is absent, or holds no file with the ending of a photo.
    """
    if not folder.is_dir():
        raise ParamsError(f"{folder}: no such folder; give one that holds photos")
    endings = {ending for ending, kind in Pillow.registered_extensions().items() if kind in PHOTO_FORMATS}
    skipped = [path.resolve() for path in without if folder.resolve() in path.resolve().parents]
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not is_mask_beside(path)
        and not any(path.resolve().is_relative_to(other) for other in skipped)
    ]
    kept = [path for path in files if not is_clutter(path.relative_to(folder))]
    photos = [path for path in kept if path.suffix.lower() in endings]
    below = {path: path.relative_to(folder).as_posix() for path in files}
    unread = [path for path in kept if path.suffix.lower() in HEIF_ENDINGS and path.suffix.lower() not in endings]
    note_ignored([below[path] for path in unread], f"in HEIC; {HEIF_ADVICE}")
    note_ignored([below[path] for path in set(files) - {*photos, *unread}], "that are no photos")
    if not photos:
        raise ParamsError(f"{folder}: no photo in this folder; name files, or a folder with JPEG or PNG files")
    return tuple(photos)


def is_mask_beside(path: Path) -> bool:
    """Tell by its name whether a file is the mask of a photo beside it."""
    return path.name.lower().endswith(MASK_ENDING)


def open_photo(source: PhotoSource, piped: Readable) -> Image:
    """Decode a photo as stage `pair` does; `-` reads it from `piped`, a URL from the network.

    Raises:
        PhotoError: If it is absent, damaged, no picture, too large, cannot be fetched, or its name is not UTF-8.
    """
    if isinstance(source, Path) and source != STANDARD_INPUT:
        if not is_utf8(source):
            raise PhotoError(f"{source}: its name is not UTF-8; rename the file")
        return read_photo(source)
    with TemporaryDirectory(prefix="photo-") as folder:
        file = _fetch(source, Path(folder)) if isinstance(source, PhotoUrl) else _store_piped(piped, Path(folder))
        try:
            return read_photo(file)
        except PhotoError as error:
            name = "standard input" if source == STANDARD_INPUT else str(source)
            raise PhotoError(str(error).replace(str(file), name)) from error


def _fetch(source: PhotoUrl, folder: Path) -> Path:
    from pipeline.acquisition.transfer import TransferPolicy, fetch  # noqa: PLC0415 - most photos need no network

    policy = TransferPolicy(
        attempts=3,
        timeout=30.0,
        max_bytes=MAX_BYTES,
        pinned=False,
        local_copy="download it yourself and give the file",
        bound="a photo",
        kept=False,
    )
    try:
        return fetch(source.url, folder, policy=policy, report=lambda *_: None)
    except SourceError as error:
        raise PhotoError(str(error)) from error


def _store_piped(piped: Readable, folder: Path) -> Path:
    """Return a file with the bytes of a pipe, in which decoders cannot seek."""
    data, file = piped.read(MAX_BYTES + 1), folder / "photo"
    if len(data) > MAX_BYTES:
        raise PhotoError(f"standard input: more than {MAX_BYTES} bytes; shrink the picture")
    with catch_disk_full(file, len(data)):
        file.write_bytes(data)
    return file


def short_names(photos: Sequence[PhotoSource]) -> Iterator[str]:
    """Yield a unique name for the pictures of each photo: its stem, after a number if the stem is not unique.

    Names also differ on file systems that ignore case and Unicode form.
    """
    stems = list(map(stem_of, photos))
    times = Counter(map(folded, stems))
    taken = set(times)
    for number, stem in enumerate(stems, start=1):
        name = stem
        if times[folded(stem)] > 1:
            while folded(name) in taken:
                name = f"{number}-{name}"
            taken.add(folded(name))
        yield name
