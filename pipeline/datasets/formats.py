"""Formats of data sets, told apart by the paths of their files: the official layout, COCO, YOLO and labelme."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Literal, NamedTuple, TypeAlias

from pipeline.datasets.layout import EXTRA, UNPRINTABLE, PhotoFiles, is_clutter, is_picture, stem_of
from pipeline.datasets.objects import AnnotatedObject
from pipeline.datasets.problems import Problem, ProblemKind
from pipeline.datasets.splits import Drawable, draw_photos, original_of
from pipeline.params.stages import IndexParams, TestSplit
from pipeline.runtime.errors import DatasetError, counted

Format: TypeAlias = Literal["official", "coco", "yolo", "labelme"]  # how photos and their annotation are stored
MAX_DEPTH = 2  # needless folders above a data set
TEST_SPLITS: tuple[TestSplit, ...] = ("test", "val")  # splits to test on, the first that a data set has
MAX_SHOWN = 5  # suffixes that a message names
PARTS = (
    *("Images/img_dir/train", "Images/img_dir/test", "Images/ann_dir/train", "Images/ann_dir/test"),
    *("ImageSets/train.txt", "ImageSets/test.txt", "category_id.txt"),
)
"""What the official layout needs: files, and folders that hold at least one file."""
EXPECTED = (
    "the official layout (Images/img_dir, Images/ann_dir, ImageSets, category_id.txt), COCO (annotations/*.json or "
    "train/_annotations.coco.json with the photos), YOLO segmentation (data.yaml, images, labels) or labelme "
    "(a JSON file beside each photo); see docs/data.md"
)

_OFFICIAL = re.compile(r"Images/(img_dir|ann_dir)/(train|test)/[^/]+|ImageSets/(train|test)\.txt|category_id\.txt")
_SPLIT = re.compile(r"(?<![a-z])(train|training|val|valid|validation|test|testing)(?![a-z])", re.IGNORECASE)
_MARKS: dict[Format, re.Pattern[str]] = {
    "official": re.compile(r"Images/(img_dir|ann_dir)/"),
    "yolo": re.compile(r"[^/]+\.ya?ml$|classes\.txt$", re.IGNORECASE),
    "coco": re.compile(rf"(annotations/|[^/]*{_SPLIT.pattern}[^/]*/)?[^/]+\.json$", re.IGNORECASE),
}
"""A file below the top folder that only this format has."""
_YOLO_LABELS = re.compile(r"(.+/)?labels/(.+/)?[^/]+\.txt")
_OTHERS = {
    r"(^|/)meta\.json$": "Supervisely: export it there as COCO",
    r"\.xml$": "Pascal VOC or CVAT's XML: export it as COCO",
    r"\.(parquet|arrow)$": "Parquet: export it as COCO, or give the original files",
    r"\.(zip|tar|tgz|gz|7z|rar)$": "an archive inside: unpack it first",
    r"(^|/)(masks?|ann|annotations?|labels?)/.+\.(png|bmp|tiff?)$": (
        "label maps in other folders: move photos and label maps into the official layout"
    ),
}
"""What data sets of other formats have, and the nearest way to a supported one."""


class FoundDataSet(NamedTuple):
    """A data set among files."""

    format: Format
    top: str  # folders above it, to be left out: "", "<folder>/" or "<folder>/<folder>/"; "" for labelme
    files: tuple[str, ...]  # its files, sorted, as paths below `top`
    ignored: tuple[str, ...]  # all other paths


class AnnotatedPhoto(NamedTuple):
    """A photo with its objects."""

    path: str  # path below data/raw
    annotation_path: str  # path below data/raw of the file that names its objects
    split: str | None  # `train`, `val` or `test`; None where nothing says it
    size: tuple[int, int] | None  # height and width by its annotation, `RELATIVE` if coordinates are; None if unsaid
    objects: tuple[AnnotatedObject, ...]  # at least one


class AnnotatedSet(NamedTuple):
    """A data set whose annotation is objects."""

    names: dict[int, str]  # folded name of each category by id
    photos: list[AnnotatedPhoto]  # in any order
    problems: list[Problem]  # what was left out, and why

    def add(self, photo: AnnotatedPhoto) -> None:
        """Add a photo, or the problem that prevents its use; it may have no object."""
        if not photo.path.isprintable():
            self.problems.append(Problem(ProblemKind.NAME_UNUSABLE, photo.path, UNPRINTABLE))
        elif photo.objects:
            self.photos.append(photo)
        else:
            detail = f"{photo.annotation_path} has no usable object of it"
            self.problems.append(Problem(ProblemKind.PHOTO_WITHOUT_OBJECTS, photo.path, detail))


def assign_splits(photos: Sequence[AnnotatedPhoto], params: IndexParams) -> tuple[list[PhotoFiles], list[str]]:
    """Return photos with ids and splits, and sentences on where the splits come from.

    Photos of no split are trained on. `test` is the test split, or `val` where `test` is absent or `params.test` says
    so; `val` is else the validation split. Without any of them beside photos to train on, a share of all is drawn.

    Raises:
        DatasetError: If there is no such test split, or nothing is left to train on.
    """
    by_split: defaultdict[str, list[AnnotatedPhoto]] = defaultdict(list)
    for photo in photos:
        by_split[photo.split or "train"].append(photo)
    has = ", ".join(f"{split} ({counted(len(found), 'photo')})" for split, found in sorted(by_split.items()))
    test = params.test
    if test == "auto":
        test = next((name for name in TEST_SPLITS if name in by_split and "train" in by_split), "draw")
    if test == "draw":
        drawable = [
            Drawable(p.path, original_of(p.path) or p.path, frozenset(each.category_id for each in p.objects))
            for p in photos
        ]
        drawn = draw_photos(drawable, params.test_share, params.seed)
        chosen = {"train": [p for p in photos if p.path not in drawn], "test": [p for p in photos if p.path in drawn]}
        sentence = (
            f"No test split was given: {len(drawn):,} of {counted(len(photos), 'photo')} were drawn for it, stratified "
            f"by category (index.test_share {params.test_share:g}, index.seed {params.seed})."
        )
    elif not by_split[test] or not by_split["train"]:
        raise DatasetError(f"index.test is {test}, but the splits are {has}; set it to auto, val, test or draw")
    else:
        chosen = {"train": by_split["train"], "test": by_split[test]}
        sentence = f"Its splits are {has}: {test} is the test split"
        if test == "test" and by_split["val"]:
            chosen["validation"] = by_split["val"]
            sentence += ", val the validation split (index.test: val would test on it)"
        elif by_split["test"] and test == "val":
            sentence += ", test is not used (index.test: test would test on it)"
        sentence += "."
    return [files for split, found in chosen.items() for files in _files_of(split, found)], [sentence]


def _files_of(split: str, photos: Sequence[AnnotatedPhoto]) -> Iterator[PhotoFiles]:
    """Yield the photos of a split, with ids of their stems, or of their paths where stems are not unique."""
    stems = Counter(stem_of(PurePosixPath(photo.path).name) for photo in photos)
    for photo in photos:
        stem = stem_of(PurePosixPath(photo.path).name)
        yield PhotoFiles(
            photo_id=f"{split}/{stem if stems[stem] == 1 else stem_of(photo.path).replace('/', '-')}",
            split=split,
            photo_path=photo.path,
            annotation_path=photo.annotation_path,
            objects=photo.objects,
            annotated_size=photo.size,
        )


def find_data_set(paths: Collection[str]) -> FoundDataSet:
    """Find the data set among all files of a folder or an archive, given by relative paths with forward slashes.

    Raises:
        ValueError: If there is none, or more than one, or the official layout lacks a part; the message says what was
            found, what was expected, and how to get there.
    """
    usable = [path for path in paths if not is_clutter(PurePosixPath(path))]
    for name in _formats(usable):
        tops = _tops(usable, _MARKS[name]) if name in _MARKS else [""]
        if len(tops) > 1:
            raise ValueError(f"holds {len(tops)} data sets, {', '.join(tops)}; give the path of one of them")
        for top in tops:
            below = sorted(path.removeprefix(top) for path in usable if path.startswith(top))
            files = tuple(path for path in below if _belongs(path, name))
            if name == "official" and (
                absent := [part for part in PARTS if not any(f"{path}/".startswith(f"{part}/") for path in files)]
            ):
                raise ValueError(f"not in the official layout: {', '.join(absent)} absent or empty")
            if name == "official" or any(map(is_picture, files)):
                return FoundDataSet(name, top, files, tuple(set(paths) - {top + file for file in files}))
    raise ValueError(f"{_found(usable)}; expected {EXPECTED}")


def split_of(path: str) -> str | None:
    """Return `train`, `val` or `test`, as the last such word in a path says; None without one."""
    words = _SPLIT.findall(path)
    return {"tra": "train", "val": "val", "tes": "test"}[words[-1][:3].lower()] if words else None


def _formats(paths: Collection[str]) -> Iterator[Format]:
    """Yield the formats that the paths may have, the most specific first."""
    yield "official"
    if any(map(_YOLO_LABELS.fullmatch, paths)):
        yield "yolo"
    jsons = [path for path in paths if path.lower().endswith(".json")]
    photos = {path.rpartition(".")[0] for path in paths if is_picture(path)}
    if 2 * sum(path.rpartition(".")[0] in photos for path in jsons) > len(jsons):
        yield "labelme"
    elif jsons:
        yield "coco"


def _tops(paths: Collection[str], mark: re.Pattern[str]) -> list[str]:
    """Return the folders, all at the least depth, below which a path begins with `mark`."""
    for depth in range(MAX_DEPTH + 1):
        split = (path.split("/", depth) for path in paths)
        tops = {"/".join([*parts[:depth], ""]) for parts in split if len(parts) > depth and mark.match(parts[depth])}
        if tops:
            return sorted(tops)
    return []


def _belongs(path: str, name: Format) -> bool:
    """Tell whether a file below the top folder is part of a data set of this format."""
    if name == "official":
        return _OFFICIAL.fullmatch(path) is not None
    if path.startswith(f"{EXTRA}/"):  # data/raw has its own
        return False
    if name == "yolo":
        return is_picture(path) or bool(_YOLO_LABELS.fullmatch(path) or _MARKS[name].match(path))
    return is_picture(path) or path.lower().endswith(".json")


def _found(paths: Collection[str]) -> str:
    """Describe files of no supported format, with the nearest way to one."""
    if not paths:
        return "found no file"
    suffixes = sorted({PurePosixPath(path).suffix.lower() or PurePosixPath(path).name for path in paths})
    kinds = ", ".join(suffixes[:MAX_SHOWN]) + ", ..." * (len(suffixes) > MAX_SHOWN)
    found = f"found {counted(len(paths), 'file')} ({kinds})"
    for pattern, advice in _OTHERS.items():
        if any(re.search(pattern, path, re.IGNORECASE) for path in paths):
            return f"{found}, which look like {advice}"
    if all(map(is_picture, paths)):
        return f"{found}, photos without annotation: draw it, or let a model propose masks"
    return found
