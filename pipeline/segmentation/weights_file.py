"""Is a file the weights it should be? Asked before anything opens it."""

from pathlib import Path

from pipeline.errors import WeightsError
from pipeline.manifest import sha256_of
from pipeline.segmentation.official import OfficialFile


def check_file(path: Path, official: OfficialFile | None, sha256: str | None, *, wanted: str) -> str:
    """Return the SHA-256 of a file of weights.

    A file that bears the official name has to be the official one, unless `sha256` pins another.

    Args:
        path: File of weights.
        official: What the authors published for the architecture, if anything.
        sha256: Pinned SHA-256, if any.
        wanted: What to do instead, for the message.

    Raises:
        WeightsError: If the file is absent, a web page, truncated, or another one than pinned.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; {wanted}")
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if not start:
        raise WeightsError(f"{path}: an empty file; {wanted}")
    if start.startswith(b"<"):
        raise WeightsError(f"{path}: a web page instead of weights; {wanted}")
    same_name = official if official and official.name == path.name else None
    size = path.stat().st_size
    if same_name and not sha256 and size != same_name.size:
        raise WeightsError(f"{path}: {size} bytes, the official file has {same_name.size}; {wanted}")
    found, expected = sha256_of(path), sha256 or (same_name and same_name.sha256)
    if expected not in {None, found}:
        raise WeightsError(f"{path}: SHA-256 is {found}, not {expected}; {wanted}")
    return found
