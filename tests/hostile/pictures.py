"""Picture files as no honest tool writes them, or as only few do."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from pipeline.imaging.decode import ORIENTATION_TAG
from tests.raw_folder import noise

SIDEWAYS = 6


def encoded(
    pixels: np.ndarray,
    kind: str,
    *,
    mode: str | None = None,
    orientation: int = 1,
    colours: tuple[tuple[int, int, int], ...] = (),
) -> bytes:
    """Return pixels in a file format, in another mode, with an EXIF orientation or a palette if asked for."""
    picture = Pillow.fromarray(pixels)
    if colours:
        picture = picture.convert("P")
        picture.putpalette([channel for colour in colours for channel in colour])
    exif = Pillow.Exif()
    exif[ORIENTATION_TAG] = orientation
    file = BytesIO()
    (picture.convert(mode) if mode else picture).save(file, kind, exif=exif)
    return file.getvalue()


def photo(kind: str = "JPEG", *, height: int = 8, width: int = 10, **options: object) -> bytes:
    """Return a photo in a file format."""
    return encoded(noise(height, width, 1), kind, **options)


def halved(content: bytes) -> bytes:
    """Cut a file in half."""
    return content[: len(content) // 2]


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG with its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def compressed(part: bytes, times: int) -> bytes:
    """Return a part many times over as zlib would write it; only one is compressed."""
    plain = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = plain.compress(part) + plain.flush(zlib.Z_FULL_FLUSH)
    checksum = 1
    for _ in range(times):
        checksum = zlib.adler32(part, checksum)
    return b"\x78\x9c" + block * times + plain.flush() + struct.pack(">I", checksum)


def png(width: int, height: int, row: bytes, *more: bytes, rows: int = 1) -> bytes:
    """Return an 8 bit gray PNG that declares a size, whatever it holds."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", compressed(row, rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more) + data + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """Return a PNG whose comment grows to 80 MB."""
    comment = b"Comment\0\0" + compressed(bytes(80_000), 1000)
    return png(10, 8, bytes(8 * 11), chunk(b"zTXt", comment))


def flipped(content: bytes, position: float) -> bytes:
    """Flip one bit of a file, at a share of its length."""
    at = int(position * len(content))
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def animation() -> bytes:
    """Return a GIF of two frames."""
    frames, file = [Pillow.fromarray(noise(8, 10, seed)) for seed in (1, 2)], BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def put(content: bytes, path: Path) -> None:
    """Replace a file, or whatever is in its place."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
