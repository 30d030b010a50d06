"""What counts as a change of code, and what does not."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime import code_hash
from pipeline.runtime.code_hash import code_sha256
from pipeline.runtime.resumable import code_hashes, hash_cache

BASE = '''"""A module."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.runtime import vector_width  # noqa: F401
from pipeline.runtime.console import note as say, progress
from pipeline.models import backbone

if TYPE_CHECKING:
    from pathlib import Path

LIMIT: int = 3
"""A limit."""


@dataclass
class Photo:
    """A photo."""

    name: str
    """Its name."""
    size: "Sequence[int]" = (1, 2)

    @property
    def area(self) -> int:
        """Return its area."""
        return self.size[0] * self.size[1]


@singledispatch
def shown(photo: Photo) -> str:
    raise ValueError(f"{photo.name!r:>{LIMIT}} is no photo")


def total(photos: Sequence[Photo], *, scale: float = 1.0) -> float:
    """Add them up."""
    areas: list[int] = [photo.area for photo in photos]
    say(f"{len(areas)} photos, the last is {photos[-1].name}")
    for photo in progress(photos, total=None, what="look", unit="photo"):
        shown(photo)
    return np.sum(areas) * scale + torch.tensor(1) + backbone.size(os.sep, json.dumps("é" "e"))
