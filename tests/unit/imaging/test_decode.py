"""Photos and label maps as they are met in the wild."""

import resource
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import features

from pipeline.imaging import decode
from pipeline.imaging.decode import ORIENTATION_TAG, read_binary_mask, read_label_map, read_photo
from pipeline.runtime.errors import MachineError, PhotoError, SeveralFoodsError
from tests.skips import LINUX_ONLY

RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6)
COLOURS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def png(*, depth: int, colour: int, height: int, width: int, rows: bytes) -> bytes:
    """Return a PNG made by hand, for depths and sizes that Pillow does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_lossless_colours_come_back(tmp_path: Path) -> None:
    """An RGB photo is its pixels, and the array is the caller's to change."""
    Pillow.fromarray(COLOURS).save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(photo, COLOURS, strict=True)
    photo[:] = 0


MODES = {
    "png": ("1", "L", "P", "LA", "RGBA", "I;16"),
    "jpg": ("1", "L", "CMYK", "YCbCr"),
    "tiff": ("1", "L", "P", "LA", "RGBA", "CMYK", "I;16"),  # its own YCbCr files Pillow 12 does not read
    "webp": ("1", "L", "P", "LA", "RGBA", "CMYK"),
    "gif": ("1", "L", "P", "LA", "RGBA"),
}


@pytest.mark.parametrize(("ending", "mode"), [(ending, mode) for ending, modes in MODES.items() for mode in modes])
def test_every_kind_of_pixel_becomes_rgb(tmp_path: Path, ending: str, mode: str) -> None:
    """Whatever a format can hold is read as RGB of the same size and brightness."""
    gray = Pillow.fromarray(RAMP.repeat(4, axis=0).repeat(4, axis=1) * 10)
    picture = Pillow.fromarray(np.asarray(gray).astype(np.uint16) * 257) if mode == "I;16" else gray.convert(mode)
    path = tmp_path / f"a.{ending}"
    picture.save(path)
    photo = read_photo(path)
    assert photo.shape == (16, 24, 3)
    assert photo.dtype == np.uint8
    assert photo.min() < 60
    assert photo.max() > 180


def test_sixteen_bit_gray_is_scaled(tmp_path: Path) -> None:
    """65535 is white; clipping at 255 would make nearly everything white."""
    Pillow.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png")[0, :, 0].tolist() == [0, 1, 128, 255]


