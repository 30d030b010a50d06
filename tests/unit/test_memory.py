"""How much memory may be taken."""

from pathlib import Path

import pytest

from pipeline.memory import UNKNOWN, available_bytes


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [("max", "5", 4096_000), ("1000000", "400000", 600_000), ("1000", "4000", 0), ("9000000", "0", 4096_000)],
)
def test_the_tighter_of_machine_and_container_counts(tmp_path: Path, limit: str, used: str, expected: int) -> None:
    """A container may have less than the machine, even nothing, but never more."""
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:    4000 kB\n")
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    assert available_bytes(tmp_path / "meminfo", tmp_path) == expected


def test_a_system_that_does_not_say_holds_nothing_back(tmp_path: Path) -> None:
    """Other systems have no such files."""
    assert available_bytes(tmp_path / "meminfo", tmp_path) == UNKNOWN


def test_this_machine_says() -> None:
    """More than a megabyte, less than all there could be."""
    assert available_bytes() > 10**6
