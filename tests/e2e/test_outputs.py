"""What a study gives away: nothing about the machine, its user, or where the checkout lay."""

import getpass
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.checkout import Checkout

pytestmark = pytest.mark.e2e
SECRETS = re.compile(
    rb"AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{36}|hf_[0-9A-Za-z]{34}|xox[abp]-[0-9A-Za-z-]{10}"
    rb"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
"""Keys of AWS, GitHub, Hugging Face and Slack, and private keys."""

SHORTEST = 6
"""Bytes under which a name says nothing, since compressed data holds it by chance."""


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, and of a table also what its compression hides: metadata and text."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield repr(table.schema.metadata).encode()
        for name in table.column_names:
            if pa.types.is_string(table.schema.field(name).type):
                yield "\n".join(filter(None, table[name].to_pylist())).encode()


def told(study: Checkout) -> dict[str, bytes]:
    """Return what must not be told, by what it is."""
    user, host = getpass.getuser(), platform.node()
    secrets = {
        "checkout": str(study.folder).encode(),
        "folder above it": str(study.folder.parent).encode(),
        "home": f"{Path.home()}/".encode(),
        "host": host.encode(),
        "user": f"{user}@".encode(),
        "home of the user": f"/home/{user}".encode(),
    }
    # Three letters stand in any photo by chance.
    return {what: text for what, text in secrets.items() if len(text) >= SHORTEST}


def findings(folder: Path, secrets: dict[str, bytes]) -> list[str]:
    """Return the files below a folder that tell a secret, and which."""
    return [
        f"{path.relative_to(folder)} tells the {what}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for piece in pieces(path)
        for what in [
            *(name for name, text in secrets.items() if text in piece),
            *("key" for _ in SECRETS.finditer(piece)),
        ]
    ]


@pytest.mark.parametrize("part", ["data", "results"])
def test_no_output_tells_where_or_by_whom_it_was_made(part: str, study: Checkout) -> None:
    """Thousands of files, tables included: they are shared with a team and the world."""
    assert any((study.folder / part).rglob("*.json"))
    assert findings(study.folder / part, told(study)) == []


def test_the_search_finds_what_is_there(tmp_path: Path, study: Checkout) -> None:
    """Plain, and inside a compressed table."""
    (tmp_path / "plain.json").write_text(f'{{"path": "{study.folder}/data"}}', encoding="utf-8")
    column = pa.array([f"{study.folder}/photo.jpg"] * 9)
    pq.write_table(pa.table({"path": column}), tmp_path / "table.parquet", compression="zstd")
    (tmp_path / "key.txt").write_text("hf_" + "a" * 34, encoding="utf-8")
    found = findings(tmp_path, {"checkout": str(study.folder).encode()})
    assert found[0] == "key.txt tells the key"
    assert {line.split()[0] for line in found} == {"key.txt", "plain.json", "table.parquet"}


def test_git_tracks_no_key(study: Checkout) -> None:
    """Nor does the code."""
    tracked = study.call("git", "ls-files").split("\n")
    assert [name for name in tracked if name and SECRETS.search((study.folder / name).read_bytes())] == []