def test_transparent_pixels_show_white(tmp_path: Path) -> None:
    """Hidden colours never show, half transparent ones are mixed with white; also in palettes."""
    pixels = np.array([[[9, 9, 9, 0], [0, 0, 0, 255], [0, 0, 0, 127]]], np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png")[0, :, 0].tolist() == [255, 0, 128]
    palette = Pillow.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([10, 10, 10, 20, 20, 20])
    palette.save(tmp_path / "p.png", transparency=0)
    assert read_photo(tmp_path / "p.png")[0, :, 0].tolist() == [255, 20]


def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    """Later frames do not count."""
    frames = [Pillow.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_photo(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    """All eight orientations give the upright picture and its size, for photos and label maps."""
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Pillow.Exif()
    exif[ORIENTATION_TAG] = orientation
    for name, upright in (("photo", COLOURS), ("map", RAMP)):
        stored = np.ascontiguousarray(turns[orientation](upright))
        Pillow.fromarray(stored).save(tmp_path / f"{name}.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png"), COLOURS)
    np.testing.assert_array_equal(read_label_map(tmp_path / "map.png"), RAMP)


def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path: Path) -> None:
    """Cameras write 0 and 9 too."""
    for orientation in (0, 9):
        exif = Pillow.Exif()
        exif[ORIENTATION_TAG] = orientation
        Pillow.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif)
        np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), COLOURS)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "an empty file"),
        (b" \n", "an empty file"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not one of the formats JPEG, PNG"),
        (b"not a picture at all", "not one of the formats JPEG, PNG"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    """The message names the file and what it is; PostScript never reaches Ghostscript."""
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(PhotoError, match=f"a.jpg: {complaint}"):
        read_photo(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "tiff", "webp"])
def test_a_truncated_photo_is_refused(tmp_path: Path, ending: str) -> None:
    """Half a file is an error on one line, never a half gray photo."""
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Pillow.fromarray(noise).save(tmp_path / f"a.{ending}")
    whole = (tmp_path / f"a.{ending}").read_bytes()
    (tmp_path / f"a.{ending}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PhotoError, match=rf"a.{ending}: .*; replace the file or leave it out") as error:
        read_photo(tmp_path / f"a.{ending}")
    assert "\n" not in str(error.value)


def test_an_absent_photo_is_named(tmp_path: Path) -> None:
    """A missing file, and a folder in its place."""
    with pytest.raises(PhotoError, match=r"a.jpg: no such file"):
        read_photo(tmp_path / "a.jpg")
    with pytest.raises(PhotoError, match="no such file"):
        read_photo(tmp_path)


@pytest.mark.parametrize("side", [9000, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    """A few bytes that claim gigapixels are refused by their header."""
    (tmp_path / "a.png").write_bytes(png(depth=8, colour=0, height=side, width=side, rows=b""))
    with pytest.raises(PhotoError, match="more than 80000000 pixels; shrink"):
        read_photo(tmp_path / "a.png")


def test_palette_label_maps_are_their_indices(tmp_path: Path) -> None:
    """The colours of the palette are for the eye only."""
    picture = Pillow.fromarray(RAMP).convert("P")
    picture.putpalette(list(range(255, -1, -1)) * 3)
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), RAMP, strict=True)


@pytest.mark.parametrize(("depth", "packed"), [(1, b"\x50"), (2, b"\x11"), (4, b"\x01\x01")])
def test_gray_of_few_bits_keeps_its_ids(tmp_path: Path, depth: int, packed: bytes) -> None:
    """Pillow stretches 2 and 4 bit gray to 255; ids are taken back to 0 and 1."""
    (tmp_path / "a.png").write_bytes(png(depth=depth, colour=0, height=1, width=4, rows=b"\0" + packed))
    assert read_label_map(tmp_path / "a.png").tolist() == [[0, 1, 0, 1]]


@pytest.mark.parametrize("ids", [RAMP.astype(np.uint16), np.stack([RAMP] * 3, axis=-1)])
def test_wide_and_equal_channels_are_ids_too(tmp_path: Path, ids: np.ndarray) -> None:
    """16 bit gray and RGB with equal channels hold ids without doubt."""
    Pillow.fromarray(ids).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), RAMP, strict=True)


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [
        (COLOURS, "label map in colour"),
        (np.dstack([RAMP, RAMP, RAMP, RAMP]), "transparent pixels"),
        (RAMP.astype(np.int32) * 3000, "holds the id 69000"),
        (RAMP.astype(np.float32), "pixels of mode F are no whole numbers"),
    ],
)
def test_pixels_that_are_no_ids_are_refused(tmp_path: Path, ids: np.ndarray, complaint: str) -> None:
    """Colours, transparency, large and fractional numbers are refused with a mend."""
    Pillow.fromarray(ids).save(tmp_path / "a.tiff")
    with pytest.raises(PhotoError, match=f"a.tiff: .*{complaint}.*gray"):
        read_label_map(tmp_path / "a.tiff")


def test_a_lossy_label_map_is_refused(tmp_path: Path) -> None:
    """JPEG changes ids at every edge."""
    Pillow.fromarray(RAMP).save(tmp_path / "a.jpg")
    for read in (read_label_map, read_binary_mask):
        with pytest.raises(PhotoError, match=r"a.jpg: a JPEG file, .*values .* lossy\); export it as PNG$"):
            read(tmp_path / "a.jpg")


