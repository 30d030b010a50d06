"""Every `dvc exp run -S ...` of the documentation passes the checks of stage `configure`."""

import copy
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params.study import load_study

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMITTED: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
WRONG = {"roi=diet", "train.epoch=5", "seeds=1"}
"""Examples of mistakes."""


def commands_of(page: Path) -> Iterator[dict[str, Any]]:
    """Yield the overrides of each command, value by key; of a queue's values the first."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for command in re.findall(r"dvc exp run ([^\n`|#&;]+)", text):
        words = shlex.split(command)
        given = [word.removeprefix("+") for option, word in pairwise(words) if option == "-S" and word not in WRONG]
        pairs = [word.partition("=")[::2] for word in given if "..." not in word and "$" not in word]
        first = (lambda value: value.partition(",")[0]) if "--queue" in words else str
        yield {key: YAML(typ="safe").load(first(value)) for key, value in pairs}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_overrides_are_valid(page: Path, tmp_path: Path) -> None:
    """Those of a tutorial one after the other, since `-S` leaves its value in params.yaml; else command by command."""
    values = copy.deepcopy(COMMITTED)
    for overrides in filter(None, commands_of(page)):
        values = values if page.parent.name == "tutorials" else copy.deepcopy(COMMITTED)
        for key, value in overrides.items():
            *sections, name = key.split(".")
            section = values
            for part in sections:
                section = section[part]
            section[name] = value
        YAML(typ="safe").dump(values, tmp_path / "params.yaml")
        load_study(tmp_path / "params.yaml", recorded=[values["dataset"]])
