"""YOLO segmentation labels and labelme's JSON files, read as the objects that COCO would hold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.datasets.formats import AnnotatedPhoto, AnnotatedSet, split_of
from pipeline.datasets.layout import fold_name, is_picture, read_listing
from pipeline.datasets.objects import MIN_COORDINATES, RELATIVE, AnnotatedObject, load_json
from pipeline.datasets.problems import Problem, ProblemKind
from pipeline.runtime.errors import DatasetError, one_line


def read_yolo(raw: Path, files: Sequence[str]) -> AnnotatedSet:
    """Read `data.yaml` or `classes.txt`, and a text file of polygons for each photo; `files` are paths below `raw`.

    Raises:
        DatasetError: If the names are absent or malformed.
    """
    found = AnnotatedSet(_yolo_names(raw, files), [], [])
    labels = {path for path in files if path.endswith(".txt") and "/" in path}
    for path in filter(is_picture, files):
        parts = path.rpartition(".")[0].split("/")
        if "images" in parts:
            last = len(parts) - 1 - parts[::-1].index("images")
            parts[last] = "labels"
        label = "/".join(parts) + ".txt"
        lines = map(str.strip, read_listing(raw / label).split("\n")) if label in labels else ()
        labels.discard(label)
        each = [_yolo_object(number, line.split(), label, found.names) for number, line in enumerate(lines, 1) if line]
        found.problems.extend(item for item in each if isinstance(item, Problem))
        objects = tuple(item for item in each if isinstance(item, AnnotatedObject))
        found.add(AnnotatedPhoto(path, label, split_of(path.rpartition("/")[0]), RELATIVE, objects))
    for label in sorted(labels):
        found.problems.append(Problem(ProblemKind.PHOTO_ABSENT, label, "its photo is not there"))
    return found


def _yolo_names(raw: Path, files: Sequence[str]) -> dict[int, str]:
    """Return folded name by number."""
    path = next(path for path in files if "/" not in path and path.lower().endswith((".yaml", ".yml", ".txt")))
    text = read_listing(raw / path)
    try:
        plain = path.lower().endswith(".txt")
        listed: Any = text.strip().split("\n") if plain else YAML(typ="safe").load(text)["names"]
        entries = listed.items() if isinstance(listed, dict) else enumerate(listed)
        names = {int(number): fold_name(name) for number, name in entries}
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise DatasetError(f"{raw / path}: no names of categories ({one_line(error)}); add a list `names`") from error
    if len(set(names.values())) < len(names) or not all(name and name.isprintable() for name in names.values()):
        raise DatasetError(f"{raw / path}: names are empty, equal or not printable; give every category its own")
    return names


def _yolo_object(number: int, fields: Sequence[str], path: str, names: dict[int, str]) -> AnnotatedObject | Problem:
    try:
        category_id, *polygon = int(fields[0]), *map(float, fields[1:])
    except ValueError as error:
        return Problem(ProblemKind.OBJECT_UNUSABLE, path, f"line {number}: {error}")
    if category_id not in names:
        return Problem(ProblemKind.OBJECT_UNUSABLE, path, f"line {number}: number {category_id} has no name")
    if len(polygon) < MIN_COORDINATES:
        return Problem(ProblemKind.OBJECT_WITHOUT_MASK, path, f"line {number} is no polygon")
    return AnnotatedObject(number, category_id, [polygon])


def read_labelme(raw: Path, files: Sequence[str]) -> AnnotatedSet:
    """Read the JSON file beside each photo; categories are numbered from 1 in the order of their names.

    Raises:
        DatasetError: If a JSON file beside a photo is not labelme's.
    """
    photos = {path.rpartition(".")[0]: path for path in files if is_picture(path)}
    found, sizes = AnnotatedSet({}, [], []), dict[str, tuple[int, int]]()
    shapes: dict[str, list[tuple[str, list[float]]]] = {}  # name and polygon
    for path in files:
        if path.lower().endswith(".json"):
            if path.rpartition(".")[0] not in photos:
                found.problems.append(Problem(ProblemKind.NOT_LISTED, path, "no photo beside it has its name"))
                continue
            content = load_json(raw / path)
            try:
                sizes[path] = (_side(content["imageHeight"]), _side(content["imageWidth"]))
                shapes[path] = [_name_and_polygon(shape) for shape in content["shapes"]]
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise DatasetError(f"{raw / path}: not in labelme's format ({error!r}); save it again there") from error
    names = sorted({name for each in shapes.values() for name, polygon in each if polygon})
    if refused := [name for name in names if not name or not name.isprintable()]:
        raise DatasetError(f"{raw}: label {refused[0]!a} is empty or cannot be printed; rename it in labelme")
    found.names.update(enumerate(names, 1))
    ids = {name: number for number, name in found.names.items()}
    for path, each in shapes.items():
        photo, objects = photos.pop(path.rpartition(".")[0]), []
        for number, (name, polygon) in enumerate(each, 1):
            if polygon:
                objects.append(AnnotatedObject(number, ids[name], [polygon]))
            else:
                detail = f"shape {number}, {name}, is no polygon"
                found.problems.append(Problem(ProblemKind.OBJECT_WITHOUT_MASK, path, detail))
        found.add(AnnotatedPhoto(photo, path, split_of(photo.rpartition("/")[0]), sizes[path], tuple(objects)))
    for photo in sorted(photos.values()):
        found.problems.append(Problem(ProblemKind.NOT_LISTED, photo, "no JSON file beside it has its name"))
    return found


def _side(value: Any) -> int:
    """Return a height or width; 0, which fits no photo, where labelme does not say it."""
    if value is not None and type(value) is not int:
        raise TypeError(f"{value!r} is no height or width")
    return value or 0


def _name_and_polygon(shape: dict[str, Any]) -> tuple[str, list[float]]:
    """Read a record of `shapes`; the polygon is empty if it is another shape."""
    points = [float(value) for point in shape["points"] for value in point]
    usable = shape.get("shape_type", "polygon") == "polygon" and len(points) >= MIN_COORDINATES
    return fold_name(shape["label"]), points if usable else []
