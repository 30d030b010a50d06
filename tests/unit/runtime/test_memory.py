"""How much memory may be taken."""

import os
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from pipeline.runtime import resources as memory
from pipeline.runtime.resources import UNLIMITED, available_bytes


class Machine(NamedTuple):
    """Files in which Linux accounts for memory."""

    meminfo: Path
    groups: Path
    mounted: Path

    def limit(self, group: str, most: str, used: int, *, cached: int = 0) -> None:
        """Give a control group of version 2 a limit."""
        folder = self.mounted / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 7\nactive_file {cached}\ninactive_file {cached}\nfile 99999999\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with 4,096,000 bytes to spare and this process in a nested group."""
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:    4000 kB\n")
    (tmp_path / "groups").write_text("0::/slurm/job_7/step_0\n")
    return Machine(tmp_path / "meminfo", tmp_path / "groups", tmp_path / "mounted")


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [("max", 5, 4096_000), ("1000000", 400000, 600_000), ("1000", 4000, 0), ("9000000", 0, 4096_000)],
)
def test_the_tighter_of_machine_and_container_counts(machine: Machine, limit: str, used: int, expected: int) -> None:
    """A container may have less than the machine, even nothing, but never more; it sees its own group as the root."""
    machine.limit(".", limit, used)
    assert available_bytes(*machine) == expected


@pytest.mark.parametrize("group", ["slurm/job_7/step_0", "slurm/job_7", "slurm", "."])
def test_a_limit_of_any_group_around_the_process_counts(machine: Machine, group: str) -> None:
    """Slurm limits the job, systemd a slice, Docker in Docker a container further out."""
    for place in ("slurm/job_7/step_0", "slurm/job_7", "slurm"):
        machine.limit(place, "max", 0)
    machine.limit(group, "1000000", 250_000)
    assert available_bytes(*machine) == 750_000


def test_a_neighbours_limit_does_not_count(machine: Machine) -> None:
    """Only groups that hold this process bound it."""
    machine.limit("slurm/job_8", "1000", 1000)
    assert available_bytes(*machine) == 4096_000


def test_files_kept_in_memory_are_free(machine: Machine) -> None:
    """Reading a data set must not look like having no memory; shared memory, which `file` includes, is not free."""
    machine.limit("slurm/job_7", "1000000", 900_000, cached=300_000)
    assert available_bytes(*machine) == 700_000


def test_control_groups_of_version_1_count(machine: Machine) -> None:
    """Older clusters have the memory controller in a tree of its own."""
    machine.groups.write_text("4:cpu,cpuacct:/other\n9:memory:/slurm/job_7\n")
    folder = machine.mounted / "memory/slurm"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("1000000\n")
    (folder / "memory.usage_in_bytes").write_text("600000\n")
    (folder / "memory.stat").write_text("total_active_file 100000\ntotal_inactive_file 100000\n")
    assert available_bytes(*machine) == 600_000


def test_processes_of_one_machine_share_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four processes that train one run take together what one would."""
    monkeypatch.setattr(memory, "available_bytes", lambda: 8000)
    monkeypatch.delenv(memory.LOCAL_WORLD_SIZE, raising=False)
    assert memory.default_memory_budget() == 4000
    monkeypatch.setenv(memory.LOCAL_WORLD_SIZE, "4")
    assert memory.default_memory_budget() == 1000


def test_a_system_that_does_not_say_what_is_free_has_half_of_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no such files on macOS; where even the size is unknown, no limit is assumed."""
    nowhere = [tmp_path / name for name in ("meminfo", "groups", "mounted")]
    assert available_bytes(*nowhere) == psutil.virtual_memory().total // 2
    monkeypatch.delattr(os, "sysconf")
    assert available_bytes(*nowhere) == UNLIMITED


def test_this_machine_says() -> None:
    """More than a megabyte, less than all there could be."""
    assert available_bytes() > 10**6
