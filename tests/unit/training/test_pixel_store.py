"""Room for pixels in a file."""

from pathlib import Path

import pytest

from pipeline.training.pixel_store import reserve


@pytest.mark.parametrize("native", [True, False], ids=["fallocate", "written"])
def test_the_disk_has_room_for_all_of_the_file_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, native: bool
) -> None:
    """A sparse file whose disk fills up later would end the process by a signal (SIGBUS)."""
    if not native:
        monkeypatch.delattr("os.posix_fallocate")
    size = 3 * 2**20 + 5
    reserve(tmp_path / "pixels", size)
    status = (tmp_path / "pixels").stat()
    assert status.st_size == size
    assert status.st_blocks * 512 >= size
