"""A user's own photos are checked before they join."""

import os
from pathlib import Path

import pytest

from pipeline.acquisition.extra import copy_extra
from pipeline.imaging.decode import HEIF
from pipeline.runtime.errors import DatasetError, ParamsError, SourceError

HEADER = "photo,kind,x0,y0,x1,y1\n"


@pytest.fixture
def ketchup(tmp_path: Path) -> Path:
    """Write a good folder: masks in train, prompts in test."""
    files = {
        "train/IMG 1.JPG": b"photo",
        "train/IMG 1.mask.png": b"mask",
        "train/b.webp": b"photo",
        "train/b.mask.png": b"mask",
        "train/.DS_Store": b"clutter",
        "test/c.jpeg": b"photo",
        "test/d.png": b"photo",
        "test/prompts.csv": f"{HEADER}c.jpeg,point,10,20,,\nc.jpeg,point,11,21,,\nd,box,1,2,30,40\n".encode(),
    }
    for name, body in files.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_bytes(body)
    return tmp_path / "mine"


def copied(folder: Path, destination: Path) -> set[str]:
    """Copy one category and return the paths below it."""
    copy_extra({"ketchup": str(folder)}, destination)
    return {p.relative_to(destination).as_posix() for p in destination.rglob("*") if p.is_file()}


def test_photos_masks_and_prompts_are_copied(ketchup: Path, tmp_path: Path) -> None:
    """Hidden files are not."""
    names = {"train/IMG 1.JPG", "train/IMG 1.mask.png", "train/b.webp", "train/b.mask.png"}
    names |= {"test/c.jpeg", "test/d.png", "test/prompts.csv"}
    assert copied(ketchup, tmp_path / "extra") == {f"ketchup/{name}" for name in names}


