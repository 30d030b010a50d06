"""Write the sample table, one row a (photo, category), and the data set's statistics."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.datasets import layout
from pipeline.datasets.class_set import check_class_sets
from pipeline.datasets.coco import read_coco
from pipeline.datasets.formats import AnnotatedSet, Format, assign_splits, find_data_set
from pipeline.datasets.index import SCHEMA, SCHEMA_OF_OBJECTS, Sample, read_samples, write_samples
from pipeline.datasets.polygon_files import read_labelme, read_yolo
from pipeline.datasets.problems import Problem, ProblemKind, ProblemLog
from pipeline.datasets.scan import Palettes, ScannedPhoto, Scanner
from pipeline.datasets.splits import SPLITS, Drawable, draw_photos, original_of
from pipeline.datasets.statistics import DatasetStats, IndexSummary, listed
from pipeline.params.model import ClassSetParams
from pipeline.params.stages import IndexParams
from pipeline.runtime.console import note, progress
from pipeline.runtime.errors import DatasetError
from pipeline.runtime.parallel import map_ordered

UNFINISHED = "unfinished-"  # prefix of the temporary folder of rows without flags
READERS: dict[Format, Callable[[Path, Sequence[str]], AnnotatedSet]] = {
    "coco": read_coco,
    "yolo": read_yolo,
    "labelme": read_labelme,
}
"""Readers of data sets whose annotation is objects."""
PHOTOS_PER_TASK = 32  # about 0.1 s of work, so that communication between processes costs nothing


def build_index(
    params: IndexParams, *, raw: Path, index: Path, workers: int, class_sets: Mapping[str, ClassSetParams] | None = None
) -> None:
    """Write `index/samples.parquet` and `index/summary.json`.

    Rows are in the order of split (train, validation, test), photo id and category id. Every photo is read once: rows
    go to a temporary table, and further passes over them add what depends on other photos, split and flags. An
    interrupted scan starts anew: a core scans 250 photos a second, the official release in half a minute.

    What `class_sets` ask for and the data set lacks is printed and added to the data card.

    Raises:
        DatasetError: If the layout is not FoodSeg103's, palettes of label maps contradict each other, an id is also
            void, no sample is left, or `params.on_error` is `fail` and a photo cannot be used.
        ParamsError: If a class set leaves fewer than two categories to train on.
    """
    problems = ProblemLog(params.on_error, raw)
    data_set, names, found, split_notes = _find_photos(params, raw)
    photos = _usable_files([*found, *layout.find_extra(raw)], problems)
    has_own = any(files.split == "validation" for files in photos)
    extra = (layout.fold_name(folder.name) for folder in layout.extra_folders(raw))
    categories = layout.number_categories(names, extra, background=None if data_set in READERS else layout.BACKGROUND)
    scanner = Scanner(raw, categories, params.tiny_area, params.void, params.unit)
    stats = DatasetStats(categories, frozenset(names))
    index.mkdir(parents=True, exist_ok=True)
    for stale in index.glob(f"{UNFINISHED}*"):  # of a scan that was killed; DVC removes only what it knows
        shutil.rmtree(stale)
    with TemporaryDirectory(dir=index, prefix=UNFINISHED) as folder:
        unflagged = Path(folder) / "samples.parquet"
        rest = iter(photos)
        tasks = iter(lambda: list(islice(rest, PHOTOS_PER_TASK)), [])
        results = chain.from_iterable(map_ordered(scanner.scan_all, tasks, workers=workers))
        scanned = progress(results, total=len(photos), what="index", unit="photos")
        trained: list[Drawable] = []
        columns = SCHEMA_OF_OBJECTS if data_set in READERS else SCHEMA
        write_samples(_usable_samples(scanned, stats, problems, trained), categories, unflagged, columns)
        validation = draw_photos(trained, 0.0 if has_own else params.validation, params.seed)
        split_anew = (
            replace(sample, split=split)
            for split in SPLITS
            for sample in read_samples(unflagged)
            if split == ("validation" if sample.photo_id in validation else sample.split)
        )
        rows = write_samples(stats.add_flags(split_anew), categories, index / "samples.parquet", columns)
    if not rows:
        reasons = [problem.message(raw) for problem in problems] or ["no photo is listed"]
        raise DatasetError(f"{raw}: no usable sample; the first of {len(reasons)} reasons: {reasons[0]}")
    summary = stats.summarise(params, problems)
    notes = (*split_notes, *check_class_sets(class_sets or {}, summary.categories))
    for sentence in (*notes, *_lost_samples(summary, index)):
        note(f"index: {sentence}")
    summary.model_copy(update={"data_card": (*summary.data_card, *notes)}).write(index / "summary.json")


def _lost_samples(summary: IndexSummary, index: Path) -> Iterator[str]:
    if summary.only_in_test:
        names = listed(summary.only_in_test)
        yield f"Tested but never trained on, so that every run misses them: {names}."
    for kind, group in summary.problems.items():
        if group.left_out:
            first, path = group.findings[0], index / "summary.json"
            yield f"Left out for {kind}: {group.count}, first {first.file} ({first.detail}). All are in {path}."


def _find_photos(
    params: IndexParams, raw: Path
) -> tuple[Format, dict[int, str], list[layout.PhotoFiles | Problem], list[str]]:
    """Return the format of data/raw, category names by id, photos with problems, and sentences on the splits.

    Raises:
        DatasetError: If the annotation is malformed, or `params` ask for what the data set has not.
    """
    paths = [path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file()]
    try:
        data_set, _, files, _ = find_data_set(paths)
    except ValueError:
        data_set, files = "official", ()  # whose reader says what is absent
    if data_set == "official":
        names = layout.load_category_names(raw)
        if both := sorted(names.keys() & set(params.void)):
            place = raw / layout.CATEGORY_FILE
            raise DatasetError(f"{place}: id {both[0]} is in index.void too; take it out of one of them")
        if params.unit == "object":
            raise DatasetError(f"{raw}: label maps do not tell objects of a category apart; set index.unit to category")
        return data_set, names, list(layout.find_listed(raw)), []
    annotated = READERS[data_set](raw, files)
    photos, sentences = assign_splits(annotated.photos, params)
    return data_set, annotated.names, [*photos, *annotated.problems], sentences


def _usable_files(found: Sequence[layout.PhotoFiles | Problem], problems: ProblemLog) -> list[layout.PhotoFiles]:
    """Return the photos in row order; of photos with the same id, the first."""
    problems.add(*(item for item in found if isinstance(item, Problem)))
    photos: dict[str, layout.PhotoFiles] = {}
    for files in sorted(
        (item for item in found if isinstance(item, layout.PhotoFiles)),
        key=lambda files: (SPLITS.index(files.split), files.photo_id, files.photo_path),
    ):
        first = photos.setdefault(files.photo_id, files)
        if first is not files:
            detail = f"becomes {files.photo_id}, as does {first.photo_path}"
            problems.add(Problem(ProblemKind.PHOTO_ID_TWICE, files.photo_path, detail))
    return list(photos.values())


def _usable_samples(
    scanned: Iterable[ScannedPhoto | Problem], stats: DatasetStats, problems: ProblemLog, trained: list[Drawable]
) -> Iterator[Sample]:
    """Yield the samples of usable photos; the photos of split train are also added to `trained`."""
    palettes = Palettes()
    for result in scanned:
        if isinstance(result, Problem):
            problems.add(result)
        else:
            problems.add(*result.problems)
            if not result.samples:
                continue
            stats.duplicates.add(result)
            first = result.samples[0]
            if first.split == "train":
                foods = frozenset(sample.category_id for sample in result.samples)
                content = original_of(first.photo_path) or first.photo_sha256
                trained.append(Drawable(first.photo_id, content, foods))
            if result.palette is not None:
                palettes.add(result.palette)
            yield from result.samples
