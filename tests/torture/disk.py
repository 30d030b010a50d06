"""Run stages on a disk that is full at some moment, and compare what they say, leave and make with what they should."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from ruamel.yaml import YAML

from pipeline.runtime.manifest import sha256_of
from tests.e2e.checkout import Checkout, environment
from tests.forked import STAGES_NEED, Ended, Forked

LIBRARIES = "import matplotlib.figure, scipy.stats, timm\n"
"""What most stages import beside torch."""
FIRST = {"train@mobilenetv2+vit-all", "weights@vit"}
"""Stages that stand for their kind."""
ROOMY = 1_000_000
"""Kilobytes of a disk with room for everything."""


@contextmanager
def own_disk(folder: Path) -> Iterator[None]:
    """Mount a file system of its own, as far as this user and machine may."""
    folder.mkdir()
    mounted = subprocess.run(  # noqa: S603
        ["mount", "-t", "tmpfs", "-o", f"size={ROOMY}k", "tmpfs", str(folder)],  # noqa: S607
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip(f"no disk of its own without the right to mount: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607


def resize(disk: Path, kilobytes: int) -> None:
    """Give a mounted disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True)  # noqa: S603, S607


@dataclass(frozen=True)
class StageRun:
    """One stage of a study that has run."""

    name: str
    """Address, as DVC gives it."""
    command: tuple[str, ...]
    """What DVC runs."""
    outputs: tuple[str, ...]
    """Paths below the checkout."""


def one_of_every_kind(study: Checkout) -> tuple[StageRun, ...]:
    """Return one stage of every kind, from what DVC recorded; runs of two branches where there are."""
    recorded = YAML(typ="safe").load(study.folder / "dvc.lock")["stages"]
    chosen: dict[str, StageRun] = {}
    for name, stage in sorted(recorded.items(), key=lambda item: item[0] not in FIRST):
        outputs = tuple(out["path"] for out in stage["outs"])
        chosen.setdefault(name.partition("@")[0], StageRun(name, tuple(shlex.split(stage["cmd"])), outputs))
    return tuple(chosen.values())


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file below a folder, or of a file, by path."""
    files = [folder] if folder.is_file() else [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): sha256_of(path) for path in files}


class SmallDisk:
    """A finished study on a disk of its own, whose stages run again while it is full."""

    def __init__(self, study: Checkout, disk: Path) -> None:
        """Copy it there, without caches; its stages are forked, as torch would take most of their time to start."""
        self.disk, folder = disk, disk / "copy"
        left_out = shutil.ignore_patterns(".git", "cache", "tmp", ".unfinished")
        shutil.copytree(study.folder, folder, ignore=left_out)
        self.copy = Checkout(folder, environment(folder) | {"PYTHONDONTWRITEBYTECODE": "1"})
        self.forked = Forked(folder, disk.parent, STAGES_NEED + LIBRARIES, PYTHONDONTWRITEBYTECODE="1")

    def size(self, stage: StageRun) -> int:
        """Return the kilobytes of a stage's outputs."""
        paths = [self.copy.folder / output for output in stage.outputs]
        inside = [file for path in paths for file in path.rglob("*")]
        return sum(file.stat().st_size for file in (*paths, *inside) if file.is_file()) // 1024

    def wipe(self, stage: StageRun) -> None:
        """Remove a stage's outputs, as DVC does before it runs it."""
        for output in stage.outputs:
            path = self.copy.folder / output
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def run(self, stage: StageRun) -> Ended:
        """Run a stage as DVC would."""
        folder = self.copy.folder
        env = self.copy.env | {"DVC_STAGE": stage.name, "DVC_ROOT": str(folder)}
        return self.forked(*stage.command[1:], cwd=folder, env=env)

    def fill(self, stage: StageRun, dice: Random) -> str:
        """Run a stage with less room than it may need, then with enough; return what it said when the disk was full.

        Raises:
            AssertionError: If it failed in another way than by one line, touched what is not its own, or did not make
                the same bytes once there was room.
        """
        before = contents(self.copy.folder / "data")
        wanted, needed = {output: contents(self.copy.folder / output) for output in stage.outputs}, self.size(stage)
        self.wipe(stage)
        used = shutil.disk_usage(self.disk).used // 1024
        resize(self.disk, used + 1 + int(needed * dice.random()))
        tried = self.run(stage)
        resize(self.disk, ROOMY)
        if tried.returncode:
            one_line(tried.stderr)
            self.wipe(stage)
            again = self.run(stage)
            assert again.returncode == 0, again.stderr
        assert {output: contents(self.copy.folder / output) for output in stage.outputs} == wanted
        assert contents(self.copy.folder / "data") == before
        return tried.stderr if tried.returncode else ""


def one_line(text: str) -> None:
    """See that a stage ended with one line that says where, how much, and what to do."""
    assert "Traceback" not in text, text
    last = text.strip().splitlines()[-1]
    assert last.startswith("error: "), text
    assert "make room" in last or "free some space" in last, text
    assert "needed" in last, text
    assert "/" in last, text
