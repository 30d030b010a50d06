"""A copy of this checkout as it lies here, edits and new files included, for whoever tries something on it."""

import shutil
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
RECORDS = ("dvc.lock", "results/")
"""What tells of a study that was made here."""


def copy_files(folder: Path, *, without: tuple[str, ...] = RECORDS) -> None:
    """Copy what git tracks or would track.

    Args:
        folder: Where to; made if absent.
        without: Beginnings of paths to leave out.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],  # noqa: S607 - the user's git
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(without):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def share_cache(folder: Path, cache: Path | str) -> None:
    """Let a working copy, which is no git repository, use a cache of DVC."""
    (folder / ".dvc").mkdir(exist_ok=True)
    settings = f"[core]\n    no_scm = true\n[cache]\n    dir = {cache}\n"
    (folder / ".dvc/config.local").write_text(settings, encoding="utf-8")


def shrink(params: Path) -> None:
    """Set the parameters of a small study on the demo: few photos, one epoch, one process and thread a stage."""
    yaml = YAML()
    values = yaml.load(params)
    values["dataset"] = "demo"
    values["demo"] |= {"train_photos": 28, "test_photos": 16}
    values["runtime"]["workers"] = 1
    values["masks"]["photos_per_file"] = values["pair"]["photos_per_file"] = 16
    values["train"]["epochs"] = values["train"]["threads"] = 1
    yaml.dump(values, params)