def paletted(indices: np.ndarray, *colours: tuple[int, int, int]) -> Pillow.Image:
    """Return a picture of palette indices."""
    picture = Pillow.fromarray(indices.astype(np.uint8), "L").convert("P")
    picture.putpalette([channel for colour in colours for channel in colour])
    return picture


BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (200, 0, 0), (0, 200, 0)
FOOD = np.zeros((20, 30), np.bool_)
FOOD[3:9, 4:20] = True


@pytest.mark.parametrize("foods_index", [0, 1])
def test_a_palette_mask_goes_by_colour(tmp_path: Path, foods_index: int) -> None:
    """White is the food whichever index it has, as after `quantize(2)`."""
    colours = (WHITE, BLACK) if foods_index == 0 else (BLACK, WHITE)
    paletted(np.where(FOOD, foods_index, 1 - foods_index), *colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_binary_mask(tmp_path / "a.png").mask, FOOD, strict=True)


def test_a_quantised_mask_is_its_original(tmp_path: Path) -> None:
    """What Pillow's own `quantize(2)` makes of a black and white mask."""
    for food in (FOOD, ~FOOD):
        Pillow.fromarray(food.astype(np.uint8) * 255).quantize(2).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_binary_mask(tmp_path / "a.png").mask, food)


@pytest.mark.parametrize(
    "picture",
    [
        Pillow.fromarray(FOOD),
        *(Pillow.fromarray(FOOD.astype(np.uint8) * level) for level in (1, 3, 127, 255)),
        Pillow.fromarray(FOOD.astype(np.uint16) * 65535),
        Pillow.fromarray(FOOD.astype(np.uint16)),
        Pillow.fromarray(np.where(FOOD[..., np.newaxis], RED, BLACK).astype(np.uint8)),
        paletted(FOOD, BLACK, RED),
    ],
)
def test_one_colour_beside_black_is_the_food(tmp_path: Path, picture: Pillow.Image) -> None:
    """Of any number of bits, dark or bright, in colour or not, and not soft."""
    picture.save(tmp_path / "a.png")
    mask, soft = read_binary_mask(tmp_path / "a.png")
    np.testing.assert_array_equal(mask, FOOD, strict=True)
    assert not soft


def test_soft_masks_are_cut_at_half(tmp_path: Path) -> None:
    """A ramp from black to white becomes its bright half and is said to be soft; an edge of a pixel is not."""
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    Pillow.fromarray(ramp).save(tmp_path / "a.png")
    Pillow.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        mask, soft = read_binary_mask(tmp_path / name)
        np.testing.assert_array_equal(mask, ramp >= 128)
        assert soft
    edged = FOOD.astype(np.uint8) * 255
    edged[3, 4:12] = 128
    edged[2, 4:5] = 100
    Pillow.fromarray(edged).save(tmp_path / "c.png")
    mask, soft = read_binary_mask(tmp_path / "c.png")
    np.testing.assert_array_equal(mask, FOOD)
    assert not soft


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (Pillow.fromarray(RAMP), "1, 2, 3, .*, 20, ..."),
        (paletted(RAMP % 3, BLACK, RED, GREEN), "#00c800, #c80000"),
        (Pillow.fromarray(np.array([[BLACK, RED, GREEN]], np.uint8)), "#00c800, #c80000"),
    ],
)
def test_a_label_map_is_no_binary_mask(tmp_path: Path, picture: Pillow.Image, found: str) -> None:
    """Several ids or colours are several foods, which nobody may merge in silence."""
    picture.save(tmp_path / "a.png")
    with pytest.raises(SeveralFoodsError, match=f"a.png: holds several foods, {found}$"):
        read_binary_mask(tmp_path / "a.png")


def test_a_label_map_with_void_is_no_soft_mask(tmp_path: Path) -> None:
    """Ids are dark and void is white, which alone would be taken; of a soft mask some grays are bright."""
    ids = np.zeros((20, 30), np.uint8)
    ids[2:9, 2:9], ids[2:9, 12:20], ids[12:, :] = 3, 45, 255
    Pillow.fromarray(ids).save(tmp_path / "a.png")
    with pytest.raises(SeveralFoodsError, match=r"a.png: looks like a label map of 3, 45 and void \(255\)"):
        read_binary_mask(tmp_path / "a.png")


