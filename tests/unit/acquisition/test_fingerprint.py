"""A fingerprint is that of the content, whoever looks, and no file is read twice."""

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.acquisition.fingerprint import data_set_files, extra_files, fingerprint, single_file
from pipeline.acquisition.source import hash_file
from tests.raw_folder import RawFolder, labels_of


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of files in the order they are read; times are trusted at once."""
    names: list[str] = []

    def noted(path: Path, report: object) -> str:
        names.append(path.name)
        return hash_file(path, report)

    monkeypatch.setattr("pipeline.acquisition.fingerprint.hash_file", noted)
    monkeypatch.setattr("pipeline.acquisition.fingerprint.SETTLED", 0.0)
    return names


def folder_of(path: Path) -> RawFolder:
    """Make a data set of two photos."""
    folder = RawFolder(path)
    folder.add("train", "00000001", labels_of(1, 2))
    folder.add("test", "00000002", labels_of(7))
    return folder


def test_an_archive_has_the_hash_that_sha256sum_prints(tmp_path: Path) -> None:
    """So that the record of `configure` and `data/source.json` name one thing alike."""
    (tmp_path / "a.zip").write_bytes(b"photos")
    expected = hashlib.sha256(b"photos").hexdigest()
    assert fingerprint(data_set_files(str(tmp_path / "a.zip")), tmp_path / "memory.json") == expected
    assert fingerprint(single_file(str(tmp_path / "a.zip")), tmp_path / "memory.json") == expected


def test_a_folder_has_one_fingerprint_wherever_and_whenever_it_was_copied(tmp_path: Path) -> None:
    """Path and time of change are a machine's own; what does not belong to the data set counts for nothing."""
    first, second = folder_of(tmp_path / "a"), folder_of(tmp_path / "top/b")
    os.utime(second.photo("train", "00000001"), (0, 0))
    (second.path / "notes.txt").write_text("mine")
    seen = [fingerprint(data_set_files(str(place)), tmp_path / "m.json") for place in (first.path, tmp_path / "top")]
    assert seen[0] == seen[1]
    second.photo("train", "00000001").rename(second.photo("train", "00000003"))
    assert fingerprint(data_set_files(str(second.path)), tmp_path / "m.json") != seen[0]


def test_only_files_that_changed_are_read_again(tmp_path: Path, reads: list[str]) -> None:
    """Same size and time of change included: the inode, or the time of the inode's change, tells."""
    folder = folder_of(tmp_path / "a")
    files, memory = data_set_files(str(folder.path)), tmp_path / "deep/memory.json"
    before = fingerprint(files, memory)
    assert len(reads) == len(files)
    reads.clear()
    assert fingerprint(files, memory) == before
    assert reads == []
    changed = folder.label_map("test", "00000002")
    status, content = changed.stat(), bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(files, memory) != before
    assert reads == [changed.name]


def test_what_changed_a_moment_ago_is_read_again(tmp_path: Path) -> None:
    """A file system may give two writes in a row one time."""
    path, memory = tmp_path / "weights.pth", tmp_path / "memory.json"
    path.write_bytes(b"a")
    before = fingerprint(single_file(str(path)), memory)
    status = path.stat()
    path.write_bytes(b"b")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(single_file(str(path)), memory) != before


def test_a_damaged_memory_costs_reading_only(tmp_path: Path) -> None:
    """As after a full disk."""
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "memory.json").write_text("{")
    assert fingerprint(single_file(str(tmp_path / "a")), tmp_path / "memory.json") == hashlib.sha256(b"a").hexdigest()


def test_prompts_and_masks_of_an_extra_category_count(tmp_path: Path) -> None:
    """All that stage `download` copies; a file manager's leavings do not."""
    folder = folder_of(tmp_path / "a").add_extra("ketchup", "train", "IMG_1", labels_of(1)).parent
    seen = {fingerprint(extra_files(str(folder)), tmp_path / "m.json")}
    (folder / "train/Thumbs.db").write_bytes(b"x")
    (folder / "train/.DS_Store").write_bytes(b"x")
    assert {fingerprint(extra_files(str(folder)), tmp_path / "m.json")} == seen
    (folder / "train/prompts.csv").write_text("photo,kind,x0,y0,x1,y1\n")
    seen.add(fingerprint(extra_files(str(folder)), tmp_path / "m.json"))
    assert len(seen) == 2


@pytest.mark.parametrize("listed", [data_set_files, extra_files, single_file])
def test_what_is_not_there_has_no_files(listed: object, tmp_path: Path) -> None:
    """Whether that is a mistake is for the stage to say that needs it."""
    assert listed(str(tmp_path / "absent")) == {}
    assert data_set_files(str(tmp_path)) == {}
