"""Accept that a change of code moved no byte of a study, so that it need not run again: `make accept`.

The last commit that wrote `dvc.lock` and the code as it lies here each make a small study of the stages whose code
changed. Only if all outputs are equal is DVC told that those of the big study stand, and `results/accepted.jsonl` says
who accepted what. What the small study does not run is not tried: docs/decisions/settings.md.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from ruamel.yaml import YAML

from pipeline.runtime.code_hash import PROJECT
from pipeline.runtime.console import note, run_stage
from pipeline.runtime.errors import PipelineError, counted
from tools.working_copy import RECORDS, copy_files, share_cache, shrink

CONFIGURE = "configure"
CODE = "data/code/"
LOCK = Path("dvc.lock")
ACCEPTED = Path("results/accepted.jsonl")
AT_MOST, EVERY = 3, 5
"""Of a stage with more items than `AT_MOST`, such as the grid's runs, every fifth is made."""
Hashes: TypeAlias = dict[tuple[str, str], str]
"""By stage and path of an output."""


class RefusedError(PipelineError):
    """The outputs cannot be accepted."""


def call(*command: str, folder: Path = Path(), log: Path | None = None) -> str:
    """Run a command in a folder and return what it printed; with `log`, write that to a file.

    Raises:
        RefusedError: If it fails.
    """
    python = [sys.executable, "-m", *command] if command[0] == "dvc" else [*command]
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(python, cwd=folder, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if log is not None:
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        last = " ".join((done.stderr or done.stdout).split())[-600:]
        raise RefusedError(f"`{' '.join(command[:3])}` failed{f', see {log}' if log else ''}: {last}")
    return done.stdout


def other_code() -> list[str]:
    """Return the stages of which the code changed since `dvc.lock`.

    Raises:
        RefusedError: If anything else changed, for instance a setting or an output.
    """
    status = json.loads(call("dvc", "status", "--json"))
    stages, others = [], []
    for stage in status.keys() - {CONFIGURE}:
        changes = [change if isinstance(change, dict) else {change: {"": ""}} for change in status[stage]]
        found = [
            (kind, path, how) for change in changes for kind, paths in change.items() for path, how in paths.items()
        ]
        others += [f"{stage}: {kind}: {path} {how}" for kind, path, how in found if not path.startswith(CODE)]
        stages.append(stage)
    if others:
        note("\n".join(sorted(others)))
        raise RefusedError(
            f"{counted(len(others), 'thing')} moved that is not code, see above; fetch outputs that are not here by "
            "`dvc pull`, restore damaged ones by `dvc checkout`, make others by `dvc repro`, then run this again"
        )
    return sorted(stages)


def recorded(folder: Path, kind: str) -> Hashes:
    """Return hashes of `dvc.lock`, of dependencies (`deps`) or outputs (`outs`)."""
    stages: dict[str, Any] = YAML(typ="safe").load(folder / LOCK)["stages"]
    return {(name, e["path"]): e["md5"] for name, stage in stages.items() for e in stage.get(kind, ())}


def unpack(commit: str, folder: Path) -> None:
    """Write the files of a commit, without those that tell of its study."""
    archive = subprocess.run(["git", "archive", commit], capture_output=True, check=True)  # noqa: S603, S607
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        kept = [member for member in files.getmembers() if not member.name.startswith(RECORDS)]
        files.extractall(folder, members=kept, filter="data")


def configure_small(folder: Path, cache: str) -> None:
    """Make a copy of the code a study of few photos and one epoch, which shares a cache."""
    share_cache(folder, cache)
    shrink(folder / "params.yaml")
    call("dvc", "repro", "--single-item", CONFIGURE, folder=folder)


def outputs_of(folder: Path, stages: list[str]) -> Hashes:
    """Run stages of a small study; return the hashes of all outputs that are there then."""
    call("dvc", "repro", *stages, folder=folder, log=Path(f".unfinished/accept-{folder.name}.log"))
    return {key: sha for key, sha in recorded(folder, "outs").items() if key[1] != CODE.rstrip("/")}


def some_of(stages: list[str]) -> list[str]:
    """Return the stages, of those with many items some."""
    items: dict[str, list[str]] = {}
    for stage in stages:
        items.setdefault(stage.partition("@")[0], []).append(stage)
    return [stage for group in items.values() for stage in (group if len(group) <= AT_MOST else group[::EVERY])]


def accept(base: str) -> None:
    """Compare both small studies, tell DVC, and record it.

    Raises:
        RefusedError: If an output moved, or there is nothing to compare with.
    """
    who = call("git", "var", "GIT_AUTHOR_IDENT").rpartition(">")[0] + ">"
    call("dvc", "repro", "--single-item", CONFIGURE)
    stages = other_code()
    if not stages:
        note("accept: no stage has other code than its outputs were made by")
        return
    tried = some_of(stages)
    note(f"accept: {counted(len(stages), 'stage')} of other code than at {base}")
    note(f"accept: a small study of both makes {', '.join(tried)}")
    Path(".unfinished").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="accept-", dir=".unfinished") as root:
        before, after = Path(root).absolute() / "before", Path(root).absolute() / "after"
        unpack(base, before)
        cache = call("dvc", "cache", "dir").strip()
        configure_small(before, cache)
        code = recorded(Path(), "deps")
        for stage in stages:
            path = f"{CODE}{stage.partition('@')[0]}.json"
            if hashlib.md5((before / path).read_bytes(), usedforsecurity=False).hexdigest() != code[stage, path]:
                raise RefusedError(f"{stage}: its outputs are not of the code of {base}; name the commit: BASE=...")
        copy_files(after)
        configure_small(after, cache)
        old, new = outputs_of(before, tried), outputs_of(after, tried)
    moved = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if moved:
        note("\n".join(f"{stage}: {path} moved" for stage, path in moved))
        raise RefusedError(f"{counted(len(moved), 'output')} moved, see above; `dvc repro` makes the study again")
    outputs = recorded(Path(), "outs")
    call("dvc", "commit", "--force", *stages)
    if recorded(Path(), "outs") != outputs or other_code():
        raise RefusedError("outputs changed meanwhile; `git checkout dvc.lock`, and run this again")
    lists = sorted(Path(CODE).glob("*.json"))
    record = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": who,
        "from": base,
        "to": call("git", "rev-parse", "HEAD").strip(),
        "edited": call("git", "status", "--porcelain", "--", *PROJECT, "dvc.yaml").split()[1::2],
        "code": hashlib.sha256(b"".join(path.read_bytes() for path in lists)).hexdigest(),
        "compared": [f"{stage}: {path}" for stage, path in sorted(new)],
        "stages": stages,
    }
    with ACCEPTED.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(record)}\n")
    note(f"accept: {counted(len(new), 'output')} equal; accepted {', '.join(stages)}; commit {LOCK} and {ACCEPTED}")


def main() -> None:
    """Accept, or leave `dvc.lock` as it was."""
    parser = argparse.ArgumentParser(description=__doc__)
    last = call("git", "log", "-1", "--format=%H", "--", str(LOCK)).strip()
    parser.add_argument(
        "--base", default=last, help="commit whose code made the outputs; default: the last of dvc.lock"
    )
    base, lock = parser.parse_args().base, LOCK.read_bytes()
    try:
        accept(call("git", "rev-parse", "--verify", f"{base}^{{commit}}").strip())
    except BaseException:
        LOCK.write_bytes(lock)
        raise


if __name__ == "__main__":
    run_stage(main)