'''
NOTHING_MOVES = {
    "comment": ("LIMIT: int = 3", "# how many\nLIMIT: int = 3  # three"),
    "docstring of a module": ('"""A module."""', '"""Another text."""'),
    "docstring of a function": ('"""Add them up."""', ""),
    "docstring of a field": ('"""Its name."""', '"""Its name, as the folder has it."""'),
    "blank lines": ("\n\n\n", "\n\n\n\n\n"),
    "quotes and brackets": ('json.dumps("é" "e")', "(json).dumps(\n 'ée'\n)"),
    "order of imports": ("import json\nimport os\n", "import os, json\n"),
    "order of other packages": ("import numpy as np\nimport torch\n", "import torch\nimport numpy as np\n"),
    "label of a progress bar": ('what="look", unit="photo"', 'what="look at", unit="picture"'),
    "text of a note": ("photos, the last is {photos[-1].name}", "photos; {photos[-1].name} was last"),
    "block for type checkers": ("    from pathlib import Path", "    from pathlib import PurePath"),
    "annotation of a parameter": ("photos: Sequence[Photo]", "photos: list[Photo]"),
    "annotation of a result": (") -> float:", ") -> object:"),
    "annotation of a property": ("-> int", "-> float"),
    "annotation of a local variable": ("areas: list[int]", "areas"),
    "annotation of a constant": ("LIMIT: int", "LIMIT"),
    "an import for an annotation": ("import json", "import json\nfrom typing import Any, NamedTuple"),
}
SOMETHING_MOVES = {
    "constant": ("LIMIT: int = 3", "LIMIT: int = 4"),
    "type of a constant": ("LIMIT: int = 3", "LIMIT: int = 3.0"),
    "bytes": ('json.dumps("é" "e")', 'json.dumps(b"e")'),
    "default": ("scale: float = 1.0", "scale: float = 2.0"),
    "operator": ("* scale", "/ scale"),
    "text of an error": ("is no photo", "is not a photo"),
    "what a note shows": ("{len(areas)} photos", "{areas.pop()} photos"),
    "format of a value": ("!r:>", "!s:>"),
    "annotation of a field": ("name: str", "name: int"),
    "annotation that a decorator may read": ("shown(photo: Photo)", "shown(photo: str)"),
    "name of a local variable": ("areas", "sizes"),
    "order of this project's imports": (
        "from pipeline.runtime.console import note as say, progress\nfrom pipeline.models import backbone",
        "from pipeline.models import backbone\nfrom pipeline.runtime.console import note as say, progress",
    ),
    "this project before others": (
        "import torch\n\nfrom pipeline.runtime import vector_width",
        "\nfrom pipeline.runtime import vector_width\nimport torch",
    ),
    "import with an effect": ("import torch\n", "import torch\nimport cv2\n"),
    "order of statements": ("areas: list", "scale = 2 * scale\n    areas: list"),
    "base of a class": ("class Photo:", "class Photo(dict):"),
}
OTHERS = ("python3.11", "python3.12", "python3.13", "python3.14")
NO_PYTHON = 127
"""Exit status of pyenv's stand-in for a version that is not installed."""


def edited(old: str, new: str) -> bytes:
    """Return the module with a text replaced wherever it stands."""
    assert old in BASE
    return BASE.replace(old, new).encode()


@pytest.mark.parametrize("edit", NOTHING_MOVES)
def test_an_edit_that_cannot_change_a_result_moves_nothing(edit: str) -> None:
    """The hash stays, so DVC runs nothing."""
    assert code_sha256(edited(*NOTHING_MOVES[edit])) == code_sha256(BASE.encode())


@pytest.mark.parametrize("edit", SOMETHING_MOVES)
def test_an_edit_that_may_change_a_result_moves_the_hash(edit: str) -> None:
    """Also one of which only a reader would know that it does not."""
    assert code_sha256(edited(*SOMETHING_MOVES[edit])) != code_sha256(BASE.encode())


def test_only_edited_modules_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By content, wherever a module lies; a damaged file of hashes costs time, and no hash."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "root"))
    one, other, empty = (tmp_path / name for name in ("one.py", "other.py", "__init__.py"))
    cache = hash_cache("code")
    one.write_text(BASE)
    other.write_text("x = 1")
    empty.touch()
    hashes = {one: code_sha256(BASE.encode()), other: code_sha256(b"x = 1")}
    assert code_hashes([one, other, empty]) == hashes
    parsed: list[bytes] = []
    plain = code_hash.code_sha256
    monkeypatch.setattr(code_hash, "code_sha256", lambda source: parsed.append(source) or plain(source))
    assert code_hashes([other.rename(tmp_path / "moved.py")]) == {tmp_path / "moved.py": hashes[other]}
    one.write_text(edited("scale: float = 1.0", "scale: float = 2.0").decode())
    assert code_hashes([one])[one] not in hashes.values()
    assert parsed == [one.read_bytes()]
    cache.write_bytes(cache.read_bytes()[:-9])
    assert code_hashes([tmp_path / "moved.py"]) == {tmp_path / "moved.py": hashes[other]}
    assert len(list(cache.parent.iterdir())) == 1


def test_this_projects_own_code_keeps_its_hashes_in_another_form(root: Path, tmp_path: Path) -> None:
    """Every module, formatted by ruff to narrow lines and single quotes, and written anew from its tree."""
    for package in code_hash.PROJECT:
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    style = "--config=format.quote-style='single'"
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "ruff", "format", "-q", "--isolated", "--line-length=60", style, "."],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    modules = sorted(path for package in code_hash.PROJECT for path in (root / package).rglob("*.py"))
    assert len(modules) > 150
    for path in modules:
        source, other = path.read_bytes(), (tmp_path / path.relative_to(root)).read_bytes()
        assert {code_sha256(other), code_sha256(ast.unparse(ast.parse(source)).encode())} == {code_sha256(source)}, path


def test_the_hash_is_the_same_on_every_version_of_python(root: Path) -> None:
    """Another hash here means that an upgrade of Python would run everything again, silently."""
    assert code_sha256(BASE.encode()) == "5f2b0cdcb13b122e399074ecb1cb0204fde115720025149a4a1f974fe31ed78e"
    modules = sorted((root / "pipeline/runtime").glob("*.py"))
    here = [code_sha256(path.read_bytes()) for path in modules]
    script = (
        "import runpy, sys; hashed = runpy.run_path(sys.argv[1])['code_sha256'];"
        "print(*(hashed(open(name, 'rb').read()) for name in sys.argv[2:]))"
    )
    found = [*Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python"), *map(shutil.which, OTHERS)]
    for python in filter(None, found):
        done = subprocess.run(  # noqa: S603
            [python, "-c", script, code_hash.__file__, *modules], capture_output=True, text=True, check=False
        )
        if done.returncode != NO_PYTHON:
            assert done.stdout.split() == here, f"{python}: {done.stderr}"
