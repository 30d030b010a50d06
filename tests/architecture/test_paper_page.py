"""`docs/paper.md` has every part of the paper and of the released code, with a test that exists."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/paper.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
PIECES = TEXT.partition("| the released code |")[2].partition("\n\n")[0].splitlines()[2:]


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_every_test_named_exists(file: str, name: str) -> None:
    """A renamed test must be renamed on the page too."""
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("row", PIECES)
def test_every_piece_has_its_status_and_a_test(row: str) -> None:
    """Agrees, deviates or unknown, and the test that shows it."""
    _, status, _, _, tests = row.strip("| ").split(" | ")
    assert status.startswith(("agrees", "deviates", "unknown"))
    assert "::" in tests


def test_every_equation_and_table_has_its_row() -> None:
    """Equations 1 to 8 and Tables 2 to 12."""
    for part in (
        "equations 1 and 2",
        "equations 3 to 5",
        "equations 6 to 8",
        "Tables 2 to 4, 8 to 12",
        "Tables 5 to 7",
    ):
        assert f"| {part}" in TEXT


def switched(value: Any, key: str = "") -> Iterator[str]:
    """Yield the parameters that have a value for the recipe `released`, at any depth of the choice."""
    if isinstance(value, dict):
        if "released" in value:
            yield key
        for name, entry in value.items():
            yield from switched(entry, key if "default" in value else f"{key}.{name}".strip("."))


def test_every_parameter_of_the_released_recipe_has_its_row() -> None:
    """What the switch changes, the page explains; backbones share a row."""
    keys = set(switched(YAML(typ="safe").load(ROOT / "params.yaml")))
    assert {"train.schedule", "pair.geometry", "backbones.vit.weights"} <= keys
    named = {re.sub(r"^backbones\.\w+", "backbones.NAME", key) for key in keys}
    assert {key for key in named if f"`{key}: " not in TEXT} == set()
