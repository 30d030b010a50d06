"""Numbers and settings as the page shows them."""

import json
import math
from pathlib import Path

import pytest

from pipeline.reporting.page import chance, flatten, percent, place_name, read_settings, score
from pipeline.reporting.tables import points


def test_numbers_that_do_not_apply_are_dashes() -> None:
    """Never nan, None or zero."""
    assert {percent(None), percent(math.nan), score(None), score(math.nan), points(None)} == {"\N{EN DASH}"}


def test_changes_carry_a_true_sign() -> None:
    """A minus sign, not a hyphen."""
    assert (points(-0.1234), points(0.05), points(0.0)) == ("\N{MINUS SIGN}12.3", "+5.0", "+0.0")


def test_shares_are_per_cent_and_scores_are_not() -> None:
    """As the tables' heads say."""
    assert (percent(0.61076), percent(0.5, 0), score(0.44241)) == ("61.1", "50", "0.442")


def test_a_small_chance_is_not_none() -> None:
    """Softmax is never zero."""
    assert (chance(0.004), chance(0.006), chance(1.0)) == ("< 1 %", "1 %", "100 %")


def test_nested_settings_get_dotted_keys() -> None:
    """Values are plain words."""
    settings = {"demo": {"seed": 0, "flip": True}, "offsets": [[-30, 63], [60, -85]], "sha256": None, "exclude": []}
    assert flatten(settings) == {
        "demo.seed": "0", "demo.flip": "yes", "offsets": "(-30, 63), (60, -85)", "sha256": "none", "exclude": "none",
    }  # fmt: skip


def test_a_password_is_not_published() -> None:
    """Wherever it stands; but it is said that there is none."""
    assert flatten({"download": {"password": "secret"}}) == {"download.password": "hidden"}
    assert flatten({"password": None}) == {"password": "none"}


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("demo", "demo"),
        ("https://host/a/b.zip", "https://host/a/b.zip"),
        ("/home/me/data/FoodSeg103.zip", "FoodSeg103.zip"),
        ("file:///home/me/Food.zip", "Food.zip"),
        ("C:\\Users\\me\\Food.zip", "Food.zip"),
        ("~/food", "food"),
        ("vit_base_patch16_224.augreg_in1k", "vit_base_patch16_224.augreg_in1k"),
    ],
)
def test_a_path_of_this_machine_shows_its_last_part(source: str, shown: str) -> None:
    """Two machines with the same data make the same page."""
    assert place_name(source) == shown


def test_files_of_stages_come_before_those_of_folders(tmp_path: Path) -> None:
    """The order does not depend on the file system."""
    for name in ("backbones/vit", "train", "classes/all", "pair"):
        path = tmp_path / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"a": 1}))
    assert [name for name, _ in read_settings(tmp_path)] == ["pair", "train", "backbones/vit", "classes/all"]
