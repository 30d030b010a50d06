"""Which photos are meant."""

import io
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as holds
from hypothesis import strategies as st

from pipeline.imaging.decode import HEIF, read_photo
from pipeline.inference import inputs as photos
from pipeline.inference.inputs import STANDARD_INPUT, PhotoUrl, list_photos, open_photo, photos_in_folder, short_names
from pipeline.runtime.errors import ParamsError, PhotoError
from tests.loopback import Reply, serving
from tests.meal import write_meal


def test_files_come_as_named_and_folders_sorted(tmp_path: Path) -> None:
    """With folders below; masks and other files are passed over, but what is named is taken at its word."""
    for name in ("b.PNG", "a.jpg", "note.txt", "a.mask.png", "sub/c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = list_photos(["x", str(tmp_path), "-"])
    assert [Path(str(photo)).name for photo in found] == ["x", "a.jpg", "b.PNG", "c.webp", "-"]


def test_what_finder_and_windows_leave_in_a_folder_is_no_photo(tmp_path: Path) -> None:
    """AppleDouble files carry the suffix of the photo that they describe."""
    for name in ("a.jpg", "._a.jpg", ".DS_Store", "Thumbs.db", "__MACOSX/a.jpg", "__MACOSX/._a.jpg", ".cache/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_photos([str(tmp_path)]) == (tmp_path / "a.jpg",)


def test_what_is_left_out_of_a_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Formats that nobody reads here must not vanish without a word."""
    (tmp_path / "IMG_1.HEIX").touch()
    with pytest.raises(ParamsError, match="no photo in this folder"):
        list_photos([str(tmp_path)])
    (tmp_path / "a.jpg").touch()
    list_photos([str(tmp_path)])
    assert capsys.readouterr().err.count("ignored 1 file that are no photos: 'IMG_1.HEIX'") == 2


def test_masks_and_outputs_inside_a_folder_of_photos_are_no_photos(tmp_path: Path) -> None:
    """A second call must not take the pictures that the first one drew."""
    for name in ("a.jpg", "masks/a.png", "out/a-1-roi.png", "mask.png", "masks2/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    without = [tmp_path / name for name in ("masks", "out", "mask.png")]
    assert list_photos([str(tmp_path)], without=without) == (tmp_path / "a.jpg", tmp_path / "masks2/b.png")
    assert list_photos([str(tmp_path / "masks")], without=[tmp_path / "masks"]) == (tmp_path / "masks/a.png",)


def test_a_url_is_fetched(tmp_path: Path) -> None:
    """The same pixels as from the file; listings show it without what may be secret."""
    photo = write_meal(tmp_path).photo
    with serving() as host:
        host.content, host.script = photo.read_bytes(), [Reply(content_type="image/png")]
        (source,) = list_photos([f"{host.url}?token=secret"])
        np.testing.assert_array_equal(open_photo(source, io.BytesIO()), read_photo(photo))
        assert str(source) == host.url
        assert list(short_names([source])) == ["Food Seg"]


def test_a_url_that_gives_no_photo_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too large, absent, something else: one photo's failure."""
    with serving() as host:
        host.content = b"no picture"
        with pytest.raises(PhotoError, match=f"^{host.url}: not one of the formats"):
            open_photo(PhotoUrl(host.url), io.BytesIO())
        monkeypatch.setattr(photos, "MAX_BYTES", 5)
        with pytest.raises(PhotoError, match=f"^{host.url}: larger than a photo"):
            open_photo(PhotoUrl(host.url), io.BytesIO())
        host.script = [Reply(status=404)]
        with pytest.raises(PhotoError, match="HTTP 404"):
            open_photo(PhotoUrl(host.url), io.BytesIO())
    with pytest.raises(ParamsError, match="^s3://bucket/a.jpg: photos are fetched over http and https only"):
        list_photos(["s3://key:secret@bucket/a.jpg"])


def test_what_a_folder_holds_beside_photos_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clutter of macOS by its number, formats that need a package by name; an odd name is a photo, refused later."""
    for name in ("a.jpg", "._a.jpg", "__MACOSX/b.jpg", ".thumbs/c.jpg", "notes.txt", os.fsdecode(b"caf\xe9.jpg")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "IMG_1.HEIC").touch()
    found = [path.name for path in photos_in_folder(tmp_path)]
    said = capsys.readouterr().err
    assert "ignored 3 files of macOS or Windows" in said
    assert "ignored 1 file that are no photos: 'notes.txt'" in said
    if HEIF:
        assert found == ["IMG_1.HEIC", "a.jpg", os.fsdecode(b"caf\xe9.jpg")]
    else:
        assert found == ["a.jpg", os.fsdecode(b"caf\xe9.jpg")]
        assert "ignored 1 file in HEIC; `pip install pillow-heif`" in said


def test_an_empty_name_is_no_folder() -> None:
    """As `"$photo"` gives where the variable is not set: not every picture below the folder one is in."""
    for named in ([""], ["meal.jpg", ""]):
        with pytest.raises(ParamsError, match=r"^an empty name of a photo; name a photo, a folder"):
            list_photos(named)


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(ParamsError, match="no photo in this folder"):
        list_photos([str(tmp_path)])


def test_the_standard_input_is_a_photo_like_any_other(tmp_path: Path) -> None:
    """The same pixels as from the file."""
    photo = write_meal(tmp_path).photo
    np.testing.assert_array_equal(open_photo(STANDARD_INPUT, io.BytesIO(photo.read_bytes())), read_photo(photo))


def test_what_is_piped_in_is_bounded_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """No temporary path in a message."""
    with pytest.raises(PhotoError, match="^standard input: a web page"):
        open_photo(STANDARD_INPUT, io.BytesIO(b"<html>"))
    monkeypatch.setattr(photos, "MAX_BYTES", 5)
    with pytest.raises(PhotoError, match="standard input: more than 5 bytes"):
        open_photo(STANDARD_INPUT, io.BytesIO(b"123456"))


def test_pictures_of_different_photos_never_share_a_name() -> None:
    """Stems that repeat, on any file system, get their photo's number."""
    given = [Path("a/x.jpg"), Path("b/X.jpg"), Path("y.jpg"), STANDARD_INPUT]
    assert list(short_names(given)) == ["1-x", "2-X", "y", "photo"]


STEMS = st.text("1-aAé\u0301e", min_size=1, max_size=5)


@holds(st.lists(STEMS | st.from_regex(r"[1-9]-[1-9]?-?a", fullmatch=True), max_size=8))
def test_short_names_are_all_different(stems: list[str]) -> None:
    """Even if a photo is called like another one's number and stem, and for any case and Unicode form."""
    given = [Path(f"{number}/{stem}.jpg") for number, stem in enumerate(stems)]
    names = [unicodedata.normalize("NFC", name.casefold()) for name in short_names(given)]
    assert len(set(names)) == len(names)
