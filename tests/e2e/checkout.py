"""A copy of this checkout with its own git and DVC, for tests that do what a user does."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.reporting.grid import GRID_RUNS
from pipeline.runtime.stores import md5_of
from tests.guarded import guarded, without_network
from tools.working_copy import ROOT, copy_files, shrink

CACHE, CODE_HASHES = Path(".dvc/cache"), Path(".unfinished/hashes/code.json")
GRID = ("dvc.yaml", "pipeline/reporting/grid.py")
"""Files that list the runs of the graph."""
RUNS = {"mobilenetv2+vit-all", "mobilenetv2+none-all"}
"""Runs of the small study: the variant of `params.yaml`, and the ROI alone."""
MORE_RUNS = {"deit_distilled+deit_distilled-all", "mobilenetv2+mask_channel-all"}
"""What the study lacks: a distilled backbone in both branches, the mask as a channel."""


@dataclass(frozen=True)
class Checkout:
    """A folder and the environment of the commands run in it."""

    folder: Path
    """Root of the copy."""
    env: dict[str, str]
    """Environment of its commands."""

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command here, whatever comes of it."""
        return subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)  # noqa: S603

    def call(self, *command: str) -> str:
        """Run a command here and return what it printed; fail with that if it fails."""
        done = self.run(*command)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def refused(self, *command: str) -> str:
        """Run a command that must fail and return what it printed."""
        done = self.run(*command)
        assert done.returncode != 0, f"{' '.join(command)}\n{done.stdout[-3000:]}"
        return done.stdout + done.stderr

    def lock(self) -> dict[str, Any]:
        """Return the outputs' hashes by stage."""
        stages = YAML(typ="safe").load(self.folder / "dvc.lock")["stages"]
        return {name: stage["outs"] for name, stage in stages.items()}

    def cached(self, file: Path) -> Path:
        """Return where the cache has a file of these bytes, if it does."""
        name = md5_of(file)
        return self.folder / CACHE / "files/md5" / name[:2] / name[2:]

    def commit(self) -> None:
        """Commit everything, as a user would before an experiment."""
        self.call("git", "add", "-A")
        self.call("git", "commit", "-qm", "study")

    def reset(self) -> None:
        """Go back to the last commit, files of git and of DVC."""
        self.call("git", "checkout", "-q", "--", ".")
        self.call("dvc", "checkout", "-q", "--force")

    def shown(self, experiment: str, file: str) -> str:
        """Return a file of git as an experiment left it."""
        refs = self.call("git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
        (ref,) = (ref for ref in refs if ref.endswith(f"/{experiment}"))
        return self.call("git", "show", f"{ref}:{file}")

    def clone(self, folder: Path) -> "Checkout":
        """Clone by git alone, what somebody who joins has; and the hashes of code, which are found again otherwise."""
        self.call("git", "clone", "-q", str(self.folder), str(folder))
        (folder / CODE_HASHES).parent.mkdir(parents=True)
        shutil.copyfile(self.folder / CODE_HASHES, folder / CODE_HASHES)
        return Checkout(folder, environment(folder))

    def clone_with_cache(self, folder: Path) -> "Checkout":
        """Clone, and share what is in the cache by hard links; each side keeps what it adds to itself."""
        copy = self.clone(folder)
        shutil.copytree(self.folder / CACHE, folder / CACHE, copy_function=os.link)
        return copy

    def twin(self, folder: Path) -> "Checkout":
        """Clone with the cache, and copy the data."""
        copy = self.clone_with_cache(folder)
        shutil.copytree(self.folder / "data", folder / "data")
        return copy


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a copy: this Python first, DVC's own files beside the copy, a name for git."""
    who = {f"GIT_{role}_{field}": "test@example.org" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    site = str(folder.parent / f"{folder.name}.site")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    return (
        inherited
        | who
        | {"PATH": path, "OMP_WAIT_POLICY": "PASSIVE", "DVC_SITE_CACHE_DIR": site, "COLUMNS": "120"}
        | more
    )


def checkout(folder: Path, **env: str) -> Checkout:
    """Copy tracked and new files of this checkout, with a demo small enough for a test."""
    copy_files(folder)
    shrink(folder / "params.yaml")
    copy = Checkout(folder, environment(folder, **env))
    copy.call("git", "init", "-q", "-b", "main")
    copy.commit()
    return copy


def keep_runs(folder: Path, kept: set[str]) -> None:
    """Take all runs but some out of the graph and out of the code's list: DVC then has less to look through."""
    names = "|".join(re.escape(run.name) for run in GRID_RUNS if run.name not in kept)
    other = re.compile(rf"(?<![\w+])({names})(?![\w-])")
    graph, grid = (folder / name for name in GRID)
    lines = graph.read_text(encoding="utf-8").splitlines(keepends=True)
    graph.write_text("".join(line for line in lines if not other.search(line)), encoding="utf-8")
    with grid.open("a", encoding="utf-8") as code:
        for name in ("PAPER_RUNS", "GRID_RUNS"):
            code.write(f"{name} = tuple(run for run in {name} if run.name in {sorted(kept)})\n")


def put_runs_back(folder: Path) -> None:
    """Undo `keep_runs`."""
    for name in GRID:
        shutil.copyfile(ROOT / name, folder / name)


def network_log(copy: Checkout) -> Path:
    """Return the file in which `repro_offline` notes the processes it guarded and what they tried to reach."""
    return copy.folder.with_name(f"{copy.folder.name}.network")


def repro_offline(copy: Checkout) -> str:
    """Run `dvc repro` under guard, and where this user may do that without a network: no stage needs one."""
    return Checkout(copy.folder, copy.env | guarded(network_log(copy))).call(*without_network(), "dvc", "repro")


def ran(output: str) -> list[str]:
    """Return the stages that DVC says it ran."""
    return re.findall(r"Running stage '([^']+)'", output)
