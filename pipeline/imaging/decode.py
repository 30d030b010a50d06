"""Decode photos, label maps and binary masks of any common file format, without trusting the file."""

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFile, TiffImagePlugin, UnidentifiedImageError
from PIL.Image import Transpose

from pipeline.arrays import Image, LabelMap, Mask
from pipeline.runtime.errors import MachineError, PhotoError, SeveralFoodsError, raise_if_machine_error

try:  # optional: its wheels hold libraries under the LGPL and the GPL
    import pillow_heif
except ImportError:
    HEIF: tuple[str, ...] = ()
else:
    pillow_heif.register_heif_opener()
    HEIF = ("HEIF",)

HEIF_ENDINGS = (".heic", ".heif")
HEIF_ADVICE = "`pip install pillow-heif` to read it, or convert it to JPEG"
REPLACE = "replace the file or leave it out"
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", *HEIF)
"""Accepted formats of photos. Pillow reads more, among them EPS, by starting Ghostscript."""
LABEL_MAP_FORMATS = ("PNG", "TIFF", "BMP", "PPM")
"""Formats that keep category ids exactly; JPEG does not, and GIF writers reorder palettes."""
LABEL_MAP_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "I", "I;16", "I;16B", "I;16L"}  # of integer pixels
MAX_PIXELS = 80_000_000  # largest height x width that is decoded; less than Pillow's own limit
MAX_SIDE = 65_535
"""Longest side, that of JPEG; a run-length BMP may skip 255 rows beyond its end, which Pillow makes for longer ones."""
MAX_SCANS = 100  # of a progressive JPEG: ten bytes can be a pass over all pixels; ordinary files have ten
MAX_READS, BYTES_PER_READ = 10_000, 1000
"""Most reads of a picture in memory, and bytes that allow one more; a file that needs more is made of tiny parts."""
MAX_OVERLAP = 16_000_000  # bytes that the values of one directory of TIFF or EXIF may reference more than once
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF; a tile is decoded whole even if the picture is smaller

ORIENTATION_TAG = 0x0112
ORIENTATIONS = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip
"""Transposition that sets a picture upright, by EXIF orientation; 1 and unknown values need none."""
SOFT_SHARE = 0.1  # a binary mask is soft if more than this share of its pixels is gray; an anti-aliased edge has fewer
MAX_LISTED = 20  # values or colours that a message names
Colour: TypeAlias = tuple[int, int, int]  # red, green and blue, 0 to 255
BLACK: Colour = (0, 0, 0)
GRAY_STEPS = {"L;2": 85, "L;4": 17}  # factor by which Pillow scales the values of 2 and 4 bit gray files

DECODER_ERRORS = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, OverflowError, RuntimeError, MemoryError),
    *(struct.error, zlib.error, Pillow.DecompressionBombError, Pillow.DecompressionBombWarning),
)
"""Raised by decoders of Pillow on damaged files, or for want of memory or file handles."""
AVIF_DAMAGE = ("Failed to decode", "Conversion from YUV failed")
"""Prefixes of the only `RuntimeError` that a decoder of Pillow raises on a damaged file."""


class PictureBytes(BytesIO):
    """A picture file in memory, with a name for messages."""

    def __init__(self, content: bytes, name: str) -> None:
        """Hold the bytes of a file."""
        super().__init__(content)
        self.name: str = name
        self._reads_left = MAX_READS + len(content) // BYTES_PER_READ

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like any file; raise `ValueError` after too many reads, each a loop of the decoder in Python."""
        self._reads_left -= 1
        if self._reads_left < 0:
            raise ValueError("made of too many small parts")
        return super().read(size)

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class _ReadOnce:
    """A file of which no more bytes are read than its size, or `MAX_OVERLAP` if that is more."""

    def __init__(self, file: Any) -> None:
        self.file, here = file, file.tell()
        self.left = max(MAX_OVERLAP, file.seek(0, SEEK_END))
        file.seek(here)
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        part: bytes = self.file.read(size)
        self.left -= len(part)
        if self.left < 0:
            raise ValueError("values that overlap")
        return part


class _Directory(TiffImagePlugin.ImageFileDirectory_v2):
    """A directory of TIFF or EXIF. Its 65,535 values may reference the same bytes, which Pillow would copy for each."""

    def load(self, fp: Any) -> None:
        guarded: Any = _ReadOnce(fp)
        super().load(guarded)


# Pillow reads directories of JPEG and TIFF while it opens a file, before any other check is possible.
TiffImagePlugin.ImageFileDirectory_v2 = _Directory  # type: ignore[misc]

PictureFile: TypeAlias = Path | PictureBytes  # a picture file, on disk or in memory


def read_photo(path: PictureFile, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode a photo upright, as `read_picture` does, into an array."""
    with _opened(path, PHOTO_FORMATS, max_pixels) as file:
        return np.array(_decode(file))