def test_clutter_is_left_out_and_counted(ketchup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What Finder and Explorer leave is no photo of the user's."""
    (ketchup / "train/__MACOSX").mkdir()
    for name in ("._b.webp", "Thumbs.db"):
        (ketchup / "train" / name).write_bytes(b"")
    assert not any("._" in name or "Thumbs" in name for name in copied(ketchup, tmp_path / "extra"))
    assert "ignored 4 files of macOS or Windows" in capsys.readouterr().err


def test_a_photo_that_is_a_link_out_of_the_folder_is_refused(ketchup: Path, tmp_path: Path) -> None:
    """Whoever sends a folder must not choose a file of this machine."""
    (tmp_path / "secret").write_bytes(b"secret")
    (ketchup / "train/s.jpg").symlink_to(tmp_path / "secret")
    (ketchup / "train/s.mask.png").write_bytes(b"mask")
    with pytest.raises(SourceError, match="a link leads out of the folder"):
        copied(ketchup, tmp_path / "extra")


def test_a_name_that_is_not_utf_8_is_refused(ketchup: Path, tmp_path: Path) -> None:
    """In one line that can be printed."""
    (ketchup / "train" / os.fsdecode(b"\xe9.jpg")).write_bytes(b"photo")
    with pytest.raises(DatasetError, match=r"udce9.jpg': its name .*rename it"):
        copied(ketchup, tmp_path / "extra")


def test_no_extra_categories_leave_no_folder(tmp_path: Path) -> None:
    """Nor what an earlier run left."""
    (tmp_path / "extra/old").mkdir(parents=True)
    copy_extra({}, tmp_path / "extra")
    assert not (tmp_path / "extra").exists()


def test_one_split_is_enough(ketchup: Path, tmp_path: Path) -> None:
    """But none is not."""
    (ketchup / "test").rename(tmp_path / "put away")
    assert all(name.startswith("ketchup/train/") for name in copied(ketchup, tmp_path / "extra"))
    with pytest.raises(ParamsError, match="no folder train or test for 'ketchup'; correct"):
        copied(tmp_path / "put away", tmp_path / "extra")


@pytest.mark.parametrize(
    ("split", "name", "reason"),
    [
        ("train", "lonely.jpg", r"lonely\.jpg': has no mask and no prompts; add lonely\.mask\.png or a line"),
        ("train", "lonely.mask.png", "a mask without photo"),
        ("train", "b.png", "several photos have this name"),
        ("train", "B.jpg", "several photos have this name"),
        ("train", "phone.cr2", "not a photo .*convert or remove it"),
        ("train", "phone.heic", "has no mask" if HEIF else "HEIC, .*`pip install pillow-heif`.*convert it to JPEG"),
        ("train", "notes.txt", "not a photo"),
        ("train", "new\nline.jpg", r"new\\nline\.jpg': its name has control characters"),
        ("train", "back\\slash.jpg", "a backslash; rename it"),
        ("test", "c.mask.png", r"c\.jpeg': has a mask and prompts; remove one"),
    ],
)
def test_a_file_without_its_partner_is_named(ketchup: Path, tmp_path: Path, split: str, name: str, reason: str) -> None:
    """With the mend; nothing of that folder is copied."""
    (ketchup / split / name).write_bytes(b"x")
    with pytest.raises(DatasetError, match=reason):
        copied(ketchup, tmp_path / "extra")
    assert not (tmp_path / "extra/ketchup" / split).exists()


def test_a_folder_among_the_photos_is_named(ketchup: Path, tmp_path: Path) -> None:
    """Photos in it would be lost silently."""
    (ketchup / "train/more.jpg").mkdir()
    with pytest.raises(DatasetError, match="not a photo"):
        copied(ketchup, tmp_path / "extra")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"photo;kind;x0;y0;x1;y1\n", "save it as CSV in UTF-8 with columns photo,kind,x0,y0,x1,y1"),
        (HEADER.encode() + b"c.jpeg,point,10,20,,\n", r"d\.png': has no mask and no prompts"),
        (HEADER.encode() + b"e.jpg,point,10,20,,\n", r"names 'e', no photo beside it; correct the name"),
        (HEADER.encode() + b"c.jpeg,circle,10,20,,\n", "line 2"),
        (HEADER.encode() + b"c.jpeg,point,-1,20,,\n", "line 2"),
        (HEADER.encode() + b"c.jpeg,point,nan,20,,\n", "line 2"),
        (HEADER.encode() + b"c.jpeg,box,10,20,5,30\n", "line 2"),
        (HEADER.encode() + b"c.jpeg,box,10,20\n", "line 2"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"", "save it as CSV"),
    ],
)
def test_a_bad_sidecar_is_named_with_its_line(ketchup: Path, tmp_path: Path, text: bytes, reason: str) -> None:
    """One line that names the file."""
    (ketchup / "test/prompts.csv").write_bytes(text)
    with pytest.raises(DatasetError, match=reason) as caught:
        copied(ketchup, tmp_path / "extra")
    assert str(ketchup / "test") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sidecar_from_a_spreadsheet_is_read(ketchup: Path, tmp_path: Path) -> None:
    """With its mark and its line ends."""
    text = f"{HEADER}c.jpeg,point,10,20,,\nd.png,box,1,2,3,4\n".replace("\n", "\r\n")
    (ketchup / "test/prompts.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert "ketchup/test/prompts.csv" in copied(ketchup, tmp_path / "extra")


@pytest.mark.parametrize("name", ["", " ketchup", "..", ".hidden", "a/b", "a\\b", "a\nb", "C:", "x" * 256])
def test_a_category_that_cannot_be_a_folder_is_refused(ketchup: Path, tmp_path: Path, name: str) -> None:
    """Nothing lands outside the destination."""
    with pytest.raises(ParamsError, match="cannot be a category"):
        copy_extra({name: str(ketchup)}, tmp_path / "extra")
    assert not (tmp_path / "extra").exists()


def test_two_spellings_of_one_category_are_refused(ketchup: Path, tmp_path: Path) -> None:
    """Some file systems would merge them."""
    with pytest.raises(ParamsError, match="'Ketchup' and 'ketchup' are one category"):
        copy_extra({"ketchup": str(ketchup), "Ketchup": str(ketchup)}, tmp_path / "extra")
