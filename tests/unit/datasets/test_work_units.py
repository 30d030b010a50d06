"""Planned files: plans, and making each once, whatever interrupts the work."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.index import Sample
from pipeline.datasets.work_units import (
    FILES,
    FINISHED,
    TOKEN,
    PlannedFile,
    RemoteResult,
    RemoteWriter,
    finish_files,
    group_by_photo,
    plan_files,
)
from pipeline.runtime.errors import DatasetError
from tests.strategies import named_sample


def table(**photos: list[int]) -> list[Sample]:
    """Return the table of splits given as numbers of samples per photo."""
    return [
        named_sample(f"{split}/{photo:04d}/{category}")
        for split, counts in photos.items()
        for photo, held in enumerate(counts)
        for category in range(held)
    ]


COUNTS = st.lists(st.integers(1, 5), max_size=12)


@settings(deadline=None)
@given(COUNTS, COUNTS, st.integers(1, 5))
def test_files_hold_every_sample_once_in_order(train: list[int], test: list[int], photos_per_file: int) -> None:
    """Joined, the files are the table; a photo is in one file, and no file has too many photos."""
    samples = table(train=train, test=test)
    planned = list(plan_files(samples, photos_per_file=photos_per_file))
    assert [held for file in planned for held in file.samples] == samples
    for file in planned:
        assert {held.split for held in file.samples} == {file.split}
        assert len({held.photo_id for held in file.samples}) <= photos_per_file
    homes = [(photo[0].photo_id, file.name) for file in planned for photo in group_by_photo(file.samples)]
    assert len(homes) == len({photo for photo, _ in homes}) == len(train) + len(test)


@settings(deadline=None)
@given(COUNTS, st.integers(1, 5))
def test_all_files_but_the_last_are_full(counts: list[int], photos_per_file: int) -> None:
    """Files are numbered from 0 and start where the one before ended."""
    planned = list(plan_files(table(test=counts), photos_per_file=photos_per_file))
    assert [file.name for file in planned] == [f"test-{number:05d}.parquet" for number in range(len(planned))]
    assert len(planned) == -(-len(counts) // photos_per_file)
    row = 0
    for file in planned:
        assert file.first_row == row
        row += len(file.samples)


def test_planning_reads_no_further_than_the_file_at_hand() -> None:
    """The first file is planned from a table without end."""
    endless = (named_sample(f"train/{photo}/1") for photo in count())
    assert next(plan_files(endless, photos_per_file=2)).samples == (
        named_sample("train/0/1"),
        named_sample("train/1/1"),
    )


def test_a_split_that_comes_twice_is_refused() -> None:
    """Files are numbered within a split, so its samples must be adjacent."""
    with pytest.raises(DatasetError, match="split 'train' are not adjacent"):
        list(
            plan_files(
                [named_sample("train/a/1"), named_sample("test/a/1"), named_sample("train/b/1")], photos_per_file=1
            )
        )


SAMPLES = [named_sample(f"test/{photo}/1") for photo in range(4)]


def plan() -> Iterator[PlannedFile]:
    """Plan four files of one photo."""
    return plan_files(SAMPLES, photos_per_file=1)


def write_name(planned: PlannedFile, path: Path) -> None:
    """Write the ids of the samples."""
    path.write_text("\n".join(sample.sample_id for sample in planned.samples))


class Recorder:
    """Writer that notes what it wrote and breaks down before one of the files."""

    def __init__(self, breaks_at: str | None = None) -> None:
        """Break down at the file of this name."""
        self.breaks_at, self.written = breaks_at, list[str]()

    def __call__(self, planned: PlannedFile, path: Path) -> None:
        """Write half a file and break down, or a whole one."""
        if planned.name == self.breaks_at:
            path.write_text("half")
            raise KeyboardInterrupt
        self.written.append(planned.name)
        write_name(planned, path)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_file_is_made_and_listed_in_order(tmp_path: Path, workers: int) -> None:
    """Entries come in planned order with rows and hashes, whatever the number of workers."""
    entries = list(finish_files(write_name, plan(), tmp_path, workers=workers))
    assert [entry.name for entry in entries] == [f"test-{number:05d}.parquet" for number in range(4)]
    assert {entry.rows for entry in entries} == {1}
    assert sorted(path.name for path in (tmp_path / FILES).iterdir()) == [entry.name for entry in entries]


def test_an_interruption_loses_only_the_file_in_flight(tmp_path: Path) -> None:
    """The second run makes the file that broke and those after it, none before it."""
    with pytest.raises(KeyboardInterrupt):
        list(finish_files(Recorder("test-00002.parquet"), plan(), tmp_path, workers=1))
    assert not (tmp_path / FILES / "test-00002.parquet").exists()
    again = Recorder()
    entries = list(finish_files(again, plan(), tmp_path, workers=1))
    assert again.written == ["test-00002.parquet", "test-00003.parquet"]
    other = tmp_path / "other"
    other.mkdir()
    assert entries == list(finish_files(write_name, plan(), other, workers=1))


def test_a_finished_file_that_was_damaged_is_made_anew(tmp_path: Path) -> None:
    """Resuming checks the hash of every finished file, and treats a damaged note like none."""
    list(finish_files(write_name, plan(), tmp_path, workers=1))
    (tmp_path / FILES / "test-00001.parquet").write_text("other")
    (tmp_path / FILES / "test-00002.parquet").unlink()
    (tmp_path / FINISHED / "test-00003.parquet.json").write_text('{"name": "te')
    again = Recorder()
    list(finish_files(again, plan(), tmp_path, workers=1))
    assert again.written == ["test-00001.parquet", "test-00002.parquet", "test-00003.parquet"]
    assert (tmp_path / FILES / "test-00001.parquet").read_text() == "test/1/1"


def test_a_machine_without_the_work_folder_sends_the_bytes(tmp_path: Path) -> None:
    """They end up as if they had been made here; one that sees the folder writes there."""
    expected = list(finish_files(write_name, plan(), _made(tmp_path / "expected"), workers=1))
    here = _made(tmp_path / "here")
    for part in (FILES, FINISHED):
        (here / part).mkdir()
    (here / TOKEN).write_text("token")
    seeing, blind = RemoteWriter(write_name, here, "token"), RemoteWriter(write_name, here, "of another machine")
    sent = [blind.finish((planned, False)) for planned in plan()]
    assert all(isinstance(done, RemoteResult) for done in sent)
    assert not list((here / FILES).iterdir())
    assert [seeing.receive(done) for done in sent] == expected
    assert [seeing.finish((planned, True)) for planned in plan()] == expected


def test_a_machine_without_the_work_folder_leaves_finished_files_alone(tmp_path: Path) -> None:
    """The machine that has them looks whether they are still right, and mends what is not."""
    expected = list(finish_files(write_name, plan(), tmp_path, workers=1))
    (tmp_path / FILES / "test-00001.parquet").write_text("damaged")
    writer = Recorder()
    blind = RemoteWriter(writer, tmp_path, "of another machine")
    sent = [blind.finish((planned, True)) for planned in plan()]
    assert writer.written == []
    assert [blind.receive(done) for done in sent] == expected
    assert writer.written == ["test-00001.parquet"]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
