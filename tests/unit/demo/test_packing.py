"""The archive."""

import os
import zipfile
from pathlib import Path

import pytest
from rustyzipper import EncryptionMethod, detect_encryption

from pipeline.demo.dataset import pack_archive
from pipeline.runtime.errors import ArchiveError

PASSWORD = "LARCdataset9947"  # noqa: S105 - printed in the authors' README
ENCRYPTED = 0x1
AES_EXTRA = 0x9901


@pytest.fixture
def archive(demo_folder: Path, tmp_path: Path) -> Path:
    """Return the packed demo."""
    path = tmp_path / "demo.zip"
    pack_archive(demo_folder, path, password=PASSWORD)
    return path


def test_every_file_comes_back(demo_folder: Path, archive: Path) -> None:
    """Python's own reader finds all files under `FoodSeg103/`, with their bytes."""
    with zipfile.ZipFile(archive) as packed:
        packed.setpassword(PASSWORD.encode())
        unpacked = {name: packed.read(name) for name in packed.namelist()}
    files = sorted(path for path in demo_folder.rglob("*") if path.is_file())
    assert unpacked == {path.relative_to(demo_folder).as_posix(): path.read_bytes() for path in files}
    assert all(name.startswith("FoodSeg103/") for name in unpacked)


def test_every_entry_is_under_zipcrypto(archive: Path) -> None:
    """Flag bit 0 is set, and neither method 99 nor the AES extra field is there."""
    with zipfile.ZipFile(archive) as packed:
        entries = packed.infolist()
    assert all(entry.flag_bits & ENCRYPTED for entry in entries)
    assert {entry.compress_type for entry in entries} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    assert not any(AES_EXTRA.to_bytes(2, "little") in entry.extra[:2] for entry in entries)
    assert detect_encryption(str(archive)) is EncryptionMethod.ZIPCRYPTO


@pytest.mark.parametrize("password", [b"wrong", None])
def test_a_wrong_password_is_refused(archive: Path, password: bytes | None) -> None:
    """Nothing can be read without the password."""
    with zipfile.ZipFile(archive) as packed, pytest.raises(RuntimeError, match=r"[Bb]ad password|password required"):
        packed.read("FoodSeg103/category_id.txt", pwd=password)


def test_the_same_files_give_the_same_archive(demo_folder: Path, archive: Path, tmp_path: Path) -> None:
    """Neither the hour nor the age of the files shows, so its hash can be recorded."""
    os.utime(demo_folder / "FoodSeg103/category_id.txt")
    pack_archive(demo_folder, tmp_path / "again.zip", password=PASSWORD)
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_the_official_archive_uses_the_same_scheme(shared: Path, archive: Path) -> None:
    """Same encryption, same first folder, same lists as the cut of the release."""
    official = shared / "data/FoodSeg103-mini.zip"
    assert detect_encryption(str(official)) is detect_encryption(str(archive))
    with zipfile.ZipFile(official) as theirs, zipfile.ZipFile(archive) as ours:
        kinds = [{Path(n).parent.as_posix() for n in z.namelist() if not n.endswith("/")} for z in (theirs, ours)]
    assert kinds[0] == kinds[1]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """The message names the folder."""
    with pytest.raises(ArchiveError, match=r"FoodSeg103: holds no files"):
        pack_archive(tmp_path, tmp_path / "demo.zip", password=PASSWORD)
