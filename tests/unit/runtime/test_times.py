"""Every stage leaves a line of what it cost, and says where the study stands; neither reaches an output."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from pipeline.runtime import times
from pipeline.runtime.console import progress, run_stage
from pipeline.runtime.errors import DatasetError
from pipeline.runtime.times import RECORDS, SCHEDULE, format_seconds, print_position


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own, as DVC's stage `train@vit+vit-all`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_STAGE", "train@vit+vit-all")
    monkeypatch.setattr(times, "_works", [])
    return tmp_path


def records() -> list[dict[str, object]]:
    """Return the lines that were appended."""
    return [json.loads(line) for line in RECORDS.read_text().splitlines()]


def test_a_stage_leaves_one_line() -> None:
    """Seconds, work, peak memory and device, below the user's checkout."""
    run_stage(lambda: list(progress(range(5), total=5, what="train", unit="sample")) and None)
    (record,) = records()
    assert record["stage"] == "train@vit+vit-all"
    assert record["done"] is True
    assert record["seconds"] > 0
    assert record["work"] == {"seconds": pytest.approx(0, abs=1), "amount": 5, "unit": "sample"}
    assert record["peak_bytes"] > 10_000_000
    assert str(record["device"]).startswith("CPU")


def test_a_stage_that_fails_leaves_a_part() -> None:
    """It is no finished run, and counts for the one that goes on."""

    def main() -> None:
        raise DatasetError("photo 7 is gone; put it back")

    with pytest.raises(SystemExit):
        run_stage(main)
    assert [record["done"] for record in records()] == [False]


@pytest.mark.parametrize("variable", [{"DVC_STAGE": None}, {"RANK": "1"}])
def test_nothing_is_written_outside_of_dvc_or_by_ranks_above_0(
    variable: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage started by hand is no part of the study's cost."""
    for name, value in variable.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    run_stage(lambda: None)
    assert not RECORDS.exists()


def test_a_record_that_cannot_be_written_stops_no_stage(checkout: Path) -> None:
    """The study matters more."""
    (checkout / ".times").write_text("a file, where the folder would be")
    run_stage(lambda: None)


def test_writers_side_by_side_lose_no_line() -> None:
    """Stages of several working copies append to one file."""
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(_append_many, range(4)))
    assert sorted(map(tuple, records())) == [(writer, n) for writer in range(4) for n in range(200)]


def _append_many(writer: int) -> None:
    for n in range(200):
        times._append(RECORDS, [writer, n])


def schedule(**stages: tuple[int | None, list[str]]) -> None:
    """Write what `configure` would, for a study of 10 stages."""
    entries = {
        name.replace("_", "@"): {"seconds": s and float(s), "reads": reads} for name, (s, reads) in stages.items()
    }
    SCHEDULE.parent.mkdir(exist_ok=True)
    SCHEDULE.write_text(json.dumps({"total": 10, "stages": entries}) + "\n")


def test_the_first_line_says_where_the_study_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """Seven stages need not run, so the first of three is the eighth; what ended since or was read is settled."""
    schedule(pair=(60, []), train_a=(3600, ["pair"]), train_b=(7200, ["pair"]))
    print_position("pair")
    print_position("train@a")
    times._append(SCHEDULE, ["train@a", 3000.0])
    print_position("train@b")
    assert capsys.readouterr().err.splitlines() == [
        "[8/10] pair: about 3 h 1 min left",
        "[9/10] train a: about 3 h 0 min left",
        "[10/10] train b: about 2 h 0 min left",
    ]


def test_a_stage_of_unknown_time_counts_as_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """As soon as one of its kind ended; what nothing tells is said."""
    schedule(train_a=(None, []), train_b=(None, []), report=(None, []))
    print_position("train@a")
    times._append(SCHEDULE, ["train@a", 120.0])
    print_position("train@b")
    assert capsys.readouterr().err.splitlines() == [
        "[8/10] train a: time left unknown",
        "[9/10] train b: about 2 min 0 s left, and 1 stage of unknown time",
    ]


def test_without_a_schedule_a_stage_runs_without_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    """As `python -m stages.train` does."""
    run_stage(lambda: None)
    SCHEDULE.parent.mkdir(exist_ok=True)
    SCHEDULE.write_text("{cut sho")
    run_stage(lambda: None)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.0, "59 s"), (200.0, "3 min 20 s"), (1300.0, "22 min"), (7800.0, "2 h 10 min")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    """No more digits than matter."""
    assert format_seconds(seconds) == text
