"""A few kills at random moments; `make torture` does the same two hundred times over the whole graph."""

from pathlib import Path

import pytest

from tests.e2e.checkout import Checkout
from tests.torture.kills import Reference, kind_of, recorded, torture

pytestmark = pytest.mark.e2e
KILLS = 5
SECONDS = {
    "start": 3.0,
    "configure": 1.0,
    "download": 4.0,
    "index": 2.0,
    "mask_weights": 1.0,
    "segment": 2.0,
    "pair": 2.0,
}
"""About what stages take; where one is over before its kill, the next one is hit."""


def test_a_few_kills_lose_nothing(study: Checkout, tmp_path: Path) -> None:
    """Of the tree, of DVC alone, of one process: the same hashes, nothing done twice, nobody left running."""
    target = "pair@annotation"
    stages = {name: outs for name, outs in recorded(study).items() if kind_of(name) in SECONDS}
    base = study.clone(tmp_path / "base")
    params = base.folder / "params.yaml"
    params.write_text(params.read_text().replace("workers: 1 ", "workers: 2 "))  # of which one may be killed
    base.commit()
    kills = list(torture(base, Reference(stages, SECONDS), tmp_path, kills=KILLS, seed=8, targets=(target,)))
    assert len(kills) >= KILLS, "a kill meant for a stage that had just ended hits the next one"
    assert [kill for kill in kills if not kill.survived()] == []
