"""Mend the records of a DVC that was killed while it wrote them: `make mend`, and `make repro` where it has to.

DVC writes `dvc.lock` and `.dvc/tmp/rwlock` in place. Cut short, the first is no YAML any more and the second no JSON,
and every later command refuses to start.
"""

import json
import re
import sys
from pathlib import Path

from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from voluptuous import Invalid

STAGE = re.compile(r"^  \S", re.MULTILINE)
"""Begin of a stage in `dvc.lock`."""


def is_lock(text: str) -> bool:
    """Tell whether DVC can read a lock file."""
    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
    except (YAMLError, Invalid):
        return False
    return True


def whole_stages(text: str) -> str:
    """Return a lock file without its last stage, which was cut short; empty if that is no lock file either.

    The stages that are lost come back from DVC's run cache: nothing runs again for want of their records.
    """
    *_, last = [0, *(match.start() for match in STAGE.finditer(text))]
    return text[:last] if is_lock(text[:last]) else ""


def mend_lock(path: Path) -> bool:
    """Keep the whole stages of a lock file that was cut short, or remove it; tell whether it was."""
    if not path.exists() or is_lock(text := path.read_text(encoding="utf-8", errors="replace")):
        return False
    kept = whole_stages(text)
    path.unlink()
    if kept:
        path.write_text(kept, encoding="utf-8")
    print(f"{path}: was cut short; kept {len(STAGE.findall(kept))} whole stages, DVC's run cache has the others")
    return True


def mend_rwlock(path: Path) -> bool:
    """Remove a list of busy paths that was cut short, while no DVC holds it; tell whether it was."""
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        path.unlink()
        print(f"{path}: was cut short; removed")
        return True
    return False


def mend_records(root: Path) -> bool:
    """Mend both records of the checkout at `root`; tell whether there was anything to mend."""
    return any([mend_lock(root / "dvc.lock"), mend_rwlock(root / ".dvc/tmp/rwlock")])


if __name__ == "__main__":
    sys.exit(not mend_records(Path()))