def test_a_transparent_mask_is_not_called_a_label_map(tmp_path: Path) -> None:
    """It is what the caller says it is."""
    Pillow.fromarray(np.dstack([FOOD * np.uint8(255)] * 4)).save(tmp_path / "a.png")
    with pytest.raises(PhotoError, match=r"a.png: has transparent pixels; save it as 8 bit gray, without alpha"):
        read_binary_mask(tmp_path / "a.png")


def test_a_label_map_whose_background_is_not_entry_0_is_refused(tmp_path: Path) -> None:
    """Black is background; where it is another entry, indices were reordered. Unused entries do not count."""
    paletted(RAMP % 3, RED, GREEN, BLACK).save(tmp_path / "a.png")
    with pytest.raises(PhotoError, match=r"a.png: entry 2 of the palette is black and entry 0, .* 8 bit gray"):
        read_label_map(tmp_path / "a.png")
    paletted(RAMP % 2, RED, GREEN, BLACK).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "b.png"), RAMP % 2)


@contextmanager
def at_most(kind: int, amount: int) -> Iterator[None]:
    """Take this process's room away while the block runs."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (amount, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def test_too_many_open_files_are_not_the_photos_fault(tmp_path: Path) -> None:
    """The system's refusal is told as such: a sound photo must not be dropped for it."""
    Pillow.fromarray(COLOURS).save(tmp_path / "a.png")
    for read in (read_photo, read_label_map):
        with (
            at_most(resource.RLIMIT_NOFILE, 0),
            pytest.raises(MachineError, match="a.png: this machine could not read"),
        ):
            read(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").shape == COLOURS.shape


@LINUX_ONLY
def test_want_of_memory_is_not_the_photos_fault(tmp_path: Path) -> None:
    """The same photo is read once there is room."""
    side = 8000
    (tmp_path / "a.png").write_bytes(png(depth=8, colour=0, height=side, width=side, rows=bytes(side * (side + 1))))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with at_most(resource.RLIMIT_AS, used + 100_000_000), pytest.raises(MachineError, match="a.png: .*free memory"):
        read_photo(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").shape == (side, side, 3)


@LINUX_ONLY
def test_a_disk_that_fails_is_not_the_photos_fault(tmp_path: Path) -> None:
    """EIO, of the one file of Linux that always gives it."""
    (tmp_path / "a.png").symlink_to("/proc/self/mem")
    with pytest.raises(MachineError, match=r"a.png: .*Input/output error.*check the disk"):
        read_photo(tmp_path / "a.png")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_a_damaged_avif_is_the_files_fault(tmp_path: Path) -> None:
    """Its decoder raises RuntimeError, as an overloaded machine does, but says what is wrong with the file."""
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Pillow.fromarray(noise).save(tmp_path / "a.avif")
    whole = (tmp_path / "a.avif").read_bytes()
    refused = 0
    for place in range(0, len(whole), 97):
        (tmp_path / "a.avif").write_bytes(whole[:place] + bytes(40) + whole[place + 40 :])
        try:
            read_photo(tmp_path / "a.avif")
        except PhotoError:
            refused += 1
    assert refused


def test_heic_is_named_with_what_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an iPhone writes it; the package is optional."""
    monkeypatch.setattr(decode, "HEIF", ())
    monkeypatch.setattr(decode, "PHOTO_FORMATS", ("JPEG", "PNG"))
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1MiHEheic" + bytes(100))
    with pytest.raises(PhotoError, match=r"IMG_1.HEIC: HEIC, .*`pip install pillow-heif`.*convert it to JPEG$"):
        read_photo(tmp_path / "IMG_1.HEIC")
