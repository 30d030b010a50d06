"""The data set on disk, and its archive."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from rustyzipper import EncryptionMethod, detect_encryption

from pipeline.datasets.layout import OFFICIAL_SPLITS
from pipeline.demo.dataset import ROOT, pack_archive, write_demo
from pipeline.demo.foods import CATEGORIES, CATEGORY_IDS, CHILI_PASTE, KETCHUP
from pipeline.params.stages import DemoParams
from pipeline.runtime.errors import ArchiveError


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file's bytes by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def ids_of(folder: Path, split: str) -> list[set[int]]:
    """Return the category ids of every photo of a split, without background."""
    paths = sorted((folder / ROOT / "Images/ann_dir" / split).iterdir())
    return [set(np.unique(np.asarray(Pillow.open(path))).tolist()) - {0} for path in paths]


def test_two_workers_write_the_bytes_of_one(demo_params: DemoParams, demo_folder: Path, tmp_path: Path) -> None:
    """The number of processes is speed, never content."""
    write_demo(demo_params, tmp_path, workers=2)
    assert contents(tmp_path) == contents(demo_folder)


def test_the_layout_is_the_official_one(demo_folder: Path) -> None:
    """Lists, photos and label maps name the same stems; nothing else lies about."""
    root = demo_folder / ROOT
    expected = {"category_id.txt", "ImageSets/train.txt", "ImageSets/test.txt"}
    for split in OFFICIAL_SPLITS:
        stems = (root / "ImageSets" / f"{split}.txt").read_text().splitlines()
        assert len(stems) == 8
        assert all(len(stem) == 8 and stem.isdigit() for stem in stems)
        expected |= {f"Images/img_dir/{split}/{stem}.jpg" for stem in stems}
        expected |= {f"Images/ann_dir/{split}/{stem}.png" for stem in stems}
    assert set(contents(root)) == expected


def test_no_stem_is_in_both_splits(demo_folder: Path) -> None:
    """As in the release, a stem names one photo."""
    stems = [(demo_folder / ROOT / f"ImageSets/{split}.txt").read_text().split() for split in OFFICIAL_SPLITS]
    assert not set(stems[0]) & set(stems[1])


def test_the_category_file_reads_like_the_official_one(demo_folder: Path) -> None:
    """One `id name` a line, background first."""
    lines = (demo_folder / ROOT / "category_id.txt").read_text().splitlines()
    assert lines[0] == "0 background"
    assert [line.split(" ", 1) for line in lines[1:]] == [[str(CATEGORY_IDS[name]), name] for name in CATEGORIES]


def test_the_official_category_file_has_the_same_form(shared: Path) -> None:
    """Every line of the release is `id name`, separated by one blank, ids counting from 0."""
    lines = (shared / "data/category_id.txt").read_text().splitlines()
    assert [int(line.split(" ", 1)[0]) for line in lines] == list(range(104))
    assert lines[0] == "0 background"


def test_every_category_occurs_in_both_splits(demo_folder: Path) -> None:
    """Label maps hold all known ids and no other."""
    for split in OFFICIAL_SPLITS:
        assert set.union(*ids_of(demo_folder, split)) == set(CATEGORY_IDS.values())


def test_the_red_sauces_never_meet(demo_folder: Path) -> None:
    """A photo with both would name each sauce by the other."""
    pair = {CATEGORY_IDS[KETCHUP], CATEGORY_IDS[CHILI_PASTE]}
    assert not any(pair <= ids for split in OFFICIAL_SPLITS for ids in ids_of(demo_folder, split))


def test_photos_are_colour_jpegs_and_label_maps_gray_pngs_of_their_size(demo_folder: Path) -> None:
    """As in the release: mode RGB and L, no palette."""
    for split in OFFICIAL_SPLITS:
        for path in sorted((demo_folder / ROOT / "Images/img_dir" / split).iterdir()):
            label_map = demo_folder / ROOT / "Images/ann_dir" / split / f"{path.stem}.png"
            with Pillow.open(path) as photo, Pillow.open(label_map) as labels:
                assert (photo.format, photo.mode, labels.format, labels.mode) == ("JPEG", "RGB", "PNG", "L")
                assert photo.size == labels.size


def test_more_photos_leave_those_before_as_they_are(demo_params: DemoParams, demo_folder: Path, tmp_path: Path) -> None:
    """A scene depends on its own position, not on the size of the data set."""
    write_demo(demo_params.model_copy(update={"train_photos": 3, "test_photos": 1}), tmp_path, workers=1)
    for stem in ("00000000", "00000002"):
        name = f"{ROOT}/Images/img_dir/train/{stem}.jpg"
        assert (tmp_path / name).read_bytes() == (demo_folder / name).read_bytes()
    test_photo = f"{ROOT}/Images/img_dir/test"
    assert (tmp_path / test_photo / "00000003.jpg").read_bytes() == (
        demo_folder / test_photo / "00000008.jpg"
    ).read_bytes()


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
