"""Remove damaged objects from DVC's cache: `make mend`. `dvc pull` or `dvc repro` then brings back what is missing.

DVC trusts a read-only object of its local cache without looking; a disk that lost bits would go unnoticed.
"""

from collections.abc import Iterator
from pathlib import Path

from dvc.repo import Repo

from pipeline.runtime.stores import md5_of


def damaged(objects: Path) -> Iterator[Path]:
    """Yield the objects whose bytes do not hash to their name, sorted; `objects` is `files/md5` of a cache."""
    for path in sorted(objects.glob("[0-9a-f][0-9a-f]/*")):
        if md5_of(path) != f"{path.parent.name}{path.name.removesuffix('.dir')}":
            yield path


def mend(root: Path) -> None:
    """Remove and name the damaged objects of the checkout at `root`."""
    found = list(damaged(Path(Repo(str(root)).cache.local.path)))
    for path in found:
        path.unlink()
        print(f"removed {path}")
    print(
        f"{len(found)} damaged objects"
        + (": now `dvc pull` or `dvc repro`, then `dvc checkout --relink`" * bool(found))
    )


if __name__ == "__main__":
    mend(Path())
