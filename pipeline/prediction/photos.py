"""Which photos a person means: files, folders, or the standard input."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol, runtime_checkable

from PIL import Image as Pillow

from pipeline.acquisition.entries import folded
from pipeline.acquisition.layout import note_ignored
from pipeline.arrays import Image
from pipeline.datasets.layout import is_clutter, is_utf8
from pipeline.errors import ParamsError, PhotoError
from pipeline.imaging.decode import HEIF_ADVICE, HEIF_ENDINGS, PHOTO_FORMATS, read_photo
from pipeline.space import space_watched

STANDARD_INPUT = Path("-")
"""Stands for a photo that is piped in."""
MASK_ENDING = ".mask.png"
"""End of the name of a mask that lies beside its photo, as in the layout of extra categories."""
MOST_BYTES = 256 * 2**20
"""Largest photo that is taken from the standard input."""


@runtime_checkable
class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes."""


def photos_among(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the photos that files and folders name; those of a folder sorted, with all folders below it.

    Masks that lie beside photos, `<stem>.mask.png`, are passed over.

    Raises:
        ParamsError: If a folder holds no file with the ending of a photo.
    """
    return tuple(photo for path in paths for photo in (_inside(path) if path.is_dir() else (path,)))


def _inside(folder: Path) -> tuple[Path, ...]:
    """Return the photos below a folder, and say what is left out."""
    endings = {ending for ending, kind in Pillow.registered_extensions().items() if kind in PHOTO_FORMATS}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(MASK_ENDING))
    kept = [path for path in files if not is_clutter(path.relative_to(folder))]
    photos = [path for path in kept if path.suffix.lower() in endings]
    found = tuple(path for path in photos if is_utf8(path))
    below = {path: path.relative_to(folder).as_posix() for path in files}
    unread = [path for path in kept if path.suffix.lower() in HEIF_ENDINGS and path.suffix.lower() not in endings]
    note_ignored([below[path] for path in unread], f"in HEIC; {HEIF_ADVICE}")
    note_ignored([below[path] for path in photos if not is_utf8(path)], "whose names are not UTF-8; rename them")
    note_ignored([below[path] for path in set(files) - {*photos, *unread}], "that are no photos")
    if not found:
        raise ParamsError(f"{folder}: no photo in this folder; name files, or a folder with JPEG or PNG files")
    return found


def open_photo(path: Path, piped: Readable) -> Image:
    """Decode a photo as stage `pair` does; `-` reads it from `piped`.

    Raises:
        PhotoError: If it is absent, damaged, no picture or too large.
    """
    return read_photo(path) if path != STANDARD_INPUT else _spooled(piped)


def _spooled(piped: Readable) -> Image:
    data = piped.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise PhotoError(f"standard input: more than {MOST_BYTES} bytes; shrink the picture")
    with NamedTemporaryFile(prefix="photo-") as file:  # decoders jump back and forth, which a pipe cannot
        with space_watched(Path(file.name), len(data)):
            file.write(data)
            file.flush()
        try:
            return read_photo(Path(file.name))
        except PhotoError as error:
            raise PhotoError(str(error).replace(file.name, "standard input")) from error


def short_names(photos: Sequence[Path]) -> Iterator[str]:
    """Yield a name for the pictures of each photo: its stem, with its number in front where stems repeat.

    No two are equal, whatever the photos are called, also where a file system ignores case and Unicode form.
    """
    stems = [photo.stem if photo != STANDARD_INPUT else "photo" for photo in photos]
    times = Counter(map(folded, stems))
    taken = set(times)
    for number, stem in enumerate(stems, start=1):
        name = stem
        if times[folded(stem)] > 1:
            while folded(name) in taken:
                name = f"{number}-{name}"
            taken.add(folded(name))
        yield name