def read_picture(path: PictureFile, *, max_pixels: int = MAX_PIXELS) -> Pillow.Image:
    """Decode a photo upright, in RGB.

    EXIF orientation is applied; transparent pixels show white, as in a browser; 16 bit gray is scaled to 8;
    of an animation the first frame counts; colour profiles are ignored.

    Raises:
        MachineError: If memory, file handles or the disk prevent it; the file may be intact.
        PhotoError: If the file is absent, damaged, no picture, or larger than `max_pixels`.
    """
    with _opened(path, PHOTO_FORMATS, max_pixels) as file:
        return _decode(file)


def _decode(file: ImageFile.ImageFile) -> Pillow.Image:
    picture: Pillow.Image = file
    if file.mode == "F":
        raise ValueError("floating-point pixels have no agreed range")
    if file.mode.startswith("I"):
        values = np.clip(np.asarray(file), 0, np.iinfo(np.uint16).max).astype(np.int32)
        # 257 maps 65535 to 255, and 8 bit values that were doubled into 16 bits back to themselves.
        picture = Pillow.fromarray(((values + 128) // 257).astype(np.uint8))
    if picture.has_transparency_data:
        white = Pillow.new("RGBA", picture.size, "white")
        picture = Pillow.alpha_composite(white, picture.convert("RGBA"))
    return _upright(picture.convert("RGB"), file)


class BinaryMask(NamedTuple):
    """A mask of one food, decoded."""

    mask: Mask  # true inside the food
    soft: bool  # whether many pixels are neither black nor white, so that the mask depends on the threshold


def read_binary_mask(path: PictureFile, *, max_pixels: int = MAX_PIXELS) -> BinaryMask:
    """Decode a mask of one food by its colours: black is background, whatever its palette index.

    A single colour beside black is the food, dark or bright; of several grays, those of at least half of white are.

    Raises:
        PhotoError: If the file is absent, damaged, lossy, partly transparent, or holds nothing but dark grays.
        SeveralFoodsError: If it has several colours, several values that are all darker than half of white, or such
            values beside white, as a label map with void has.
    """
    with _opened(path, LABEL_MAP_FORMATS, max_pixels) as file:
        picture = file.convert("RGB") if file.mode == "P" else file
        values = _opaque(_upright(picture, file), path)
        levels = values.max(axis=-1).astype(np.int64)  # of the brightest channel, so that pure red is not dark
        gray = (values == values[..., :1]).all()
        colours: list[list[int]] = [] if gray else np.unique(values[levels > 0], axis=0).tolist()
        if len(colours) > 1:  # beside black and grays
            raise _several(path, [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colours[: MAX_LISTED + 1]])
        found, counts = np.unique(levels[levels > 0], return_counts=True)
        if found.size <= 1:
            return BinaryMask(levels > 0, soft=False)
        white = np.iinfo(np.uint8 if found[-1] <= np.iinfo(np.uint8).max else np.uint16).max
        mask = levels > white // 2
        if not mask.any():
            raise _several(path, found.tolist())
        soft = bool(counts[:-1].sum() > SOFT_SHARE * mask.sum())
        if soft and found[-1] == white and found[-2] <= white // 2:  # a soft mask also has bright grays
            ids = ", ".join(map(str, found[:-1][:MAX_LISTED]))
            raise SeveralFoodsError(
                f"{path}: looks like a label map of {ids} and void ({white}), not a mask of one food"
            )
        return BinaryMask(mask, soft)


def read_label_map(path: PictureFile) -> LabelMap:
    """Decode category ids.

    Gray files hold ids as values, palette files as indices; colour files pass if their channels are equal.

    Raises:
        PhotoError: If the file is absent, damaged, lossy, in colour, partly transparent, holds an id over 65535, or
            has a palette whose black, which is background everywhere else, is not entry 0.
    """
    with _opened(path, LABEL_MAP_FORMATS) as file:
        step = GRAY_STEPS.get(str(file.tile[0].args), 1) if file.tile else 1
        values = _opaque(_upright(file, file), path)
        palette = _palette(file)
        if not (values == values[..., :1]).all():
            raise PhotoError(f"{path}: label map in colour; write category ids as 8 bit gray or palette indices")
        ids = values[..., 0].astype(np.int64)
        if ids.min() < 0 or ids.max() > np.iinfo(np.uint16).max:
            raise PhotoError(f"{path}: holds the id {ids.max()}; ids go from 0 to 65535, write it as 8 or 16 bit gray")
        ids //= step
        if palette and palette[0] != BLACK:
            for number in np.unique(ids).tolist():
                if palette[number : number + 1] == (BLACK,):
                    what = f"entry {number} of the palette is black and entry 0, background, is not"
                    raise PhotoError(f"{path}: {what}; write category ids as 8 bit gray")
        return ids.astype(np.uint8 if ids.max() <= np.iinfo(np.uint8).max else np.uint16)


def fit_to_photo(label_map: LabelMap, photo: PictureFile, size: tuple[int, int]) -> np.ndarray:
    """Turn a label map that was drawn on the photo as stored, without its EXIF rotation; return any other as it is.

    Args:
        label_map: Label map of any size.
        photo: Its photo.
        size: Height and width of the upright photo.
    """
    if label_map.shape == size or label_map.shape != size[::-1]:
        return label_map
    with _opened(photo, PHOTO_FORMATS) as file:
        return np.array(_upright(Pillow.fromarray(label_map), file))


def read_palette(path: Path) -> tuple[Colour, ...] | None:
    """Return the palette of a label map by index, from the header alone; None if it has none."""
    with _opened(path, LABEL_MAP_FORMATS) as file:
        return _palette(file)


@contextmanager
def _opened(path: PictureFile, formats: tuple[str, ...], max_pixels: int = MAX_PIXELS) -> Iterator[ImageFile.ImageFile]:
    try:
        if isinstance(path, Path) and not path.is_file():  # reading a pipe could block for ever
            raise PhotoError(f"{path}: no such file; put it back or leave it out")
        # A decompression bomb is an error, not a warning; other warnings concern metadata that is not used.
        with warnings.catch_warnings(action="ignore"):
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            with Pillow.open(path, formats=formats) as file:
                _refuse_oversized(file, path, max_pixels)
                yield file
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise PhotoError(f"{path}: more than {MAX_PIXELS} pixels; shrink the picture") from error
    except DECODER_ERRORS as error:
        raise_if_machine_error(path, error)
        if isinstance(error, RuntimeError) and not str(error).startswith(AVIF_DAMAGE):
            raise MachineError(f"{path}: decoding failed ({error}); run the same command again") from error
        raise PhotoError(f"{path}: {_complaint(path, formats, error)}") from error


def _refuse_oversized(file: ImageFile.ImageFile, path: PictureFile, max_pixels: int) -> None:
    width, height = file.size
    if height * width > max_pixels:
        raise PhotoError(f"{path}: {width} x {height} is more than {max_pixels} pixels; shrink the picture")
    if max(height, width) > MAX_SIDE:
        raise PhotoError(f"{path}: {width} x {height} is longer than {MAX_SIDE} pixels; shrink the picture")
    tags = getattr(file, "tag_v2", {})
    if tags.get(TILE_WIDTH, 1) * tags.get(TILE_LENGTH, 1) > max_pixels:
        raise PhotoError(f"{path}: has tiles of more than {max_pixels} pixels; write it without")
    scans = path.getvalue().count(b"\xff\xda") if isinstance(path, PictureBytes) and "progressive" in file.info else 0
    if scans > MAX_SCANS:
        raise PhotoError(f"{path}: a JPEG of {scans} scans; save it again")


def _complaint(path: PictureFile, formats: tuple[str, ...], error: Exception) -> str:
    """Return what is wrong with a file and what to do."""
    if isinstance(error, PermissionError):
        return "not readable by this user; give yourself the right to read it, or leave it out"
    with BytesIO(path.getvalue()) if isinstance(path, PictureBytes) else path.open("rb") as file:
        start = file.read(64).lstrip()
    if not start:
        return f"an empty file; {REPLACE}"
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS and not HEIF and formats == PHOTO_FORMATS:
        return f"HEIC, the format of iPhones; {HEIF_ADVICE}"
    if start.startswith(b"<"):
        return f"a web page or other markup instead of a picture; {REPLACE}"
    if not isinstance(error, UnidentifiedImageError):
        return f"damaged ({' '.join(str(error).split())}); {REPLACE}"
    found = None
    if formats == LABEL_MAP_FORMATS:
        if isinstance(path, PictureBytes):
            path.seek(0)
        with suppress(*DECODER_ERRORS), Pillow.open(path, formats=PHOTO_FORMATS) as photo:
            found = photo.format
    lossy = f"a {found} file, whose pixels need not be the values that were drawn (JPEG is lossy); export it as PNG"
    return lossy if found else f"not one of the formats {', '.join(formats)}; {REPLACE}"


def _upright(picture: Pillow.Image, file: ImageFile.ImageFile) -> Pillow.Image:
    """Set a picture upright by the EXIF orientation of its file."""
    orientation = file.getexif().get(ORIENTATION_TAG, 1)
    turn = ORIENTATIONS.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _palette(file: Pillow.Image) -> tuple[Colour, ...] | None:
    if file.mode not in {"P", "PA"}:
        return None
    numbers = file.getpalette("RGB") or []
    return tuple(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))


def _several(path: PictureFile, found: Sequence[object]) -> SeveralFoodsError:
    listed = ", ".join(map(str, found[:MAX_LISTED])) + ", ..." * (len(found) > MAX_LISTED)
    return SeveralFoodsError(f"{path}: holds several foods, {listed}")


def _opaque(picture: Pillow.Image, path: PictureFile) -> np.ndarray:
    """Return the values of all channels but alpha, which must be opaque everywhere."""
    if picture.mode not in LABEL_MAP_MODES:
        raise PhotoError(f"{path}: pixels of mode {picture.mode} are no whole numbers; save it as 8 bit gray")
    if "A" in picture.getbands() and np.asarray(picture.getchannel("A")).min() < np.iinfo(np.uint8).max:
        raise PhotoError(f"{path}: has transparent pixels; save it as 8 bit gray, without alpha channel")
    bands = [number for number, band in enumerate(picture.getbands()) if band != "A"]
    return np.asarray(picture).reshape(picture.height, picture.width, -1)[..., bands]
