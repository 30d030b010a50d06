"""What a DVC that was killed while it wrote its records leaves behind, and what remains of it."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tools.mend_records import is_lock, mend_records

LOCK = """schema: '2.0'
stages:
  configure:
    cmd: python -m stages.configure
    outs:
    - path: data/settings
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
      size: 10
      nfiles: 2
  train@vit+none-all:
    cmd: python -m stages.train
    deps:
    - path: data/shards
      hash: md5
      md5: fedcba9876543210fedcba9876543210.dir
      size: 99
      nfiles: 3
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with sound records."""
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").write_text('{"read": {}, "write": {}}')
    (tmp_path / "dvc.lock").write_text(LOCK)
    return tmp_path


def test_sound_records_stay_as_they_are(checkout: Path) -> None:
    """Byte for byte, and the command says that there was nothing to do."""
    assert not mend_records(checkout)
    assert (checkout / "dvc.lock").read_text() == LOCK
    assert (checkout / ".dvc/tmp/rwlock").exists()
    (checkout / "dvc.lock").unlink()
    (checkout / ".dvc/tmp/rwlock").unlink()
    assert not mend_records(checkout)


@pytest.mark.parametrize("length", range(0, len(LOCK), 7))
def test_a_lock_file_cut_anywhere_becomes_one_that_dvc_reads(checkout: Path, length: int) -> None:
    """Or none; whole stages stay."""
    path = checkout / "dvc.lock"
    path.write_text(LOCK[:length])
    mended = mend_records(checkout)
    assert mended != is_lock(LOCK[:length])
    if path.exists():
        assert is_lock(path.read_text())
        stages = YAML(typ="safe").load(path).get("stages", {})
        assert set(stages) <= {"configure", "train@vit+none-all"}
    if length > LOCK.index("  train@"):
        assert "configure" in path.read_text()


@pytest.mark.parametrize("text", ["", '{"write": {', "{}x"])
def test_a_list_of_busy_paths_that_was_cut_is_removed(checkout: Path, text: str) -> None:
    """DVC makes a new one."""
    (checkout / ".dvc/tmp/rwlock").write_text(text)
    assert mend_records(checkout)
    assert not (checkout / ".dvc/tmp/rwlock").exists()
