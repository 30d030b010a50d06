"""Data sets in COCO's format: JSON files of photos, categories and objects, and the photos anywhere below them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import normalize

from pipeline.datasets.formats import AnnotatedPhoto, AnnotatedSet, split_of
from pipeline.datasets.layout import fold_name, is_picture
from pipeline.datasets.objects import AnnotatedObject, compact, load_json
from pipeline.datasets.problems import Problem, ProblemKind
from pipeline.runtime.errors import DatasetError

INSTANCES = "instances_"
"""Begins the name of COCO's own files of objects; others beside them hold captions or key points of the same photos."""
REQUIRED_LISTS = ("images", "annotations", "categories")
LARGEST_CATEGORY_ID = 2**31 - 1  # of categories, above and below 0


def read_coco(raw: Path, files: Sequence[str]) -> AnnotatedSet:
    """Read all JSON files of a data set, whose `files` are paths below `raw`, one after the other.

    Raises:
        DatasetError: If a JSON file is malformed, none holds objects, or they give an id or a name to two categories.
    """
    photos = PhotoFinder(filter(is_picture, files))
    found, parents, used = AnnotatedSet({}, [], []), set[str](), set[int]()
    jsons = [path for path in files if path.lower().endswith(".json")]
    jsons = [path for path in jsons if PurePosixPath(path).name.startswith(INSTANCES)] or jsons
    for path in jsons:
        content = load_json(raw / path, compact)
        lists: list[Any] = [content.get(name) if isinstance(content, dict) else None for name in REQUIRED_LISTS]
        present = [isinstance(each, list) for each in lists]
        if not all(present):
            problem = f"no COCO file of objects: it lacks one of the lists {', '.join(REQUIRED_LISTS)}"
            if any(present) or (path == jsons[-1] and not found.names):
                raise DatasetError(f"{raw / path}: {problem}; export it again with segmentation, or remove it")
            found.problems.append(Problem(ProblemKind.NOT_LISTED, path, problem))
            continue
        images, annotations, categories = lists
        try:
            parents |= _add_names(categories, found.names)
            objects = _objects_by_photo(path, images, annotations, found)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"a record lacks {error}" if isinstance(error, KeyError) else error
            raise DatasetError(f"{raw / path}: not in COCO's format: {reason}; export it again") from error
        used |= {each.category_id for of_photo in objects.values() for each in of_photo}
        for image in images:
            photo = photos.find(path, image, tuple(objects[image["id"]]))
            if isinstance(photo, Problem):
                found.problems.append(photo)
            else:
                found.add(photo)
    for category_id in [each for each, name in found.names.items() if name in parents and each not in used]:
        del found.names[category_id]  # Roboflow's category 0 is the parent of all others
    found.problems.extend(photos.unused())
    return found


def _add_names(categories: Sequence[dict[str, Any]], names: dict[int, str]) -> set[str]:
    """Add the names of a file to those by id; return the names that are another category's parent."""
    ids = {name: category_id for category_id, name in names.items()}
    for each in categories:
        category_id, name = each["id"], fold_name(each["name"])
        if type(category_id) is not int or abs(category_id) > LARGEST_CATEGORY_ID:
            raise ValueError(f"category {name!r} has the id {category_id!r}, which is no whole number of 31 bits")
        if not name or not name.isprintable():
            raise ValueError(f"category {category_id} has the name {each['name']!a}, which cannot be printed")
        if names.setdefault(category_id, name) != name or ids.setdefault(name, category_id) != category_id:
            raise ValueError(
                f"category {category_id} is {name!r}, but {ids.get(name, category_id)} is "
                f"{names.get(category_id, name)!r} too; give every category one id and one name, the same in all files"
            )
    return {fold_name(str(each.get("supercategory"))) for each in categories}


