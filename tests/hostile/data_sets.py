"""Data sets with one thing wrong, by name: what the thing is, and what stage `index` must make of it.

`python -m tests.hostile FOLDER` writes them all.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.datasets.problems import ProblemKind
from tests.hostile.pictures import SIDEWAYS, animation, encoded, flipped, halved, photo, png, put, text_bomb
from tests.raw_folder import RawFolder, labels_of, noise, save

Kind = ProblemKind
LABELS = labels_of(7, 1, 1)
"""Label map of the photo that things happen to, `train/b`: 8 x 10 pixels, two categories."""


@dataclass(frozen=True)
class Case:
    """One thing that is wrong, or only odd."""

    spoil: Callable[[RawFolder], object]
    """Makes it so, in a data set of `train/a`, `train/b` and `test/c`."""
    outcome: ProblemKind | Literal["used", "refused"]
    """Kind under which `skip` lists it; `used` if nothing is wrong with it; `refused` whatever the policy."""
    says: str = ""
    """Part of the message."""


def _photo(content: bytes, outcome: ProblemKind | Literal["used"] = Kind.PHOTO_UNREADABLE, says: str = "") -> Case:
    return Case(lambda raw: put(content, raw.photo("train", "b")), outcome, says)


def _labels(content: bytes, outcome: ProblemKind | Literal["used"] = Kind.LABEL_MAP_UNREADABLE, says: str = "") -> Case:
    return Case(lambda raw: put(content, raw.label_map("train", "b")), outcome, says)


def _ids(labels: np.ndarray, outcome: ProblemKind, says: str = "") -> Case:
    return Case(lambda raw: save(labels, raw.label_map("train", "b")), outcome, says)


def _categories(text: str | bytes, outcome: Literal["used", "refused"] = "refused", says: str = "category_id") -> Case:
    content = text if isinstance(text, bytes) else text.encode()
    return Case(lambda raw: (raw.path / "category_id.txt").write_bytes(content), outcome, says)


def _list(content: bytes, outcome: ProblemKind | Literal["used", "refused"], says: str = "") -> Case:
    return Case(lambda raw: (raw.path / "ImageSets/train.txt").write_bytes(content), outcome, says)


def _line(line: str, outcome: ProblemKind, says: str = "") -> Case:
    return Case(lambda raw: raw.list_stem("train", line), outcome, says)


def _named(stem: str) -> Case:
    """Give the photo another name."""

    def rename(raw: RawFolder) -> None:
        for path in (raw.photo("train", "b"), raw.label_map("train", "b")):
            path.rename(path.with_name(f"{stem}.png"))
        (raw.path / "ImageSets/train.txt").write_text(f"a\n{stem}\n", encoding="utf-8")

    return Case(rename, "used")


def _beside(name: str | bytes) -> Case:
    """Put a file beside the photos that no list can name."""
    return Case(lambda raw: (raw.path / "Images/img_dir/train" / os.fsdecode(name)).touch(), Kind.NOT_LISTED)


def _replaced(make: Callable[[Path], object]) -> Case:
    def replace(raw: RawFolder) -> None:
        raw.photo("train", "b").unlink()
        make(raw.photo("train", "b"))

    return Case(replace, Kind.PHOTO_UNREADABLE)


def _extra(outcome: ProblemKind, prompts: str | bytes | None, mask: np.ndarray | None = None, says: str = "") -> Case:
    """Add a photo of ketchup with this mask and this `prompts.csv`."""

    def add(raw: RawFolder) -> None:
        folder = raw.add_extra("ketchup", "train", "k", mask)
        if prompts is not None:
            content = prompts if isinstance(prompts, bytes) else f"photo,kind,x0,y0,x1,y1\n{prompts}\n".encode()
            (folder / "prompts.csv").write_bytes(content)

    return Case(add, outcome, says)


WIDE = noise(10, 8, 1)
PHOTOS = {
    "photo-jpeg-truncated": _photo(halved(photo(height=64, width=64)), says="damaged|truncated"),
    "photo-png-truncated": _photo(halved(photo("PNG"))),
    "photo-webp-truncated": _photo(halved(photo("WEBP"))),
    "photo-zero-bytes": _photo(b"", says="an empty file"),
    "photo-blanks": _photo(b" \n\n", says="an empty file"),
    "photo-web-page": _photo(b"<!DOCTYPE html><title>404</title>", says="a web page"),
    "photo-svg": _photo(b"<svg xmlns='http://www.w3.org/2000/svg'/>", says="markup instead of a picture"),
    "photo-postscript": _photo(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", says="not one of the formats"),
    "photo-text": _photo(b"photo of a meal", says="not one of the formats"),
    "photo-20000x20000": _photo(png(20_000, 20_000, b""), says="more than 80000000 pixels"),
    "photo-bomb-9000x9000": _photo(png(9000, 9000, bytes(9001), rows=9000), says="more than 80000000 pixels"),
    "photo-size-2-31": _photo(png(2**31 - 1, 2**31 - 1, b""), says="pixels|damaged|formats"),
    "photo-size-0": _photo(png(0, 8, b"")),
    "photo-text-bomb": _photo(text_bomb(), says="damaged|large"),
    "photo-png-bad-checksum": _photo(flipped(photo("PNG"), 0.06)),
    "photo-float-tiff": _photo(encoded(np.zeros((8, 10), np.float32), "TIFF"), says="floating-point"),
    "photo-is-a-folder": _replaced(Path.mkdir),
    "photo-is-a-pipe": _replaced(os.mkfifo),
    "photo-is-a-dangling-link": _replaced(lambda path: path.symlink_to("nowhere.png")),
    "photo-is-a-link-to-itself": _replaced(lambda path: path.symlink_to(path.name)),
    "photo-1x1": _photo(photo(height=1, width=1), Kind.SIZE_MISMATCH, "10 x 8 pixels, but the upright photo has 1 x 1"),
    "photo-cmyk": _photo(photo(mode="CMYK"), "used"),
    "photo-gray": _photo(photo(mode="L"), "used"),
    "photo-1-bit": _photo(photo("PNG", mode="1"), "used"),
    "photo-16-bit": _photo(encoded(np.arange(80, dtype=np.uint16).reshape(8, 10) * 800, "PNG"), "used"),
    "photo-palette": _photo(photo("PNG", mode="P"), "used"),
    "photo-alpha": _photo(photo("PNG", mode="RGBA"), "used"),
    "photo-animated": _photo(animation(), "used"),
    "photo-upright-by-exif": _photo(encoded(WIDE, "JPEG", orientation=SIDEWAYS), "used"),
    "photo-jpeg-called-png": _photo(photo("JPEG"), "used"),
}
LABEL_MAPS = {
    "labels-zero-bytes": _labels(b"", says="an empty file"),
    "labels-truncated": _labels(halved(encoded(LABELS, "PNG"))),
    "labels-web-page": _labels(b"<html>", says="a web page"),
    "labels-jpeg": _labels(encoded(LABELS, "JPEG"), says="a JPEG file"),
    "labels-in-colour": _labels(photo("PNG"), says="in colour"),
    "labels-transparent": _labels(encoded(np.dstack([LABELS] * 4), "PNG"), says="transparent"),
    "labels-float": _labels(encoded(LABELS.astype(np.float32), "TIFF"), says="no whole numbers"),
    "labels-id-over-65535": _labels(encoded(LABELS.astype(np.int32) * 10_000, "TIFF"), says="holds the id 70000"),
    "labels-id-over-255": _labels(encoded(LABELS.astype(np.uint16) * 100, "PNG"), Kind.UNKNOWN_CATEGORY, "unknown ids"),
    "labels-20000x20000": _labels(png(20_000, 20_000, b""), says="more than 80000000 pixels"),
    "labels-palette": _labels(encoded(LABELS, "PNG", mode="P"), "used"),
    "labels-gray-as-rgb": _labels(encoded(np.dstack([LABELS] * 3), "PNG"), "used"),
    "labels-opaque-alpha": _labels(encoded(LABELS, "PNG", mode="LA"), "used"),
    "labels-other-size": _ids(labels_of(1, height=9), Kind.SIZE_MISMATCH, "10 x 9 pixels"),
    "labels-turned": _ids(labels_of(1, height=10, width=8), Kind.SIZE_MISMATCH, "8 x 10 pixels"),
    "labels-1x1": _ids(labels_of(1, height=1, width=1), Kind.SIZE_MISMATCH, "1 x 1 pixels"),
    "labels-unknown-ids": _ids(labels_of(1, 5, 6), Kind.UNKNOWN_CATEGORY, "unknown ids 5, 6"),
    "labels-void-255": _labels(encoded(labels_of(7, 1, 255), "PNG"), "used"),
    "labels-void-alone": _ids(labels_of(255, 255), Kind.LABEL_MAP_EMPTY, "no pixel but background"),
    "labels-palette-reordered": _labels(
        encoded(labels_of(1, 7), "PNG", colours=((255, 0, 0), (0, 0, 0))), says="entry 1 of the palette is black"
    ),
    "labels-empty": _ids(labels_of(), Kind.LABEL_MAP_EMPTY, "no pixel but background"),
}
PAIRS = {
    "photo-absent": Case(lambda raw: raw.photo("train", "b").unlink(), Kind.PHOTO_ABSENT),
    "labels-absent": Case(lambda raw: raw.label_map("train", "b").unlink(), Kind.LABEL_MAP_ABSENT),
    "both-absent": Case(
        lambda raw: (raw.photo("train", "b").unlink(), raw.label_map("train", "b").unlink()), Kind.FILES_ABSENT
    ),
    "two-photos": Case(lambda raw: raw.photo("train", "b").with_suffix(".jpg").touch(), Kind.AMBIGUOUS_FILES),
    "two-label-maps": Case(lambda raw: raw.label_map("train", "b").with_suffix(".bmp").touch(), Kind.AMBIGUOUS_FILES),
}
LISTS = {
    "list-both-splits": Case(lambda raw: raw.list_stem("test", "b"), Kind.IN_BOTH_SPLITS),
    "list-stem-twice": _line("b.jpg", Kind.LISTED_TWICE),
    "list-absent-stem": _line("nowhere", Kind.FILES_ABSENT),
    "list-path-outside": _line("../../../category_id", Kind.FILES_ABSENT),
    "list-absolute-path": _line("/etc/passwd", Kind.FILES_ABSENT),
    "list-long-line": _line("x" * 70_000, Kind.FILES_ABSENT),
    "list-nul-byte": _line("b\0c", Kind.FILES_ABSENT),
    "list-terminal-escape": _line("\x1b[2Jb", Kind.FILES_ABSENT),
    "list-windows-line-ends": _list(b"a\r\nb\r\n", "used"),
    "list-old-mac-line-ends": _list(b"a\rb\r", "used"),
    "list-byte-order-mark": _list(b"\xef\xbb\xbfa\nb", "used"),
    "list-blank-lines": _list(b"\n\n a \n\tb\t\n \n", "used"),
    "list-with-suffixes": _list(b"a.JPG\nb.png\n", "used"),
    "list-not-utf-8": _list(b"a\nb\n\xff\n", "refused", "not UTF-8"),
    "list-utf-16": _list("a\nb\n".encode("utf-16"), "refused", "not UTF-8"),
    "list-absent": Case(lambda raw: (raw.path / "ImageSets/test.txt").unlink(), "refused", "no such file"),
    "lists-empty": Case(
        lambda raw: [(raw.path / f"ImageSets/{split}.txt").write_text("") for split in ("train", "test")],
        "refused", "no usable sample",
    ),
}  # fmt: skip


def _listed_as(stem: str) -> Case:
    """Give the photo, its label map and its line a name that `index` refuses."""
    return Case(_named(stem).spoil, Kind.NAME_UNUSABLE, "cannot be printed")


NAMES = {
    "name-listed-with-escape": _listed_as("b\x1b[2J"),
    "name-listed-right-to-left": _listed_as("b\u202egpj"),
    "name-with-blanks": _named("my photo (1)"),
    "name-unicode": _named("비빔밥 é 🍛"),
    "name-decomposed": _named("cafe\u0301"),
    "name-leading-dash": _named("-rf"),
    "name-shell": _named("$(touch ran);`touch ran`&'\""),
    "name-with-dots": _named("b.v1.final"),
    "name-like-a-csv-formula": _named("=1+1"),
    "name-with-newline": _beside("b\nc.jpg"),
    "name-not-utf-8": _beside(b"\xff\xfe.jpg"),
    "name-terminal-escape": _beside("\x1b[31mred.jpg"),
}
CATEGORIES = {
    "categories-blanks": _categories("0 background\n 1   bread  \n\n2\trice\n7 Sauce\n", "used"),
    "categories-windows-line-ends": _categories("0 background\r\n1 bread\r\n2 rice\r\n7 sauce\r\n", "used"),
    "categories-byte-order-mark": _categories("\ufeff0 background\n1 bread\n2 rice\n7 sauce\n", "used"),
    "categories-terminal-escape": _categories("1 bread\n2 rice\n7 \x1b[2Jsauce\n", says="line 3.*cannot be printed"),
    "categories-right-to-left": _categories("1 bread\n2 rice\n7 \u202esauce\n", says="line 3.*cannot be printed"),
    "categories-formula-and-markup": _categories("1 =1+1\n2 <b>$^$</b>\n7 a\\b\n", "used"),
    "categories-gaps": _categories("1 bread\n2 rice\n7 sauce\n200 soup\n", "used"),
    "categories-id-twice": _categories("1 bread\n2 rice\n7 sauce\n7 gravy\n", says="comes twice"),
    "categories-name-twice": _categories("1 bread\n2 rice\n7 Bread\n", says="comes twice"),
    "categories-id-65536": _categories("1 bread\n65536 rice\n", says="line 2"),
    "categories-id-256": _categories("1 bread\n2 rice\n7 sauce\n256 soup\n", "used"),
    "categories-id-negative": _categories("-1 bread\n", says="line 1"),
    "categories-id-not-ascii": _categories("१ bread\n", says="line 1"),
    "categories-id-huge": _categories(f"{'9' * 5000} bread\n", says="line 1"),
    "categories-no-name": _categories("1\n", says="line 1"),
    "categories-csv": _categories("1,bread\n2,rice\n", says="line 1"),
    "categories-web-page": _categories("<html>\n", says="line 1"),
    "categories-empty": _categories("", says="no category"),
    "categories-background-alone": _categories("0 background\n", says="no category"),
    "categories-not-utf-8": _categories(b"1 cr\xe8me\n", says="not UTF-8"),
    "categories-absent": Case(lambda raw: (raw.path / "category_id.txt").unlink(), "refused", "no such file"),
}
EXTRA = {
    "extra-without-mask": _extra(Kind.ANNOTATION_ABSENT, None),
    "extra-mask-empty": _extra(Kind.LABEL_MAP_EMPTY, None, labels_of()),
    "extra-mask-of-several-foods": _extra(Kind.MASK_UNREADABLE, None, labels_of(1, 2), "several foods, 1, 2"),
    "extra-click-outside": _extra(Kind.PROMPT_OUTSIDE, "k,point,10,3,,"),
    "extra-box-outside": _extra(Kind.PROMPT_OUTSIDE, "k,box,0,0,9,11"),
    "extra-box-of-another-photo": _extra(Kind.PROMPT_OUTSIDE, "k,box,20,1,25,5"),
    "extra-box-reversed": _extra(Kind.PROMPTS_UNREADABLE, "k,box,5,5,1,1", says="line 2"),
    "extra-click-nan": _extra(Kind.PROMPTS_UNREADABLE, "k,point,nan,1,,", says="line 2"),
    "extra-click-infinite": _extra(Kind.PROMPTS_UNREADABLE, "k,point,1e999,1,,", says="line 2"),
    "extra-click-negative": _extra(Kind.PROMPTS_UNREADABLE, "k,point,-1,1,,", says="line 2"),
    "extra-click-1e300": _extra(Kind.PROMPT_OUTSIDE, "k,point,1e300,1,,"),
    "extra-prompts-web-page": _extra(Kind.PROMPTS_UNREADABLE, b"<html>", says="line 1"),
    "extra-prompts-zero-bytes": _extra(Kind.PROMPTS_UNREADABLE, b""),
    "extra-prompts-open-quote": _extra(Kind.PROMPTS_UNREADABLE, 'k,point,"1,1,,'),
    "extra-prompts-not-utf-8": _extra(Kind.PROMPTS_UNREADABLE, b"photo,kind,x0,y0,x1,y1\n\xff,point,1,1,,\n"),
    "extra-prompts-of-no-photo": _extra(Kind.PHOTO_ABSENT, "other,point,1,1,,", labels_of(1)),
}
CASES = PHOTOS | LABEL_MAPS | PAIRS | LISTS | NAMES | CATEGORIES | EXTRA


def sound(folder: Path) -> RawFolder:
    """Write a data set of three photos and six samples with nothing wrong."""
    raw = RawFolder(folder)
    raw.add("train", "b", LABELS, seed=1)
    raw.add("train", "a", labels_of(2, height=6, width=20), seed=2)
    raw.add("test", "c", labels_of(0, 1, 2, 7), seed=3)
    return raw
