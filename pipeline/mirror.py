"""Outputs of the study on object storage, below `runtime.mirror`: each folder, and beside it DVC's list of its files.

`dvc.lock` has the MD5 of the list, the list those of the files: what the commit does not name is not believed.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import SourceError
from pipeline.stores import Place, StoredFolder, lent, mirrored

RECORD = Path("dvc.lock")
LIST = ".dir"
"""Ends the name of a list, as in DVC's cache."""
ADVICE = "run `python -m pipeline mirror` where the data is"


def nearest(folder: Path, mirror: str | None) -> Place:
    """Return a folder that a stage wrote if it is here, else its copy in the mirror, held to `dvc.lock`.

    Raises:
        SourceError: If the mirror does not have it as `dvc.lock` names it, or does not answer.
    """
    if mirror is None or folder.exists():
        return folder
    copy = f"{mirror.rstrip('/')}/{folder.as_posix()}"
    return StoredFolder(copy, read_list(folder, mirror, recorded().get(folder.as_posix())))


def read_list(folder: Path, mirror: str, md5: str | None) -> dict[str, str]:
    """Return the MD5 of every file of a mirrored folder by its path there.

    Args:
        folder: Path in the checkout.
        mirror: URL of the mirror.
        md5: Of the list, as `dvc.lock` spells it.

    Raises:
        SourceError: If there is no such list, or another one.
    """
    copy = mirrored(folder, mirror)
    try:
        with lent(mirrored(folder.parent, mirror), f"{folder.name}{LIST}") as path:
            content = path.read_bytes()
    except FileNotFoundError as error:
        raise SourceError(f"{copy}: is not there as a whole; {ADVICE}") from error
    if md5_of_list(content) != md5:
        raise SourceError(f"{copy}: is another one than {RECORD} names; {ADVICE}, or take the commit it was made from")
    return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}


def list_of(md5s: Mapping[str, str]) -> bytes:
    """Return DVC's list of files whose MD5 are given by path, to the byte."""
    return json.dumps([{"md5": md5s[path], "relpath": path} for path in sorted(md5s)], sort_keys=True).encode()


def md5_of_list(content: bytes) -> str:
    """Return the hash of a list as `dvc.lock` spells it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest() + LIST


def recorded() -> dict[str, str]:
    """Return the MD5 of every output that `dvc.lock` names, by path.

    Raises:
        SourceError: If it is absent or damaged.
    """
    try:
        stages = YAML(typ="safe").load(RECORD)["stages"]
        return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ())}
    except (OSError, YAMLError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{RECORD}: absent or damaged; take it from git: it says what a mirror must hold") from error
