"""Make one row of every (photo, category), and say in numbers and words what the data set holds."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import JsonValue

from pipeline.datasets.class_set import check_class_sets
from pipeline.datasets.extra import extra_folders, find_extra
from pipeline.datasets.index import Sample, read_samples, write_samples
from pipeline.datasets.index_summary import Duplicates, IndexSummary
from pipeline.datasets.official import (
    CATEGORY_FILE,
    SPLITS,
    PhotoFiles,
    find_listed,
    fold_name,
    load_category_names,
    number_categories,
)
from pipeline.datasets.problems import Problem, ProblemKind, ProblemLog
from pipeline.datasets.scan import Palettes, ScannedPhoto, Scanner
from pipeline.datasets.statistics import DatasetStats, listed
from pipeline.params.model import ClassSetParams
from pipeline.params.stages import IndexParams
from pipeline.runtime.console import note, progress
from pipeline.runtime.errors import DatasetError
from pipeline.runtime.parallel import map_ordered

UNFINISHED = "unfinished-"
"""Beginning of the name of the folder of rows without flags."""
PHOTOS_PER_TASK = 32
"""About 0.1 s of work, so that exchanges between processes cost nothing."""


def build_index(
    params: IndexParams, *, raw: Path, index: Path, workers: int, class_sets: Mapping[str, ClassSetParams] | None = None
) -> None:
    """Write `index/samples.parquet` and `index/summary.json`.

    Rows follow split (train, test), photo id and category id. Every photo is read once: rows go to a temporary table,
    and flags that depend on other photos are added in a second pass over these rows, which costs far less than a
    second pass over the photos. An interrupted scan starts anew: a core scans 250 photos a
    second, the official release in half a minute.

    What `class_sets` ask for and the data set does not have is said here, once, and becomes part of the data card.

    Raises:
        DatasetError: If the layout is not FoodSeg103's, palettes of label maps contradict each other, an id is also
            void, no sample is left, or `params.on_error` is `fail` and a photo cannot be used.
        ParamsError: If a class set leaves fewer than two categories to train on.
    """
    names = load_category_names(raw)
    categories = number_categories(names, (fold_name(folder.name) for folder in extra_folders(raw)))
    log = ProblemLog(params.on_error, raw)
    photos = _usable_files(raw, log)
    if both := sorted(names.keys() & set(params.void)):
        raise DatasetError(f"{raw / CATEGORY_FILE}: id {both[0]} is in index.void too; take it out of one of them")
    scanner, census = (
        Scanner(raw, categories, params.tiny_area, params.void),
        DatasetStats(categories, frozenset(names)),
    )
    index.mkdir(parents=True, exist_ok=True)
    for stale in index.glob(f"{UNFINISHED}*"):  # of a scan that was killed; DVC removes what it knows alone
        shutil.rmtree(stale)
    with TemporaryDirectory(dir=index, prefix=UNFINISHED) as folder:
        unflagged = Path(folder) / "samples.parquet"
        scanned = _scanned(scanner, photos, workers)
        write_samples(_usable_samples(scanned, census.duplicates, log), categories, unflagged)
        rows = write_samples(census.flagged(read_samples(unflagged)), categories, index / "samples.parquet")
    if not rows:
        reasons = [problem.message(raw) for problem in log] or ["the lists in ImageSets are empty"]
        raise DatasetError(f"{raw}: no usable sample; the first of {len(reasons)} reasons: {reasons[0]}")
    summary = census.summarise(params, _source(raw), log)
    notes = check_class_sets(class_sets or {}, summary.categories)
    for sentence in (*notes, *_losses(summary, index)):
        note(f"index: {sentence}")
    summary.model_copy(update={"data_card": (*summary.data_card, *notes)}).write(index / "summary.json")


def _losses(summary: IndexSummary, index: Path) -> Iterator[str]:
    """Say what no run will learn or be tested on."""
    if summary.only_in_test:
        names = listed(summary.only_in_test)
        yield f"Tested but never trained on, so that every run misses them: {names}."
    for kind, group in summary.problems.items():
        if group.left_out:
            first, all_of_them = group.findings[0], index / "summary.json"
            yield f"Left out for {kind}: {group.count}, first {first.file} ({first.detail}). All are in {all_of_them}."


def _usable_files(raw: Path, log: ProblemLog) -> list[PhotoFiles]:
    found = [*find_listed(raw), *find_extra(raw)]
    log.extend(item for item in found if isinstance(item, Problem))
    photos = [item for item in found if isinstance(item, PhotoFiles)]
    photos.sort(key=lambda files: (SPLITS.index(files.split), files.photo_id, files.photo_path))
    return list(_without_repeated_ids(photos, log))


def _without_repeated_ids(photos: Sequence[PhotoFiles], log: ProblemLog) -> Iterator[PhotoFiles]:
    for photo_id, group in groupby(photos, key=lambda files: files.photo_id):
        first, *others = group
        yield first
        for files in others:
            detail = f"becomes {photo_id}, as does {first.photo_path}"
            log.add(Problem(ProblemKind.PHOTO_ID_TWICE, files.photo_path, detail))


def _scanned(scanner: Scanner, photos: Sequence[PhotoFiles], workers: int) -> Iterator[ScannedPhoto | Problem]:
    rest = iter(photos)
    tasks = iter(lambda: list(islice(rest, PHOTOS_PER_TASK)), [])
    results = (result for task in map_ordered(scanner.scan_all, tasks, workers=workers) for result in task)
    return progress(results, total=len(photos), what="index", unit="photos")


def _usable_samples(
    scanned: Iterable[ScannedPhoto | Problem], duplicates: Duplicates, log: ProblemLog
) -> Iterator[Sample]:
    palettes = Palettes()
    for result in scanned:
        if isinstance(result, Problem):
            log.add(result)
        else:
            duplicates.add(result)
            if result.palette is not None:
                palettes.add(result.palette)
            yield from result.samples


def _source(raw: Path) -> dict[str, JsonValue] | None:
    path = raw / "source.json"
    if not path.exists():
        return None
    try:
        source = json.loads(path.read_bytes())
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON; run `dvc repro -f download`") from error
    if not isinstance(source, dict):
        raise DatasetError(f"{path}: no JSON object; run `dvc repro -f download`")
    return source
