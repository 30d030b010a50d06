"""What a row of the table says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import Cost, cost_of, ratios, take_turns
from benchmarks.row import Row, write_rows
from tests.skips import LINUX_ONLY


@pytest.mark.parametrize(
    ("sense", "measured", "reached"),
    [("at least", (2.0, 9.0, 3.0), True), ("at least", (2.0, 9.0, 2.9), False), ("at most", (2.0, 9.0, 2.9), True)],
)
def test_the_middle_ratio_decides(sense: str, measured: tuple[float, ...], *, reached: bool) -> None:
    """One lucky or unlucky round does not."""
    row = Row("a part", "times another", 3, sense, measured)  # type: ignore[arg-type]
    assert row.reached is reached
    assert ("MISS" in row.line()) is not reached


def test_what_was_not_measured_is_no_number(tmp_path: Path) -> None:
    """It says why, and is neither reached nor missed."""
    row = Row("a part", "times another", 3, missing="no GPU")
    assert row.reached is None
    assert "not measured (no GPU)" in row.line()
    write_rows([row], {"cores": 2}, tmp_path / "bench/rows.json")
    stored = json.loads((tmp_path / "bench/rows.json").read_text())
    assert stored["cores"] == 2
    assert "median" not in stored["rows"][0]


def test_contenders_take_turns() -> None:
    """A busy minute meets all of them."""
    turns: list[str] = []
    take_turns({"ours": lambda: turns.append("ours"), "plain": lambda: turns.append("plain")}, rounds=2)
    assert turns == ["ours", "plain", "ours", "plain"]


def test_ratios_are_of_processor_time_round_by_round() -> None:
    """The clock of a shared machine says little."""
    assert ratios((Cost(6, 1), Cost(8, 1)), (Cost(2, 50), Cost(4, 50))) == (3, 2)
    assert cost_of(lambda: sum(range(100_000))).cpu > 0


@LINUX_ONLY
def test_the_peak_of_memory_is_seen(root: Path) -> None:
    """Also of memory that is given back before the end; in a process that has no freed memory to take it from."""
    code = (
        "import numpy as np; from benchmarks.measure import memory_watched\n"
        "with memory_watched() as peak:\n"
        "    held = np.ones(60_000_000, np.uint8); held[0] = held[-1] + 1\n"
        "print(peak.bytes)"
    )
    seen = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)  # noqa: S603
    assert int(seen.stdout) > 50_000_000