def _objects_by_photo(
    path: str, images: Sequence[dict[str, Any]], annotations: Sequence[dict[str, Any]], found: AnnotatedSet
) -> dict[int | str, list[AnnotatedObject]]:
    """Return the objects of every photo of a file by its id; add those that cannot be used to the problems."""
    objects: dict[int | str, list[AnnotatedObject]] = {image["id"]: [] for image in images}
    names = {image["id"]: image["file_name"] for image in images}
    ids = [(each["image_id"], each.get("id")) for each in annotations]
    unique = len(set(ids)) == len(ids) and all(type(number) is int for _, number in ids)
    for number, record in enumerate(annotations, 1):
        photo, category_id, segmentation = record["image_id"], record["category_id"], record.get("segmentation")
        object_id = record["id"] if unique else number
        kind = detail = None
        if photo not in objects:
            kind, detail = ProblemKind.OBJECT_UNUSABLE, f"is of the image {photo!r}, which `images` lacks"
        elif category_id not in found.names:
            kind, detail = ProblemKind.OBJECT_UNUSABLE, f"has the category {category_id!r}, which `categories` lacks"
        elif record.get("iscrowd"):
            kind, detail = ProblemKind.CROWD, f"marks a crowd of {found.names[category_id]}"
        elif not segmentation or segmentation == [[]]:
            kind, detail = ProblemKind.OBJECT_WITHOUT_MASK, f"has no segmentation of its {found.names[category_id]}"
        if kind:
            of_photo = f" of {names[photo]}" if photo in names else ""
            found.problems.append(Problem(kind, path, f"annotation {object_id}{of_photo} {detail}"))
        else:
            objects[photo].append(AnnotatedObject(object_id, category_id, segmentation))
    return objects


class PhotoFinder:
    """Finds the photos that COCO files name: exporters write bare file names, or paths of other machines."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Take the paths of all photos."""
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        for path in paths:
            self._by_name[normalize("NFC", PurePosixPath(path).name)].append(path)
        self._annotated: dict[str, str] = {}

    def find(
        self, annotation_path: str, image: dict[str, Any], objects: tuple[AnnotatedObject, ...]
    ) -> AnnotatedPhoto | Problem:
        """Return the photo of a record of `images`, or why it cannot be used."""
        name = image["file_name"]
        parts = PurePosixPath(normalize("NFC", name).replace("\\", "/")).parts[::-1]
        candidates = self._by_name.get(parts[0], []) if parts else []
        fits = [self._fit(path, parts, annotation_path) for path in candidates]
        highest = max(fits, default=None)
        best = [path for path, fit in zip(candidates, fits, strict=True) if fit == highest]
        if not best:
            return Problem(ProblemKind.PHOTO_ABSENT, annotation_path, f"names {name}, which is not there")
        if len(best) > 1:
            detail = f"names {name}, which may be {', '.join(best)}"
            return Problem(ProblemKind.AMBIGUOUS_FILES, annotation_path, detail)
        path = best[0]
        if first := self._annotated.get(path):
            return Problem(ProblemKind.LISTED_TWICE, annotation_path, f"lists {path}, which {first} has listed")
        self._annotated[path] = annotation_path
        height, width = image.get("height"), image.get("width")
        size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
        split = split_of(annotation_path) or split_of(path.rpartition("/")[0])
        return AnnotatedPhoto(path, annotation_path, split, size, objects)

    @staticmethod
    def _fit(path: str, parts: Sequence[str], annotation_path: str) -> tuple[int, bool, int]:
        """Return how well a photo fits a name: parts of the path from its end, split, folders shared with the JSON."""
        from_end = _common(normalize("NFC", path).split("/")[::-1], parts)
        same_split = split_of(path.rpartition("/")[0]) == split_of(annotation_path)
        return from_end, same_split, _common(path.split("/"), annotation_path.split("/"))

    def unused(self) -> Iterator[Problem]:
        """Yield the photos that no file named."""
        for path in sorted({path for paths in self._by_name.values() for path in paths} - self._annotated.keys()):
            yield Problem(ProblemKind.NOT_LISTED, path, "no annotation names it")


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many parts two paths share from their start."""
    return sum(1 for _ in takewhile(lambda parts: parts[0] == parts[1], zip(first, second, strict=False)))
