"""The folder that labelling writes: a COCO data set of one JSON file a photo, which `-S dataset=FOLDER` takes.

    train/NAME, test/NAME                    copies of the photos; validation/ where a reviewed data set has it
    annotations/instances_NAME.SPLIT.json    foods of one photo
    .labelling.json                          seed, share of test photos, names of the categories
    .open/                                   locks of the photos that somebody has open

A file is replaced whole, so that a crash leaves the one before. Hidden files are no part of the data set.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock
from pydantic import Field

from pipeline.acquisition.archive import folded
from pipeline.arrays import Mask
from pipeline.datasets.layout import fold_name, is_clutter, is_utf8, stem_of
from pipeline.datasets.objects import AnnotatedObject, encode_rle, load_json, mask_of
from pipeline.imaging.components import region_of
from pipeline.inference.formats import coco_category, coco_mask
from pipeline.params.base import Section, read_record
from pipeline.runtime.console import note
from pipeline.runtime.errors import DatasetError, ParamsError, counted
from pipeline.runtime.manifest import sha256_of
from pipeline.runtime.resources import catch_disk_full
from pipeline.runtime.resumable import file_lock

ANNOTATIONS, PREFIX, RECORD = "annotations", "instances_", ".labelling.json"
KEYS = frozenset({"info", "images", "annotations", "categories", "unnamed"})
"""Of the file of a photo; `unnamed` holds masks without a category, which readers of COCO pass over."""
SECONDS_TO_LOCK = 20
LONGEST_NAME = 80  # characters of a category's name


class LabelledFood(NamedTuple):
    """One marked food of a photo."""

    mask: Mask  # at the size of the upright photo; has at least one pixel
    category: str | None = None  # folded name; None until it is named, when the food is stored but not in the data set


class Labels(NamedTuple):
    """What is stored of a photo."""

    foods: tuple[LabelledFood, ...] = ()  # in the order in which they were marked
    done: bool = False  # whether somebody said that every food is marked
    revision: str = ""  # hash of the file; empty if there is none


class PhotoFile(NamedTuple):
    """One photo to label."""

    name: str  # file name in the data set
    path: Path
    split: str | None = None  # its split; None where it is to be drawn


class LabelCounts(NamedTuple):
    """What is stored of all photos."""

    done: frozenset[str]  # names of the photos that are done
    foods: Counter[str]  # foods by category


class LabelRecord(Section):
    """Content of `.labelling.json`."""

    seed: int
    test_share: float = Field(ge=0, lt=1)
    categories: tuple[str, ...] = ()  # name by id, from 1; ids never change


class LabelFolder:
    """Reads and writes the folder."""

    def __init__(self, folder: Path, *, seed: int | None = None, test_share: float | None = None) -> None:
        """Open a folder, or begin one; None takes what it was begun with, else seed 0 and a share of 0.2.

        Raises:
            ParamsError: If it holds something else, or was begun with another seed or share.
        """
        self.folder = folder
        if not (folder / RECORD).is_file() and folder.is_dir():
            others = sorted(path.name for path in folder.iterdir() if not is_clutter(Path(path.name)))
            if others:
                raise ParamsError(
                    f"{folder}: holds {others[0]}, which `label` did not write; name a new or empty folder"
                    " (to check the labels of a data set: --review)"
                )
        for part in (ANNOTATIONS, ".open"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        with self._lock():
            if not (folder / RECORD).is_file():
                self._store(LabelRecord(seed=seed or 0, test_share=0.2 if test_share is None else test_share))
        record = self.record()
        for name, given, begun in (("--seed", seed, record.seed), ("--test-share", test_share, record.test_share)):
            if given not in {None, begun}:
                raise ParamsError(f"{name} {given}: {folder} was begun with {begun:g}; leave {name} out")
        self._splits: dict[str, str] = {}
        self._read: dict[Path, tuple[int, bool, Counter[str]]] = {}
        self.count()

    def record(self) -> LabelRecord:
        """Read `.labelling.json`; raise `ManifestError` if it is damaged."""
        path = self.folder / RECORD
        return read_record(LabelRecord, path, None, otherwise="restore it from a copy, or begin another folder")

    def photos(self, source: Path | None) -> list[PhotoFile]:
        """Return the photos below `source`, or the folder's own if None, sorted; what cannot be used is told.

        Photos in subfolders are called `SUBFOLDER-NAME`.

        Raises:
            ParamsError: If there is none.
        """
        from pipeline.inference.inputs import photos_in_folder  # noqa: PLC0415 - only where photos are listed

        if source is None or source.resolve() == self.folder.resolve():
            if not self._splits:
                raise ParamsError(f"{self.folder}: no labelled photo yet; name the folder of photos first")
            own = sorted(self._splits.items())
            return [PhotoFile(name, self.folder / split / name, split) for name, split in own]
        found: dict[str, PhotoFile] = {}
        for path in photos_in_folder(source, without=[self.folder]):
            name = "-".join(path.relative_to(source).parts)
            first = found.setdefault(folded(stem_of(name)), PhotoFile(name, path))
            if first.path != path:
                note(f"left out: {path}: called like {first.path}, but for its ending or folder; rename one")
            elif not (is_utf8(path) and name.isprintable()):
                del found[folded(stem_of(name))]
                note(f"left out: {path}: the name holds characters that cannot be printed; rename it")
        return list(found.values())

    def count(self) -> LabelCounts:
        """Return what is stored now, by whomever; files that did not change are not read again."""
        done, foods = set[str](), Counter[str]()
        for path in (self.folder / ANNOTATIONS).glob(f"{PREFIX}*.json"):
            name, _, split = path.name[len(PREFIX) : -len(".json")].rpartition(".")
            changed = path.stat().st_mtime_ns
            if self._read.get(path, (0,))[0] != changed:
                content = _parse(path)
                names = {each["id"]: each["name"] for each in content["categories"]}
                counts = Counter(names[each["category_id"]] for each in content["annotations"])
                self._read[path] = (changed, content["info"].get("done", False), counts)
            _, is_done, counts = self._read[path]
            self._splits[name] = split
            foods += counts
            done |= {name} if is_done else set()
        return LabelCounts(frozenset(done), foods)

    def open(self, photo: PhotoFile) -> AbstractContextManager[None]:
        """Return a lock that no other process can hold; a BusyError on entering if one does."""
        return file_lock(self.folder / ".open" / f"{photo.name}.lock", photo.name)

    def picture_of(self, photo: PhotoFile) -> Path:
        """Return the copy of the photo if there is one, else the photo."""
        copy = self.folder / self._split(photo) / photo.name
        return copy if copy.is_file() else photo.path

    def load(self, photo: PhotoFile) -> Labels:
        """Return what is stored of a photo; a DatasetError if its file is damaged."""
        path = self._file(photo)
        if not path.is_file():
            return Labels()
        content = _parse(path)
        (image,), names = content["images"], {each["id"]: each["name"] for each in content["categories"]}
        try:
            foods = tuple(
                LabelledFood(
                    mask_of([AnnotatedObject(1, 1, each["segmentation"])], (image["height"], image["width"])), name
                )
                for each in (*content["annotations"], *content["unnamed"])
                for name in [names.get(each.get("category_id"))]
            )
        except ValueError as error:
            raise DatasetError(f"{path}: damaged ({error}); delete it to label the photo anew") from error
        return Labels(foods, content["info"].get("done", False), _revision(path))

    def save(self, photo: PhotoFile, labels: Labels) -> str:
        """Replace what is stored of a photo, and return its revision; the photo is copied first.

        Raises:
            DatasetError: If the file is no longer of `labels.revision`.
        """
        path, split = self._file(photo), self._split(photo)
        if _revision(path) != labels.revision:
            raise ChangedError(f"{photo.name}: somebody else has changed it; it is shown as they left it")
        named = [(food, food.category) for food in labels.foods if food.category is not None]
        ids = self._ids([name for _, name in named])
        size = dict(zip(("height", "width"), labels.foods[0].mask.shape if labels.foods else (), strict=False))
        content = {
            "info": {"description": "written by python -m pipeline label", "done": labels.done},
            "images": [{"id": 1, "file_name": f"{split}/{photo.name}"} | size],
            "annotations": [
                {"id": number, "image_id": 1, "category_id": ids[name]} | _record(food)
                for number, (food, name) in enumerate(named, 1)
            ],
            "categories": [coco_category(ids[name], name) for name in dict.fromkeys(name for _, name in named)],
            "unnamed": [_record(food) for food in labels.foods if food.category is None],
        }
        copy = self.folder / split / photo.name
        with catch_disk_full(self.folder):
            if not copy.is_file():
                copy.parent.mkdir(exist_ok=True)
                _replace(copy, photo.path.read_bytes())
            _replace(path, json.dumps(content, ensure_ascii=False).encode())
        self._splits[photo.name] = split
        return _revision(path)

    def write_coco(self, file: Path) -> int:
        """Write the foods of all photos as one COCO file, whose `file_name` are paths below the folder; their number.

        Raises:
            DatasetError: If no food is named yet.
        """
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for path in sorted((self.folder / ANNOTATIONS).glob(f"{PREFIX}*.json")):
            content = _parse(path)
            if not content["annotations"]:
                continue
            images.append(content["images"][0] | {"id": len(images) + 1})
            for each in content["annotations"]:
                annotations.append(each | {"id": len(annotations) + 1, "image_id": len(images)})
        if not annotations:
            raise DatasetError(f"{self.folder}: no food is named yet; label a photo first")
        used = {each["category_id"] for each in annotations}
        names = enumerate(self.record().categories, 1)
        categories = [coco_category(number, name) for number, name in names if number in used]
        content = {"images": images, "annotations": annotations, "categories": categories}
        _replace(file, json.dumps(content, ensure_ascii=False).encode())
        return len(annotations)

    def _split(self, photo: PhotoFile) -> str:
        """Return the split of a photo: its own, that of its file, or drawn by the content of the photo and the seed."""
        if photo.name not in self._splits and photo.split is None:
            record = self.record()
            digest = hashlib.sha256(f"{record.seed}/{sha256_of(photo.path)}".encode()).digest()
            drawn = int.from_bytes(digest[:8], "big") / 2**64
            self._splits[photo.name] = "test" if drawn < record.test_share else "train"
        return photo.split or self._splits[photo.name]

    def _file(self, photo: PhotoFile) -> Path:
        # The split comes last: the reader of data sets takes the last such word of the path, and photos may hold one.
        return self.folder / ANNOTATIONS / f"{PREFIX}{photo.name}.{self._split(photo)}.json"

    def _ids(self, names: Iterable[str]) -> dict[str, int]:
        """Return the id of every category by name; new ones are added."""
        with self._lock():
            record = self.record()
            if new := [name for name in dict.fromkeys(names) if name not in record.categories]:
                record = record.model_copy(update={"categories": (*record.categories, *new)})
                self._store(record)
        return {name: number for number, name in enumerate(record.categories, 1)}

    def _lock(self) -> FileLock:
        return FileLock(self.folder / ".open" / "categories", timeout=SECONDS_TO_LOCK)

    def _store(self, record: LabelRecord) -> None:
        _replace(self.folder / RECORD, record.model_dump_json(indent=1).encode())


class ChangedError(DatasetError):
    """A photo is not as the page that wants to change it shows it."""


def category_name(text: str) -> str:
    """Return a typed name as it is stored; a DatasetError if it cannot be one."""
    name = fold_name(text)
    if not name or not name.isprintable() or len(name) > LONGEST_NAME:
        raise DatasetError(f"A name has 1 to {LONGEST_NAME} printable characters")
    return name


def described(photos: Sequence[PhotoFile], stored: LabelCounts) -> str:
    """Return how far the work is, in one line."""
    done = sum(photo.name in stored.done for photo in photos)
    foods, names = counted(stored.foods.total(), "food"), counted(len(stored.foods), "category", "categories")
    return f"{done:,} of {counted(len(photos), 'photo')} done, {foods} of {names}"


def _record(food: LabelledFood) -> dict[str, Any]:
    """Return a mask as COCO's annotation, without ids."""
    region, (height, width) = region_of(food.mask), food.mask.shape
    box = region.x0, region.y0, region.x1, region.y1
    return coco_mask(box, encode_rle(food.mask).decode("ascii"), (height, width))


def _parse(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = load_json(path)
    if not (isinstance(content, dict) and content.keys() >= KEYS):
        raise DatasetError(f"{path}: not written by `label`; delete it to label the photo anew")
    return content


def _revision(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
